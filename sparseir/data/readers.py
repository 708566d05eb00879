"""Streaming readers of corpora and queries. A fault is a DataError that names file and line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sparseir.data.lines import LineSource, text_of
from sparseir.data.records import Document, Query
from sparseir.errors import DataError

_OWN_KEYS = frozenset({"_id", "title", "text"})


class CorpusReader(Iterator[Document]):
    """The documents of a corpus in file order, one at a time.

    Memory grows by one id and one line number a document, which the check for duplicates needs.

    Attributes
    ----------
    num_documents, num_empty : documents given so far, and those among them with neither title nor text.
        Empty documents are legal: they keep their ordinal and match nothing.
    """

    def __init__(self, source: LineSource) -> None:
        self.source = source
        self.num_documents = 0
        self.num_empty = 0
        self._rows = self._read()

    def __iter__(self) -> CorpusReader:
        return self

    def __next__(self) -> Document:
        return next(self._rows)

    def _read(self) -> Iterator[Document]:
        lines: dict[str, int] = {}
        for number, row in self.source.objects():
            docno = text_of(row, "_id", self.source, number)
            _refuse_duplicate(lines, docno, self.source, number)
            document = Document(
                docno,
                text_of(row, "text", self.source, number),
                text_of(row, "title", self.source, number, required=False),
                {key: value for key, value in row.items() if key not in _OWN_KEYS},
            )
            self.num_documents += 1
            self.num_empty += not document.content.strip()
            yield document
        if not self.num_documents:
            raise DataError("the corpus is empty; expected one document a line", path=self.source.label)


def read_queries(source: LineSource | str | Path) -> list[Query]:
    """Queries from BEIR JSONL ({"_id", "text"}) or from lines of qid<TAB>text; the first line decides which.

    Raises
    ------
    DataError : malformed lines, duplicate ids, no query at all.
    """
    source = _as_source(source)
    lines: dict[str, int] = {}
    queries = []
    for number, qid, text in _query_rows(source):
        _refuse_duplicate(lines, qid, source, number)
        queries.append(Query(qid, text))
    if not queries:
        raise DataError("holds no queries", path=source.label)
    return queries


def _query_rows(source: LineSource) -> Iterator[tuple[int, str, str]]:
    first = next(source.lines(), (0, ""))[1]
    if first.lstrip().startswith("{"):
        for number, row in source.objects():
            yield number, text_of(row, "_id", source, number), text_of(row, "text", source, number)
        return
    for number, line in source.lines():
        qid, tab, text = line.partition("\t")
        if not tab or not qid:
            raise DataError(
                "expected qid<TAB>text, or one JSON object a line with '_id' and 'text'",
                path=source.label,
                line=number,
            )
        yield number, qid, text


def _as_source(source: LineSource | str | Path) -> LineSource:
    return source if isinstance(source, LineSource) else LineSource(Path(source))


def _refuse_duplicate(lines: dict[str, int], name: str, source: LineSource, number: int) -> None:
    before = lines.setdefault(name, number)
    if before != number:
        raise DataError(
            f"duplicate _id '{name}', first seen on line {before}; ids must be unique", path=source.label, line=number
        )
