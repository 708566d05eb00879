"""Why hits are hits: the terms of each, whose products add up to its score, and where they are in its text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer import SparseVectors
from indexer.native.queries import quantize_queries
from sparseir.search.remote.index import RemoteIndex
from sparseir.search.searcher import Searcher
from sparseir.serve.indexes import Snapshot

_READ_CHARS = 20_000
"""Of a stored text, for matched words; the rest cannot be in a snippet."""


@dataclass(frozen=True, slots=True, eq=False)
class WeightedQuery:
    """A query as the engine gets it.

    Parameters
    ----------
    text : where it came as text, else "".
    term_ids, weights : uint32 and float32, without zeros.
    encoded : the encoder's weights, before the request changed them; equal to the others if it did not.
    """

    text: str
    term_ids: NDArray[np.uint32]
    weights: NDArray[np.float32]
    encoded: tuple[NDArray[np.uint32], NDArray[np.float32]]


def describe_terms(snapshot: Snapshot, query: WeightedQuery) -> list[dict[str, Any]]:
    """The query's terms, heaviest as encoded first, those that a request switched off included with weight 0."""
    used = dict(zip(query.term_ids.tolist(), query.weights.tolist(), strict=True))
    encoded = dict(zip(query.encoded[0].tolist(), query.encoded[1].tolist(), strict=True))
    own = snapshot.terms.texts.of(query.text)
    return [
        {
            "term": snapshot.terms.name(term_id),
            "term_id": term_id,
            "channel": snapshot.terms.channel(term_id),
            "weight": used.get(term_id, 0.0),
            "encoded": encoded.get(term_id, 0.0),
            "in_query": None if own is None or not query.text else term_id in own,
        }
        for term_id in sorted({*used, *encoded}, key=lambda t: (-encoded.get(t, 0.0), t))
    ]


def explain_hits(
    snapshot: Snapshot, query: WeightedQuery, ordinals: NDArray[np.int64], texts: Sequence[str]
) -> list[dict[str, Any]]:
    """For each hit its integer score and its terms, largest product first.

    Σ product = integer_score, and score = float32(integer_score · doc_scale · query_scale), exactly.

    Parameters
    ----------
    texts : of the hits, as stored; they tell expansion from what a document says itself.
    """
    rows = SparseVectors.from_arrays(
        [0, len(query.term_ids)], query.term_ids, query.weights, snapshot.main.index.num_terms, source="query"
    )
    integers, scales = quantize_queries(rows)
    impacts = _impacts(snapshot.main, integers.ids, ordinals)
    own = snapshot.terms.texts.of(query.text) if query.text else None
    doc_scale, scale = snapshot.main.index.doc_scale, float(scales[0])
    explained = []
    for column, text in enumerate(texts):
        products = integers.weights.astype(np.int64) * impacts[:, column]
        total, said = int(products.sum()), snapshot.terms.texts.of(text)
        terms = []
        for place in sorted(np.flatnonzero(products).tolist(), key=lambda p: (-products[p], integers.ids[p])):
            term_id, product = int(integers.ids[place]), int(products[place])
            in_query = None if own is None else term_id in own
            in_document = None if said is None else term_id in said
            terms.append(
                {
                    "term": snapshot.terms.name(term_id),
                    "term_id": term_id,
                    "kind": _kind(snapshot.terms.channel(term_id), in_query, in_document),
                    "in_query": in_query,
                    "in_document": in_document,
                    "query_weight": int(integers.weights[place]),
                    "impact": int(impacts[place, column]),
                    "product": product,
                    "share": product / total,
                }
            )
        explained.append(
            {
                "score": float(np.float32(total * doc_scale * scale)),
                "integer_score": total,
                "doc_scale": doc_scale,
                "query_scale": scale,
                "terms": terms,
                "unmatched": [snapshot.terms.name(int(integers.ids[p])) for p in np.flatnonzero(products == 0)],
            }
        )
    return explained


def _kind(channel: str, in_query: bool | None, in_document: bool | None) -> str | None:
    """'lexical': a stem; 'related': a stem that the document does not say itself; 'literal': the words of both hold
    it; 'expansion': an encoder added it to one of them or both."""
    if channel == "lexical":
        return "related" if in_document is False else "lexical"
    if in_query is None and in_document is None:
        return None
    return "literal" if in_query is not False and in_document is not False else "expansion"


def _impacts(searcher: Searcher, term_ids: NDArray[np.uint32], ordinals: NDArray[np.int64]) -> NDArray[np.int64]:
    """(terms, hits): impact of each term in each hit, 0 where it does not hold it.

    A query of one term with weight 1 scores impact · doc_scale, up to the rounding to float32.
    """
    if isinstance(searcher.index, RemoteIndex):
        return searcher.index.impacts(term_ids, ordinals)
    found = np.zeros((len(term_ids), len(ordinals)), np.int64)
    if not len(ordinals):
        return found
    prepared = searcher.prepare_filter(ordinals, view="never")
    order = np.argsort(ordinals)
    one = np.ones(1, np.float32)
    for place in range(len(term_ids)):
        ranking = searcher.search_terms(term_ids[place : place + 1], one, len(ordinals), filter=prepared)
        holding = ranking.ordinals[ranking.ordinals >= 0]
        columns = order[np.searchsorted(ordinals[order], holding)]
        found[place, columns] = np.rint(ranking.scores[: len(holding)] / searcher.index.doc_scale)
    return found


def document_vector(snapshot: Snapshot, ordinal: int, text: str) -> list[dict[str, Any]]:
    """All terms of a document, heaviest first."""
    term_ids, impacts = snapshot.document_terms(ordinal)
    said, scale = snapshot.terms.texts.of(text), snapshot.main.index.doc_scale
    return [
        {
            "term": snapshot.terms.name(term_id),
            "term_id": term_id,
            "impact": impact,
            "weight": impact * scale,
            "in_document": None if said is None else term_id in said,
        }
        for term_id, impact in sorted(
            zip(term_ids.tolist(), impacts.tolist(), strict=True), key=lambda pair: (-pair[1], pair[0])
        )
    ]


def content(fields: dict[str, Any]) -> str:
    """What an encoder read of a document: title and text."""
    parts = [fields.get(name) for name in ("title", "text")]
    return " ".join(part for part in parts if isinstance(part, str))[:_READ_CHARS]
