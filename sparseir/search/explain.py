"""Why a document has its score: its terms, adding up exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer import Index
from indexer.native.queries import quantize_queries
from sparseir.errors import DataError
from sparseir.search.filters import allowed_documents
from sparseir.search.query_encoder import QueryEncoder


@dataclass(frozen=True, slots=True)
class ExplainedTerm:
    """One matched term.

    token : its string. term_id : its id. query_weight : integer, 1..4095. impact : stored weight, 1..255.
    product : query_weight · impact. share : of the score, 0..1.
    """

    token: str
    term_id: int
    query_weight: int
    impact: int
    product: int
    share: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """The score of one document, taken apart.

    docno : its name. score : as search shows it, float32(integer_score · doc_scale · query_scale).
    integer_score : Σ product, exactly. terms : matched ones, largest product first, ties by term id.
    unmatched : strings of the query's terms that the document does not hold. doc_scale, query_scale : of the integers.
    """

    docno: str
    score: float
    integer_score: int
    doc_scale: float
    query_scale: float
    terms: tuple[ExplainedTerm, ...]
    unmatched: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


Product = Callable[[int, int, list[NDArray[np.uint64]]], int]
"""(term id, integer query weight, the one document allowed) → query weight · impact, as the engine computes it."""


def explain_document(index: Index, encoder: QueryEncoder, product: Product, text: str, docno: str) -> Explanation:
    """Take the score of one document apart. A document that matches nothing has score 0 and no terms.

    Raises
    ------
    DataError : the index holds no such document.
    """
    ordinal = int(index.ordinals([docno])[0])
    if ordinal < 0:
        raise DataError(f"index {index.path.name!r} holds no document named {docno!r}")
    batch, scales = quantize_queries(encoder.encode_batch([text]))
    allowed = allowed_documents(index, np.array([ordinal]))
    query = list(zip(batch.ids.tolist(), batch.weights.tolist(), strict=True))
    found = [(term_id, weight, product(term_id, weight, allowed)) for term_id, weight in query]
    total = sum(p for _, _, p in found)
    terms = tuple(
        ExplainedTerm(encoder.token(term_id), term_id, weight, p // weight, p, p / total)
        for term_id, weight, p in sorted(found, key=lambda f: (-f[2], f[0]))
        if p
    )
    unmatched = tuple(encoder.token(term_id) for term_id, _, p in found if not p)
    scale = float(scales[0])
    shown = float(np.float32(total * index.doc_scale * scale))
    return Explanation(docno, shown, total, index.doc_scale, scale, terms, unmatched)
