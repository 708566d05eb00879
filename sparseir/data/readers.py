"""Reading queries. A fault is a DataError that names file and line."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from sparseir.data.lines import LineSource, text_of
from sparseir.data.records import Query
from sparseir.errors import DataError

_IDS = ("_id", "id", "qid", "query_id")
_TEXTS = ("text", "query")


def read_queries(source: LineSource | str | Path) -> list[Query]:
    """Queries from JSON lines ({"_id", "text"} as BEIR's; id, qid, query_id and query as well) or from lines of
    qid<TAB>text; the first line decides which. `-` is standard input, and pipes are read; a line of these may also be a
    text alone, which is called by its number.

    Raises
    ------
    DataError : malformed lines, duplicate ids, no query at all.
    """
    source = source if isinstance(source, LineSource) else LineSource(Path(source))
    lines: dict[str, int] = {}
    queries = []
    for number, qid, text in query_rows(source):
        before = lines.setdefault(qid, number)
        if before != number:
            raise DataError(
                f"duplicate id '{qid}', first seen on line {before}; ids must be unique", path=source.label, line=number
            )
        queries.append(Query(qid, text))
    if not queries:
        raise DataError("holds no queries", path=source.label)
    return queries


def query_rows(source: LineSource) -> Iterator[tuple[int, str, str]]:
    """(line number, qid, text) of each query of a file, as `read_queries` takes it; ids are not compared."""
    lines = source.lines()
    first = next(lines, None)
    if first is None:
        return
    lines = chain([first], lines)  # read once: a pipe has no second time
    if first[1].lstrip().startswith("{"):
        for number, row in source.objects(lines):
            qid, text = (next((key for key in keys if key in row), keys[0]) for keys in (_IDS, _TEXTS))
            yield number, text_of(row, qid, source, number, name=True), text_of(row, text, source, number)
        return
    for number, line in lines:
        qid, tab, text = line.partition("\t")
        if line.lstrip().startswith("{"):
            raise DataError(
                "a JSON object among lines of text; give all queries as JSON, or all as text",
                path=source.label,
                line=number,
            )
        if not tab and source.is_stream:
            qid, text = str(number), line
        elif not tab or not qid:
            raise DataError(
                "expected qid<TAB>text, or one JSON object a line with '_id' and 'text'",
                path=source.label,
                line=number,
            )
        yield number, qid, text
