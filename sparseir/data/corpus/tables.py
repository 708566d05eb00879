"""Tables with a header, CSV or TSV: cells are text, and columns of numbers become numbers."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from indexer.interchange.input import LARGEST_LINE
from sparseir.data.corpus.fields import FieldMap
from sparseir.data.corpus.places import Place, Row, SourceFile, check_differ
from sparseir.data.lines import LineSource
from sparseir.errors import DataError

SAMPLE = 1000
"""Rows of a stream that say which of its columns hold numbers; of a file, all do."""

_INT = re.compile(r"-?(0|[1-9]\d{0,17})", re.ASCII)
_FLOAT = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d{1,2})?", re.ASCII)
_PATTERNS: tuple[tuple[str, re.Pattern[str], Callable[[str], Any]], ...] = (
    ("whole numbers", _INT, int),
    ("numbers", _FLOAT, float),
)


def header_of(line: str, separator: str) -> tuple[list[str], str]:
    """Names of the columns and what parts them: the separator, or `;` as spreadsheets of many countries write."""
    if separator == "," and "," not in line and ";" in line:
        separator = ";"
    try:
        return [name.strip() for name in next(csv.reader([line], delimiter=separator), [])], separator
    except csv.Error:
        return [], separator


@dataclass(frozen=True)
class TableFile(SourceFile):
    """A CSV or TSV file.

    Cells in quotes may hold separators, ends of lines and doubled quotes. An empty cell is a key that the row lacks; so
    that filters can compare them, columns all of whose cells are numbers hold numbers, but for those with roles.

    Parameters
    ----------
    separator : "," or a tab.
    fields : keys that keep their text. None for a table that is no corpus: its cells are text as it stands, empty or not.
    """

    separator: str
    fields: FieldMap | None

    def rows(self) -> Iterator[Row]:
        rows: Iterable[tuple[Place, dict[str, str]]] = self._cells()
        if self.fields is None:
            yield from rows
            return
        if self.is_stream:
            rows = iter(rows)
            sample = list(itertools.islice(rows, SAMPLE))
            kinds = self._kinds(row for _, row in sample)
            rows = itertools.chain(sample, rows)
        else:
            kinds = self._kinds_of_file
        for place, row in rows:
            yield place, {name: _value(cell, kinds.get(name, ()), name, place) for name, cell in row.items()}

    @cached_property
    def _kinds_of_file(self) -> dict[str, list[int]]:
        return self._kinds(row for _, row in self._cells())

    def _kinds(self, rows: Iterable[dict[str, str]]) -> dict[str, list[int]]:
        """By column, what every cell of it is: a place of _PATTERNS; columns of text are left out."""
        assert self.fields is not None
        roles = {*self.fields.ids, *self.fields.texts, *self.fields.titles}
        kinds: dict[str, list[int]] = {}
        for row in rows:
            for name, cell in row.items():
                if name in roles:
                    continue
                left = kinds.get(name)
                if left is None:
                    left = kinds[name] = list(range(len(_PATTERNS)))
                if left:
                    left[:] = [kind for kind in left if _PATTERNS[kind][1].fullmatch(cell)]
        return {name: left for name, left in kinds.items() if left}

    def _cells(self) -> Iterator[tuple[Place, dict[str, str]]]:
        """Rows with the cells that are not empty."""
        csv.field_size_limit(LARGEST_LINE)
        lines = _LinesSeen(self.source)
        names: list[str] = []
        separator = self.separator
        for line in lines:
            if line.strip():
                names, separator = header_of(line, self.separator)
                break
        if not names and self.fields is None:
            return
        place = Place(self.label, lines.number)
        self._check_header(names, place)
        reader = csv.reader(lines, delimiter=separator, strict=True)
        while True:
            place = Place(self.label, lines.number + 1)
            try:
                cells = next(reader, None)
            except csv.Error as error:
                raw = "; or say --format msmarco, which takes quotes as text" if separator == "\t" else ""
                raise place.fault(
                    f"a cell that cannot be read ({error}); quotes inside a quoted cell are doubled, and every quote is "
                    f"closed{raw}"
                ) from None
            if cells is None:
                return
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(names):
                raise place.fault(
                    f"{len(cells)} cells, and the header names {len(names)} columns; cells that hold {separator!r} are quoted"
                )
            if self.fields is None:
                yield place, dict(zip(names, cells, strict=True))
                continue
            row = {name: cell for name, cell in zip(names, cells, strict=True) if cell.strip()}
            for roles in (self.fields.ids, self.fields.texts):  # a name or text that is empty is no missing key
                key = next((k for k in roles if k in names), None)
                if key is not None:
                    row.setdefault(key, "")
            yield place, row

    def _check_header(self, names: list[str], place: Place) -> None:
        if not names:
            raise DataError("the corpus is empty; expected a header and one document a row", path=self.label)
        check_differ(names, place)
        if self.fields is not None and not self.fields.names_columns(names):
            found = ", ".join(f"'{name}'" for name in names[:12])
            raise place.fault(
                f"the header has no column called {' or '.join(self.fields.ids)}, or none called "
                f"{' or '.join(self.fields.texts)} (found: {found[:300]}); --fields id=COLUMN,text=COLUMN names others"
            )


class _LinesSeen:
    """Lines with their ends, and the number of the last one given."""

    def __init__(self, source: LineSource) -> None:
        self.number = 0
        self._lines = source.raw_text()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self.number, line = next(self._lines)
        return line


def _value(cell: str, kinds: Iterable[int], name: str, place: Place) -> Any:
    for kind in kinds:
        said, pattern, convert = _PATTERNS[kind]
        if not pattern.fullmatch(cell):
            raise place.fault(
                f"'{name}' is {cell[:60]!r}, and the first {SAMPLE} rows hold {said}; give a file in place of a stream, all of "
                "whose rows are looked at, or write null as an empty cell"
            )
        return convert(cell)
    return cell
