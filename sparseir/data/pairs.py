"""Training files: triples, teacher vectors, stored teacher scores."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexer.interchange.jsonl.text import json_value
from sparseir.data.lines import LineSource, text_of
from sparseir.data.tables import TableRow, read_table
from sparseir.errors import DataError

QUERY = ("query", "anchor", "question")
POSITIVE = ("positive", "positives", "pos", "answer")
NEGATIVE = ("negatives", "negative", "negs", "neg")
SCORES = "scores"
_LISTS = ("positives", "pos", "negatives", "negs", "neg")
"""Those whose text may be a list in JSON."""
_NUMBERED = re.compile(r"negative_\d+")
_TELLING = re.compile(r"(neg|pos|score|label|margin|similarity)", re.IGNORECASE)
"""Names of columns that say which document answers a query: one that is not understood is not passed over."""


@dataclass(frozen=True, slots=True)
class Triple:
    """A query with what answers it and what does not, as texts.

    Parameters
    ----------
    line : of the file it comes from.
    positives : at least one.
    scores : a teacher's, the positive's first; empty when the file has none, and where there are several positives.
    """

    line: int
    query: str
    positives: tuple[str, ...]
    negatives: tuple[str, ...]
    scores: tuple[float, ...] = ()


def read_triples(path: str | Path) -> Iterator[Triple]:
    """Queries with their positives and negatives; a table of any format `read_table` has.

    The query is under `query`, `anchor` or `question`; its positive, or a list of them, under `positive`, `positives`,
    `pos` or `answer`; negatives, one or a list, under `negatives`, `negative`, `negs`, `neg`, and one each under
    `negative_1`, `negative_2` …; all may be missing but query and positive. `scores` is a list: the positive's, then one
    per negative. In CSV and TSV a list is written as JSON. A TSV file without names has query, positive and any number of
    negatives. Other columns are passed over, unless their names say something about positives, negatives or scores.

    Raises
    ------
    DataError : malformed rows, with file and line; ids in place of texts; a text that is positive and negative at once.
    """
    label = Path(path)
    empty = True
    for row in read_table(path, unnamed=_tsv_names):
        empty = False
        yield _triple(row, label)
    if empty:
        raise DataError("holds no rows", path=label)


def _tsv_names(cells: list[str]) -> list[str] | None:
    if cells[0].strip() in QUERY:
        return None
    return ["query", "positive", *(f"negative_{i}" for i in range(1, len(cells) - 1))]


def _triple(row: TableRow, path: Path) -> Triple:
    columns = _columns(row, path)
    query = row.cells[columns["query"][0]]
    if not isinstance(query, str) or not query.strip():
        raise DataError(f"'{columns['query'][0]}' must be a text, found {str(query)[:40]!r}", path=path, line=row.line)
    positives, negatives = (_texts(row, columns[side], path) for side in ("positives", "negatives"))
    if not positives:
        raise DataError(f"'{columns['positives'][0]}' is empty", path=path, line=row.line)
    both = next((text for text in negatives if text in positives), None)
    if both is not None:
        raise DataError(f"{both[:60]!r} is positive and negative at once", path=path, line=row.line)
    scores = _numbers(_listed(row.cells.get(SCORES) or [], path, row.line), SCORES, path, row.line)
    if scores and len(positives) > 1:
        raise DataError(
            f"'scores' of a row with {len(positives)} positives; give a row to each", path=path, line=row.line
        )
    if scores and len(scores) != 1 + len(negatives):
        raise DataError(
            f"{len(scores)} scores for {1 + len(negatives)} documents; expected the positive's, then one per negative",
            path=path,
            line=row.line,
        )
    return Triple(row.line, query, positives, negatives, scores)


def _columns(row: TableRow, path: Path) -> dict[str, list[str]]:
    """Names of the columns of each side.

    Raises
    ------
    DataError : none, or two that mean the same; one that may matter and is not known.
    """
    numbered = [name for name in row.cells if _NUMBERED.fullmatch(name)]
    sides = {
        "query": [name for name in QUERY if name in row.cells],
        "positives": [name for name in POSITIVE if name in row.cells],
        "negatives": [name for name in NEGATIVE if name in row.cells] or numbered,
    }
    found = ", ".join(f"'{name}'" for name in row.cells) or "none"
    for side, names in (("query", QUERY), ("positives", POSITIVE)):
        if not sides[side]:
            raise DataError(f"missing key '{names[0]}' (found: {found})", path=path, line=row.line)
    known = {name for names in sides.values() for name in names[:1]} | {*numbered, SCORES}
    for name in row.cells:
        if name not in known and (name in (*QUERY, *POSITIVE) or _TELLING.match(name)):
            raise DataError(
                f"'{name}' beside {', '.join(sorted(known & row.cells.keys()))} is not understood; expected query, positive, "
                "negatives and scores, once each",
                path=path,
                line=row.line,
            )
    return sides


def _texts(row: TableRow, names: list[str], path: Path) -> tuple[str, ...]:
    """The texts of some columns, one or a list each, without repeats; null is none."""
    texts: list[str] = []
    for name in names:
        value = row.cells[name]
        if name in _LISTS:
            value = _listed(value, path, row.line)
        elif isinstance(value, str):
            value = [value]
        for text in value if isinstance(value, list) else [] if value is None else [value]:
            if not isinstance(text, str):
                what = "must be a list of strings" if name in _LISTS else "must be a string"
                ids = "; ids are not looked up: give the texts" if isinstance(text, int) else ""
                raise DataError(f"'{name}' {what}, found {type(text).__name__}{ids}", path=path, line=row.line)
            if not text.strip():
                raise DataError(f"'{name}' holds an empty text", path=path, line=row.line)
            texts.append(text)
    if len(set(texts)) < len(texts) and row.cells.get(SCORES):
        raise DataError(f"'{names[0]}' holds a text twice, each with a score", path=path, line=row.line)
    return tuple(dict.fromkeys(texts))


def _listed(value: Any, path: Path, line: int) -> Any:
    """A list as it is; a cell of text that is the JSON of one, as that."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            return json_value(value)
        except ValueError as error:
            raise DataError(f"not a list in JSON: {error}", path=path, line=line) from error
    return value


def read_scores(path: str | Path) -> dict[tuple[str, str], float]:
    """Stored teacher scores, (qid, docno) → score, from JSON lines {"query", "document", "score"}.

    Raises
    ------
    DataError : malformed lines, a score that is no finite number, an empty file.
    """
    source = LineSource(Path(path))
    scores: dict[tuple[str, str], float] = {}
    for number, row in source.objects():
        pair = (text_of(row, "query", source, number), text_of(row, "document", source, number))
        score = _numbers([row.get("score")], "score", source.label, number)[0]
        if scores.setdefault(pair, score) != score:
            raise DataError(
                f"query '{pair[0]}' and document '{pair[1]}' had the score {scores[pair]} before",
                path=source.label,
                line=number,
            )
    if not scores:
        raise DataError("holds no scores", path=source.label)
    return scores


def read_text_vectors(path: str | Path) -> Iterator[tuple[str, dict[str, float]]]:
    """(text, {token: weight}) from JSON lines {"_id", "text", "vector"}.

    Raises
    ------
    DataError : malformed lines, weights that are negative or no finite numbers.
    """
    source = LineSource(Path(path))
    for number, row in source.objects():
        vector = row.get("vector")
        if not isinstance(vector, dict):
            found = ", ".join(f"'{k}'" for k in row)
            raise DataError(
                f"'vector' must be an object of token: weight (found: {found})", path=source.label, line=number
            )
        weights = _numbers(list(vector.values()), "vector", source.label, number)
        if any(w < 0 for w in weights):
            raise DataError("'vector' holds a negative weight", path=source.label, line=number)
        yield text_of(row, "text", source, number), dict(zip(vector, weights, strict=True))


def _numbers(values: Any, key: str, path: Path, line: int) -> tuple[float, ...]:
    if not isinstance(values, list):
        raise DataError(f"'{key}' must be a list of numbers", path=path, line=line)
    numbers = []
    for value in values:
        try:
            number = float(value) if type(value) in (int, float) else math.nan
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            found = repr(value)[:60]
            raise DataError(f"'{key}' must hold finite numbers, found {found}", path=path, line=line)
        numbers.append(number)
    return tuple(numbers)
