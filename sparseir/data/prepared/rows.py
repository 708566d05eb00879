"""Pairs in public files that name queries and documents by id: one reader a format, each a stream with line numbers.

`after` is the last line that is known already: lines up to it are passed over without being parsed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from sparseir.data.judgements import qrels_rows
from sparseir.data.lines import LineSource
from sparseir.data.prepared.pickled import LARGEST_SCORE, pickled_scores
from sparseir.errors import DataError

POSITIVES, NEGATIVES, SCORES = "positives", "negatives", "scores"


class PairRow(NamedTuple):
    """One pair of a file.

    line : of the file. table : positives, negatives or scores; with `.NAME` where the file says whose negatives they are.
    query, document : their ids. value : grade or score; 0 among negatives.
    """

    line: int
    table: str
    query: str
    document: str
    value: float = 0.0


PairReader = Callable[[LineSource, int], Iterator[PairRow]]


def id_triples(source: LineSource, after: int) -> Iterator[PairRow]:
    """MS MARCO's `qidpidtriples`: qid<TAB>pid+<TAB>pid−."""
    for number, (query, positive, negative) in _columns(source, after, 3, "qid<TAB>positive<TAB>negative"):
        if positive == negative:
            raise DataError(f"document '{positive}' is positive and negative at once", path=source.label, line=number)
        yield PairRow(number, POSITIVES, query, positive, 1.0)
        yield PairRow(number, NEGATIVES, query, negative)


def judgements(source: LineSource, after: int) -> Iterator[PairRow]:
    """BEIR's and TREC's qrels, every grade."""
    for number, query, document, grade in qrels_rows(source):
        if number > after:
            yield PairRow(number, POSITIVES, query, document, float(grade))


def run(source: LineSource, after: int) -> Iterator[PairRow]:
    """A TREC run: its hits are negatives, and their scores those of a teacher."""
    for number, line in source.lines():
        if number <= after or line.startswith("#"):
            continue
        cells = line.split()
        if len(cells) != 6:
            raise DataError(
                f"expected the six columns of a run, qid Q0 docno rank score tag; found {len(cells)}",
                path=source.label,
                line=number,
            )
        yield PairRow(number, NEGATIVES, cells[0], cells[2])
        yield PairRow(number, SCORES, cells[0], cells[2], _score(cells[4], source, number))


def scores(source: LineSource, after: int) -> Iterator[PairRow]:
    """JSON lines {"query", "document", "score"}, ids as strings or whole numbers; or qid<TAB>docno<TAB>score."""
    first = next(source.lines(), (0, ""))[1]
    if not first.lstrip().startswith("{"):
        for number, (query, document, score) in _columns(source, after, 3, "qid<TAB>docno<TAB>score"):
            yield PairRow(number, SCORES, query, document, _score(score, source, number))
        return
    for number, row in _objects(source, after):
        query, document = (_id(row.get(key), key, source, number) for key in ("query", "document"))
        yield PairRow(number, SCORES, query, document, _score(row.get("score"), source, number))


def hard_negatives(source: LineSource, after: int) -> Iterator[PairRow]:
    """sentence-transformers' `msmarco-hard-negatives`: {"qid", "pos": […], "neg": {system: […]} or […]}.

    Items are ids, or objects with "pid" and "ce-score" (or "score"). Negatives of a system have a table of its name.
    """
    for number, row in _objects(source, after):
        query = _id(row.get("qid", row.get("query_id")), "qid", source, number)
        positives = _items(row.get("pos"), "pos", source, number)
        if not positives:
            raise DataError("'pos' is empty", path=source.label, line=number)
        given = row.get("neg", row.get("negs"))
        systems = given.items() if isinstance(given, dict) else [("", given)]
        own = {document for document, _ in positives}
        for document, score in positives:
            yield PairRow(number, POSITIVES, query, document, 1.0)
            if score is not None:
                yield PairRow(number, SCORES, query, document, score)
        for system, items in systems:
            table = f"{NEGATIVES}.{system}" if system else NEGATIVES
            for document, score in _items(items, f"neg.{system}".rstrip("."), source, number):
                if document in own:
                    raise DataError(
                        f"document '{document}' is positive and negative at once", path=source.label, line=number
                    )
                yield PairRow(number, table, query, document)
                if score is not None:
                    yield PairRow(number, SCORES, query, document, score)


def scored_documents(source: LineSource, after: int) -> Iterator[PairRow]:
    """OpenSearch's {"query", "docs", "scores"} by id: the document with the best score, or without scores the first,
    answers the query."""
    for number, row in _objects(source, after):
        query = _id(row.get("query"), "query", source, number)
        documents = [_id(item, "docs", source, number) for item in _list(row.get("docs"), "docs", source, number)]
        yield from judged_by_score(number, query, documents, row.get("scores"), source)


def judged_by_score(number: int, query: str, documents: list[str], given: Any, source: LineSource) -> Iterator[PairRow]:
    """The rows of some documents of a query, of which the best scored one answers it.

    Raises
    ------
    DataError : no document, one twice, scores that are not one a document or no finite numbers.
    """
    if len(set(documents)) < len(documents) or not documents:
        raise DataError("'docs' is empty, or holds a document twice", path=source.label, line=number)
    values = (
        [_score(value, source, number) for value in _list(given, "scores", source, number)] if given is not None else []
    )
    if values and len(values) != len(documents):
        raise DataError(f"{len(values)} scores for {len(documents)} documents", path=source.label, line=number)
    best = max(range(len(documents)), key=lambda i: values[i]) if values else 0
    for i, document in enumerate(documents):
        yield PairRow(number, POSITIVES if i == best else NEGATIVES, query, document, float(i == best))
        if values:
            yield PairRow(number, SCORES, query, document, values[i])


def tevatron(source: LineSource, after: int) -> Iterator[PairRow]:
    """Tevatron's {"query_id", "query", "positive_passages": [{"docid", …}], "negative_passages": […]}, its ids alone."""
    for number, row in _objects(source, after):
        yield from passage_pairs(row, source, number)


def passage_pairs(row: dict[str, Any], source: LineSource, number: int) -> Iterator[PairRow]:
    """The pairs of one row of Tevatron's."""
    query = _id(row.get("query_id"), "query_id", source, number)
    for key, table, value in (("positive_passages", POSITIVES, 1.0), ("negative_passages", NEGATIVES, 0.0)):
        passages = _list(row.get(key) or [], key, source, number)
        if table == POSITIVES and not passages:
            raise DataError("'positive_passages' is empty", path=source.label, line=number)
        for passage in passages:
            if not isinstance(passage, dict):
                raise DataError(f"'{key}' must hold objects with 'docid'", path=source.label, line=number)
            yield PairRow(number, table, query, _id(passage.get("docid"), f"{key}.docid", source, number), value)


def pickle_scores(source: LineSource, after: int) -> Iterator[PairRow]:
    """{query: {document: score}} in a pickle; what stands for a line is the number of the query."""
    for number, query, found in pickled_scores(source):
        if number > after:
            for document, score in found.items():
                yield PairRow(number, SCORES, str(query), str(document), float(score))


def _columns(source: LineSource, after: int, count: int, expected: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in source.lines():
        if number <= after:
            continue
        cells = line.split("\t") if "\t" in line else line.split()
        if len(cells) != count or not all(cells):
            found = f"{len(cells)} column{'' if len(cells) == 1 else 's'}" if len(cells) != count else "an empty one"
            raise DataError(f"expected {expected}; found {found}", path=source.label, line=number)
        yield number, cells


def _objects(source: LineSource, after: int) -> Iterator[tuple[int, dict[str, Any]]]:
    return source.objects((number, line) for number, line in source.lines() if number > after)


def _id(value: Any, key: str, source: LineSource, line: int) -> str:
    if type(value) is int or (isinstance(value, str) and value):
        return str(value)
    found = "nothing" if value is None else f"{value!r:.60}"
    raise DataError(f"'{key}' must be an id, a string or a whole number; found {found}", path=source.label, line=line)


def _list(value: Any, key: str, source: LineSource, line: int) -> list[Any]:
    if not isinstance(value, list):
        raise DataError(f"'{key}' must be a list, found {type(value).__name__}", path=source.label, line=line)
    return value


def _items(value: Any, key: str, source: LineSource, line: int) -> list[tuple[str, float | None]]:
    """(document, score or None) of ids or of objects with "pid" and perhaps a score; one id for a list of one."""
    if value is None:
        return []
    found: dict[str, float | None] = {}
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, dict):
            found[_id(item, key, source, line)] = None
            continue
        score = next((item[name] for name in ("ce-score", "score") if name in item), None)
        document = _id(item.get("pid", item.get("docid")), f"{key}.pid", source, line)
        found[document] = None if score is None else _score(score, source, line)
    return list(found.items())


def _score(value: Any, source: LineSource, line: int) -> float:
    try:
        score = math.nan if isinstance(value, bool) or value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        score = math.nan
    if not math.isfinite(score) or abs(score) > LARGEST_SCORE:
        raise DataError(f"score {value!r:.60} is no finite number of 32 bits", path=source.label, line=line)
    return score
