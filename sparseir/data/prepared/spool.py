"""One file of pairs into tables: names looked up in blocks, sorted runs on disk, and a state that a stopped run goes on from."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.progress import Progress
from sparseir.data.prepared.folder import Prepared, Role
from sparseir.data.prepared.formats import PairFile
from sparseir.data.prepared.rows import PairRow
from sparseir.data.stores.files import read_description, room_on_disk, write_description
from sparseir.data.stores.texts import TextStore
from sparseir.data.stores.write_pairs import Pairs, open_run, write_run, write_table
from sparseir.errors import DataError

RUN_PAIRS = 2_000_000
"""Pairs of a run: about 100 MB while it is collected and sorted."""

_LOOKED_UP = 65_536
_STATE, _FORM, _VERSION = "state.json", "pairs being read", 1


class PairSpool:
    """Reads a file of pairs into sorted runs, and merges these into tables.

    Parameters
    ----------
    prepared : the folder, whose stores hold what the file names.
    file : what is read. of : what tells it from what it was before. skip_unknown : leave out pairs with an id that the stores do not hold; else they are refused.

    Attributes
    ----------
    line : the last line of the file that is in a run. unknown : pairs that were left out.
    """

    def __init__(self, prepared: Prepared, file: PairFile, of: list[dict[str, Any]], *, skip_unknown: bool) -> None:
        self.folder = prepared.path / "spool" / file.name
        self._prepared, self._file, self._of, self._skip = prepared, file, of, skip_unknown
        self.line, self.unknown = 0, 0
        self._runs: dict[str, list[str]] = {}
        found = (self.folder / _STATE).is_file()
        state = read_description(self.folder / _STATE, _FORM, _VERSION) if found else {}
        if state.get("of") == of:
            self.line, self.unknown, self._runs = state["line"], state["unknown"], state["runs"]
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)

    def read(self, rows: Iterator[PairRow], progress: Progress) -> None:
        """Take the rows after `line` in.

        Raises
        ------
        DataError : an id that the stores do not hold, with file and line. SparseIRError : a full disk.
        """
        with room_on_disk(self.folder, "pairs"):
            waiting: dict[str, list[Pairs]] = defaultdict(list)
            count = 0
            for block in _blocks(rows):
                for table, pairs in self._looked_up(block).items():
                    waiting[_safe(table)].append(pairs)
                    count += len(pairs.keys)
                if count >= RUN_PAIRS:
                    self._write(waiting, block[-1].line)
                    waiting.clear()
                    count = 0
                progress(f"reading {self._file.name}", block[-1].line, None)
            if waiting:
                self._write(waiting, block[-1].line)

    def merge(self, progress: Progress) -> list[str]:
        """Make the tables; their names, as ROLE.NAME.

        Raises
        ------
        DataError : a pair with two scores or two grades that differ, with both lines; a file without pairs.
        """
        if not self._runs:
            raise DataError(f"holds no pairs{' of known ids' if self.unknown else ''}", path=self._file.source.label)
        made = []
        for table, names in sorted(self._runs.items()):
            role, name = _table_name(table, self._file.name)
            runs = [open_run(self.folder / run) for run in names]
            stated = self._prepared.new_table(role, str(self._file.source.label))
            # A document may be negative in many lines of a query; grades and scores are what the file says only once.
            fault = None if role == "negatives" else self._contradiction
            write_table(self._prepared.place(role, name), runs, stated, fault=fault, progress=progress)
            made.append(f"{role}.{name}")
        return made

    def remove(self) -> None:
        """The tables stand; their runs are not needed any more."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, waiting: dict[str, list[Pairs]], line: int) -> None:
        for table, parts in waiting.items():
            name = f"{len(self._runs.get(table, ())):06d}.{table}"
            write_run(self.folder / name, Pairs.joined(parts))
            self._runs.setdefault(table, []).append(name)
        self.line = line
        state = {"of": self._of, "line": self.line, "unknown": self.unknown, "runs": self._runs}
        write_description(self.folder / _STATE, {"format": _FORM, "version": _VERSION, **state})

    def _looked_up(self, block: Sequence[PairRow]) -> dict[str, Pairs]:
        queries = self._rows_of(self._prepared.queries, [row.query for row in block])
        documents = self._rows_of(self._prepared.documents, [row.document for row in block])
        known = (queries >= 0) & (documents >= 0)
        if not known.all():
            if not self._skip:
                self._refuse(block[int(np.argmin(known))], int(queries[np.argmin(known)]))
            self.unknown += int((~known).sum())
        keys = queries.astype(np.uint64) << np.uint64(32) | documents.astype(np.uint64)
        values = np.array([row.value for row in block], np.float32)
        places = np.array([row.line for row in block], np.uint64)
        tables = np.array([row.table for row in block])
        out = {}
        for table in np.unique(tables):
            chosen = known & (tables == table)
            if chosen.any():
                out[str(table)] = Pairs(keys[chosen], values[chosen], places[chosen])
        return out

    def _rows_of(self, store: TextStore, names: list[str]) -> NDArray[np.int64]:
        different = list(dict.fromkeys(names))
        rows = dict(zip(different, store.rows(different).tolist(), strict=True))
        return np.array([rows[name] for name in names], np.int64)

    def _refuse(self, row: PairRow, query: int) -> None:
        what, name = ("query", row.query) if query < 0 else ("document", row.document)
        raise DataError(
            f"{what} '{name}' is not among the {'queries' if query < 0 else 'documents'} of this folder; give the files that these "
            "pairs were made for, or --skip-unknown to leave such pairs out",
            path=self._file.source.label,
            line=row.line,
        )

    def _contradiction(self, first: int, later: int, values: tuple[float, float]) -> DataError:
        before = "on the same line" if first == later else f"on line {first}"
        return DataError(
            f"a query and a document have {values[1]:g} here and {values[0]:g} {before}; a pair has one grade and one score",
            path=self._file.source.label,
            line=later,
        )


def _blocks(rows: Iterator[PairRow]) -> Iterator[list[PairRow]]:
    """Whole lines, so many that their names are looked up together."""
    block: list[PairRow] = []
    for _, line in groupby(rows, attrgetter("line")):
        block.extend(line)
        if len(block) >= _LOOKED_UP:
            yield block
            block = []
    if block:
        yield block


def _table_name(table: str, source: str) -> tuple[Role, str]:
    role, _, name = table.partition(".")
    assert role in ("positives", "negatives", "scores")
    return role, name or source  # type: ignore[return-value]


def _safe(name: str) -> str:
    """A name that a folder can have: of a system's name in a file, letters, digits and - . _ alone."""
    return "".join(c if c.isalnum() or c in "-._" else "-" for c in name)[:100].lstrip(".")
