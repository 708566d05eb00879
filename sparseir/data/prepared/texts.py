"""Pairs in public files that hold the texts themselves: these are named by their digest, so that equal texts are one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Any, NamedTuple

from sparseir.data.lines import LineSource, text_of
from sparseir.data.pairs import read_triples
from sparseir.data.prepared.rows import NEGATIVES, POSITIVES, SCORES, PairRow, judged_by_score, passage_pairs
from sparseir.errors import DataError


class TextRow(NamedTuple):
    """One line of such a file.

    line : its number. query : (name, text). documents : the same of each document. pairs : which of them answer the query.
    """

    line: int
    query: tuple[str, str]
    documents: list[tuple[str, str]]
    pairs: list[PairRow]


TextReader = Callable[[LineSource], Iterator[TextRow]]


def name_of(text: str) -> str:
    """The name of a text: its BLAKE2b digest of 128 bits, in hexadecimal."""
    return blake2b(text.encode(), digest_size=16).hexdigest()


def text_triples(source: LineSource) -> Iterator[TextRow]:
    """Whatever `read_triples` reads: {"query", "pos", "negs"}, query<TAB>positive<TAB>negative …, CSV, Parquet."""
    for triple in read_triples(source.path):
        query = name_of(triple.query)
        texts = [*triple.positives, *triple.negatives]
        pairs = [PairRow(triple.line, POSITIVES, query, name_of(text), 1.0) for text in triple.positives]
        pairs += [PairRow(triple.line, NEGATIVES, query, name_of(text)) for text in triple.negatives]
        pairs += [
            PairRow(triple.line, SCORES, query, name_of(text), score)
            for text, score in zip(texts, triple.scores, strict=False)
        ]
        yield TextRow(triple.line, (query, triple.query), [(name_of(text), text) for text in texts], pairs)


def scored_texts(source: LineSource) -> Iterator[TextRow]:
    """OpenSearch's {"query", "docs", "scores"} with texts."""
    for number, row in source.objects():
        query = text_of(row, "query", source, number)
        texts = row.get("docs")
        if not query.strip() or not isinstance(texts, list) or not all(isinstance(t, str) and t.strip() for t in texts):
            raise DataError(
                "'query' must be a text and 'docs' a list of texts, none empty", path=source.label, line=number
            )
        names = [name_of(text) for text in texts]
        pairs = list(judged_by_score(number, name_of(query), names, row.get("scores"), source))
        yield TextRow(number, (name_of(query), query), list(zip(names, texts, strict=True)), pairs)


def passages(source: LineSource) -> Iterator[TextRow]:
    """Tevatron's rows with their texts, named as they name them; a passage is its title and its text."""
    for number, row in source.objects():
        pairs = list(passage_pairs(row, source, number))
        found = [*(row.get("positive_passages") or []), *(row.get("negative_passages") or [])]
        documents = [(str(p["docid"]), _passage(p, source, number)) for p in found]
        yield TextRow(number, (pairs[0].query, text_of(row, "query", source, number)), documents, pairs)


def _passage(passage: dict[str, Any], source: LineSource, number: int) -> str:
    text = text_of(passage, "text", source, number)
    title = passage.get("title")
    return f"{title} {text}".strip() if isinstance(title, str) and title else text
