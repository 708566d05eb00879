"""Turn rows into columns, or back, without holding either."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.interchange.batches import BatchLimits
from indexer.interchange.matrices.csr_stream import cuts
from indexer.vectors import SparseVectors

SPILL_POSTINGS = 1 << 21
_SAMPLE = 1024

Triples = tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint32]]


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """All triples with low ≤ key < high (high None: to the end), by key, then other."""

    low: int
    high: int | None
    keys: NDArray[np.uint32]
    others: NDArray[np.uint32]
    values: NDArray[np.uint32]


class Transposer:
    """Takes (key, other, value) triples in any order and gives them back by ascending key.

    Triples are sorted in pieces. Each full piece becomes a run on disk, which is mapped, and a group gathers its range
    of keys from all runs. Anonymous memory: about 70 bytes × spill (sorting one piece), and the group handed out, which
    is `most` triples, some thousands more, or one key's triples if they are more. Disk: 12 bytes a triple.

    Parameters
    ----------
    folder : where runs are written; the caller's to remove. Nothing is written while one piece holds all.
    spill : triples of a piece.
    """

    def __init__(self, folder: Path, spill: int = SPILL_POSTINGS) -> None:
        self._folder, self._spill = folder, spill
        self._pending: list[Triples] = []
        self._pending_count = 0
        self._runs: list[Triples] = []

    def add(self, keys: NDArray[np.uint32], others: NDArray[np.uint32], values: NDArray[np.uint32]) -> None:
        """Take triples, three uint32 arrays of equal length; they are kept, not copied."""
        self._pending.append((keys, others, values))
        self._pending_count += len(keys)
        if self._pending_count >= self._spill:
            self._spill_run()

    def groups(self, most: int) -> Iterator[Group]:
        """Everything by ascending key, in groups of whole keys and about `most` triples; together they cover all keys."""
        if self._pending_count and self._runs:
            self._spill_run()
        runs = self._runs or ([self._piece()] if self._pending_count else [])
        bounds = _bounds(runs, most)
        for low, high in zip(bounds, [*bounds[1:], None], strict=True):
            parts = [_between(run, low, high) for run in runs]
            yield Group(low, high, *by_key([part for part in parts if len(part[0])]))

    def _piece(self) -> Triples:
        triples = by_key(self._pending)
        self._pending, self._pending_count = [], 0
        self._runs = [triples]
        return triples

    def _spill_run(self) -> None:
        keys, others, values = by_key(self._pending)
        self._pending, self._pending_count = [], 0
        path = self._folder / f"run-{len(self._runs):06d}"
        with path.open("wb") as file:
            for column in (keys, others, values):
                column.tofile(file)
        mapped = np.memmap(path, np.uint32, "r", shape=(3, len(keys)))
        self._runs.append((mapped[0], mapped[1], mapped[2]))


def by_key(parts: list[Triples]) -> Triples:
    """All triples by key, then other."""
    if not parts:
        none = np.zeros(0, np.uint32)
        return none, none, none
    keys, others, values = (np.concatenate(column) for column in zip(*parts, strict=True))
    # One 64-bit sort of both numbers: numpy sorts them with vector instructions, but not when a sort must be stable.
    both = keys.astype(np.uint64) << np.uint64(32) | others
    order = np.argsort(both)
    both = both[order]
    return (both >> np.uint64(32)).astype(np.uint32), both.astype(np.uint32), values[order]


def _between(run: Triples, low: int, high: int | None) -> Triples:
    first = int(np.searchsorted(run[0], low))
    last = len(run[0]) if high is None else int(np.searchsorted(run[0], high))
    return run[0][first:last], run[1][first:last], run[2][first:last]


def _bounds(runs: list[Triples], most: int) -> list[int]:
    """Lower ends of the groups, from 0, cut where a sample of every run says that about `most` triples lie between."""
    samples = np.sort(np.concatenate([np.zeros(1, np.uint32), *(run[0][::_SAMPLE] for run in runs)]))
    step = max(1, most // _SAMPLE)
    return np.unique(np.concatenate([[0], samples[step::step]])).astype(np.int64).tolist()


def row_batches(
    groups: Iterable[Group], shape: tuple[int, int], limits: BatchLimits, *, floats: bool = False, source: str
) -> Iterator[SparseVectors]:
    """Rows 0 … shape[0] − 1 from groups keyed by row, within the limits; rows no triple names are empty.

    Parameters
    ----------
    groups : (row, term id, weight) triples.
    shape : rows and vocabulary size.
    floats : values hold the bits of float32 weights; else they are whole numbers.
    source : what messages call the rows.
    """
    for group in groups:
        position, end = group.low, shape[0] if group.high is None else group.high
        while position < end:
            stop = min(end, position + limits.rows)
            edges = np.searchsorted(group.keys, np.arange(position, stop + 1, dtype=np.int64))
            values = group.values[edges[0] : edges[-1]]
            vectors = SparseVectors.from_arrays(
                edges - edges[0],
                group.others[edges[0] : edges[-1]],
                values.view(np.float32) if floats else values.astype(np.float32),
                shape[1],
                source=source,
                first_row=position,
            )
            for first, last in cuts(vectors.indptr, limits.postings):
                yield vectors.slice(first, last)
            position = stop
