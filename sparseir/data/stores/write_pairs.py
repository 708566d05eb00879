"""Writing tables of pairs: sorted runs on disk, merged a range of queries at a time, so that memory stays bounded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexer.progress import Progress, silent
from sparseir.data.stores.files import described, mapped, room_on_disk, write_description
from sparseir.data.stores.pairs import DESCRIPTION, DOCUMENTS, FORM, STARTS, VALUES, VERSION, PairTable
from sparseir.errors import DataError

MERGED = 2_000_000
"""Pairs that are merged at a time: about 100 MB."""

_SAMPLE = 4096


class Pairs(NamedTuple):
    """Pairs in some order.

    keys : uint64, query · 2³² + document. values : float32 of the same length. places : uint64, where each is from.
    """

    keys: NDArray[np.uint64]
    values: NDArray[np.float32]
    places: NDArray[np.uint64]

    @classmethod
    def of(cls, queries: NDArray[np.int64], documents: NDArray[np.int64], values: NDArray[np.float32]) -> Pairs:
        """Of rows of queries and of documents, from nowhere in particular."""
        keys = queries.astype(np.uint64) << np.uint64(32) | documents.astype(np.uint64)
        return cls(keys, values.astype(np.float32), np.zeros(len(keys), np.uint64))

    @classmethod
    def joined(cls, parts: Sequence[Pairs]) -> Pairs:
        """Those of some parts in turn."""
        return cls(
            np.concatenate([part.keys for part in parts]),
            np.concatenate([part.values for part in parts]),
            np.concatenate([part.places for part in parts]),
        )

    def part(self, start: int, end: int) -> Pairs:
        """Those from start to end."""
        return Pairs(self.keys[start:end], self.values[start:end], self.places[start:end])

    def sorted(self) -> Pairs:
        """By key; of equal keys the first place first."""
        order = np.lexsort((self.places, self.keys))
        return Pairs(self.keys[order], self.values[order], self.places[order])


def write_run(path: Path, pairs: Pairs) -> None:
    """Write pairs, sorted, to three files that begin with a path; durable at its return."""
    arrays: tuple[NDArray[Any], ...] = pairs.sorted()
    for part, array in zip(pairs._fields, arrays, strict=True):
        with path.with_name(f"{path.name}.{part}").open("wb") as file:
            array.tofile(file)
            file.flush()
            os.fsync(file.fileno())


def open_run(path: Path) -> Pairs:
    """The pairs of a run, mapped.

    Raises
    ------
    DataError : files of another length than each other.
    """
    count = path.with_name(f"{path.name}.keys").stat().st_size // 8
    kinds = (np.uint64, np.float32, np.uint64)
    files = (path.with_name(f"{path.name}.{part}") for part in Pairs._fields)
    return Pairs(*(mapped(file, kind, count) for file, kind in zip(files, kinds, strict=True)))


class Table(NamedTuple):
    """What a table is to be.

    num_queries, num_documents : of the stores. stores : what tells these from others. values : whether pairs have numbers.
    made_of : a file or a model, for people.
    """

    num_queries: int
    num_documents: int
    stores: str
    values: bool
    made_of: str = ""


def write_table(
    path: Path,
    runs: Sequence[Pairs],
    table: Table,
    *,
    fault: Callable[[int, int, tuple[float, float]], DataError] | None = None,
    progress: Progress = silent,
) -> PairTable:
    """Merge sorted runs into a table. A pair that stands twice is kept once.

    Parameters
    ----------
    path : folder to make; one that is there is replaced, when the new one is whole.
    fault : makes the error for a pair with two numbers that differ, of both places (the first first) and both numbers;
        None keeps the first number.

    Raises
    ------
    DataError : what `fault` makes. SparseIRError : a disk that takes no more.
    """
    part = path.with_name(path.name + ".part")
    with room_on_disk(path.parent, f"table {path.name}"):
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        counts = np.zeros(table.num_queries, np.int64)
        with (part / DOCUMENTS).open("wb") as documents, (part / VALUES).open("wb") as values:
            for merged in _merged(runs, fault, progress):
                rows = (merged.keys >> np.uint64(32)).astype(np.int64)
                _count(counts, rows)
                (merged.keys & np.uint64(0xFFFFFFFF)).astype(np.uint32).tofile(documents)
                if table.values:
                    merged.values.tofile(values)
            _make_durable(documents, values)
        _describe(part, counts, table)
        shutil.rmtree(path, ignore_errors=True)
        part.replace(path)
    return PairTable(path)


def _count(counts: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
    first, end = int(rows[0]), int(rows[-1]) + 1
    counts[first:end] += np.bincount(rows - first, minlength=end - first)


def _make_durable(*files: IO[bytes]) -> None:
    for file in files:
        file.flush()
        os.fsync(file.fileno())


def _describe(part: Path, counts: NDArray[np.int64], table: Table) -> None:
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    with (part / STARTS).open("wb") as file:
        starts.tofile(file)
        _make_durable(file)
    if not table.values:
        (part / VALUES).unlink()
    names = dict.fromkeys((STARTS, DOCUMENTS, *((VALUES,) if table.values else ())))
    body = {"format": FORM, "version": VERSION, "queries": table.num_queries, "documents": table.num_documents}
    body |= {"pairs": int(starts[-1]), "values": table.values}
    body |= {"stores": table.stores, "made_of": table.made_of}
    write_description(part / DESCRIPTION, body | {"files": described(part, names)})


def _merged(
    runs: Sequence[Pairs], fault: Callable[[int, int, tuple[float, float]], DataError] | None, progress: Progress
) -> Iterator[Pairs]:
    """All pairs in order, about MERGED at a time; the pairs of a query are never parted."""
    total, done = sum(len(run.keys) for run in runs), 0
    at = [0] * len(runs)
    for bound in _bounds(runs):
        ends = [int(np.searchsorted(run.keys, bound)) if bound is not None else len(run.keys) for run in runs]
        slices = [run.part(start, end) for run, start, end in zip(runs, at, ends, strict=True)]
        at = ends
        if not sum(len(part.keys) for part in slices):
            continue
        joined = Pairs.joined(slices)
        done += len(joined.keys)
        progress("merging pairs", done, total)
        yield _once(joined.sorted(), fault)


def _bounds(runs: Sequence[Pairs]) -> Iterable[np.uint64 | None]:
    """First keys of the ranges after the first; the last range ends with the pairs."""
    sample = np.sort(np.concatenate([np.zeros(0, np.uint64), *(run.keys[::_SAMPLE] for run in runs)]))
    cuts = sample[MERGED // _SAMPLE :: MERGED // _SAMPLE] >> np.uint64(32) << np.uint64(32)
    return [*np.unique(cuts), None]


def _once(pairs: Pairs, fault: Callable[[int, int, tuple[float, float]], DataError] | None) -> Pairs:
    same = pairs.keys[1:] == pairs.keys[:-1]
    if fault is not None:
        differing = np.flatnonzero(same & (pairs.values[1:] != pairs.values[:-1]))
        if len(differing):
            i = int(differing[np.argmin(pairs.places[differing + 1])])
            raise fault(
                int(pairs.places[i]), int(pairs.places[i + 1]), (float(pairs.values[i]), float(pairs.values[i + 1]))
            )
    first = np.concatenate([[True], ~same])
    return Pairs(pairs.keys[first], pairs.values[first], pairs.places[first])
