"""Training files: triples, teacher vectors, stored teacher scores."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparseir.data.lines import LineSource, text_of
from sparseir.errors import DataError


@dataclass(frozen=True, slots=True)
class Triple:
    """A query with its positive and its negatives, as texts.

    Parameters
    ----------
    scores : a teacher's, the positive's first; empty when the file has none.
    """

    query: str
    positive: str
    negatives: tuple[str, ...]
    scores: tuple[float, ...] = ()


def read_triples(path: str | Path) -> Iterator[Triple]:
    """Triples from JSON lines {"query", "positive", "negatives": [texts], optional "scores"}; pairs have no negatives.

    Raises
    ------
    DataError : malformed lines; as many scores as documents are expected.
    """
    source = LineSource(Path(path))
    for number, row in source.objects():
        negatives = row.get("negatives", [])
        if not isinstance(negatives, list) or not all(isinstance(n, str) for n in negatives):
            raise DataError("'negatives' must be a list of strings", path=source.label, line=number)
        scores = _numbers(row.get("scores", []), "scores", source, number)
        if scores and len(scores) != 1 + len(negatives):
            raise DataError(
                f"{len(scores)} scores for {1 + len(negatives)} documents; expected the positive's, then one per negative",
                path=source.label,
                line=number,
            )
        query, positive = (text_of(row, key, source, number) for key in ("query", "positive"))
        yield Triple(query, positive, tuple(negatives), scores)


def read_scores(path: str | Path) -> dict[tuple[str, str], float]:
    """Stored teacher scores, (qid, docno) → score, from JSON lines {"query", "document", "score"}.

    Raises
    ------
    DataError : malformed lines, a score that is no finite number, an empty file.
    """
    source = LineSource(Path(path))
    scores = {}
    for number, row in source.objects():
        pair = (text_of(row, "query", source, number), text_of(row, "document", source, number))
        scores[pair] = _numbers([row.get("score")], "score", source, number)[0]
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
        weights = _numbers(list(vector.values()), "vector", source, number)
        if any(w < 0 for w in weights):
            raise DataError("'vector' holds a negative weight", path=source.label, line=number)
        yield text_of(row, "text", source, number), dict(zip(vector, weights, strict=True))


def _numbers(values: Any, key: str, source: LineSource, line: int) -> tuple[float, ...]:
    if not isinstance(values, list):
        raise DataError(f"'{key}' must be a list of numbers", path=source.label, line=line)
    numbers = []
    for value in values:
        try:
            number = float(value) if type(value) in (int, float) else math.nan
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            found = repr(value)[:60]
            raise DataError(f"'{key}' must hold finite numbers, found {found}", path=source.label, line=line)
        numbers.append(number)
    return tuple(numbers)
