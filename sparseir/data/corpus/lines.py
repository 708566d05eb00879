"""Rows that are lines: JSON objects, and MS MARCO's columns without a header."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from indexer.interchange.input import LARGEST_LINE
from indexer.interchange.jsonl.text import json_value
from sparseir.data.corpus.fields import FieldMap
from sparseir.data.corpus.places import Place, Row, SourceFile, check_differ
from sparseir.data.lines import LineSource
from sparseir.errors import DataError

_COLUMNS = {2: ("id", "text"), 4: ("id", "url", "title", "text")}
"""MS MARCO's passages and documents."""


class JsonLines(SourceFile):
    """One JSON object a line: BEIR, Anserini and the like."""

    def rows(self) -> Iterator[Row]:
        for number, row in self.source.objects():
            yield Place(self.label, number), row


class JsonFile(SourceFile):
    """A .json file: objects one a line, or one array of them, or one object over many lines, as Anserini takes them."""

    def rows(self) -> Iterator[Row]:
        lines = self.source.lines()
        first = next(lines, None)
        if first is None:
            return
        if _is_object(first[1]):
            for number, row in self.source.objects(chain([first], lines)):
                yield Place(self.label, number), row
            return
        for number, row in enumerate(self._whole(chain([first], lines)), 1):
            place = Place(self.label, number, "item")
            if not isinstance(row, dict):
                raise place.fault(f"expected a JSON object, found {type(row).__name__}")
            yield place, row

    def _whole(self, lines: Iterable[tuple[int, str]]) -> list[Any]:
        parts: list[str] = []
        size = 0
        for _, line in lines:
            parts.append(line)
            size += len(line)
            if size > LARGEST_LINE:
                raise DataError(
                    f"more than {LARGEST_LINE >> 20} MB as one JSON value; write one object a line (.jsonl)",
                    path=self.label,
                )
        try:
            value = json_value("\n".join(parts))
        except ValueError as error:
            raise DataError(
                f"not valid JSON: {error}; expected an array of objects, or one object a line", path=self.label
            ) from error
        return value if isinstance(value, list) else [value]


def _is_object(line: str) -> bool:
    if not line.lstrip().startswith("{"):
        return False
    try:
        return isinstance(json_value(line), dict)
    except ValueError:
        # A line that opens an object and goes on below, or a damaged one of many: only the latter has its end.
        return line.rstrip().endswith("}")


@dataclass(frozen=True, slots=True)
class TabLines(SourceFile):
    """Tabs and nothing quoted.

    Parameters
    ----------
    columns : names for the cells of the first line; None where that line names the columns itself.
    """

    columns: Callable[[list[str], Place], Sequence[str] | None]

    def rows(self) -> Iterator[Row]:
        names: Sequence[str] | None = None
        has_header = False
        for at, (number, line) in enumerate(self.source.lines()):
            place, cells = Place(self.label, number), line.split("\t")
            if at == 0:
                names = self.columns(cells, place)
                if names is None:
                    has_header = True
                    names = [cell.strip() for cell in cells]
                    check_differ(names, place)
                    continue
            assert names is not None
            if len(cells) != len(names):
                if not has_header:
                    self.columns(cells, place)  # it may know better what is wrong
                first = f"the header names {len(names)} columns" if has_header else f"the first line has {len(names)}"
                raise place.fault(f"{len(cells)} cells, and {first}")
            yield place, dict(zip(names, cells, strict=True))


def collection_lines(source: LineSource, fields: FieldMap) -> TabLines:
    """MS MARCO's `pid<TAB>text` and `docid<TAB>url<TAB>title<TAB>body`, or the columns of a header.

    Parameters
    ----------
    fields : keys that make a first line a header.
    """

    def columns(cells: list[str], place: Place) -> Sequence[str] | None:
        if fields.names_columns(cells):
            return None
        names = _COLUMNS.get(len(cells))
        if names is None:
            raise place.fault(
                f"expected id<TAB>text, or id<TAB>url<TAB>title<TAB>text, found {len(cells)} "
                f"column{'' if len(cells) == 1 else 's'}; a table with other columns needs a header"
            )
        return names

    return TabLines(source, columns)
