"""Why a document has its score: its terms, adding up exactly."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from html import escape
from typing import Any

import numpy as np

from indexer import Index, SparseVectors
from indexer.native.queries import quantize_queries
from sparseir.errors import DataError
from sparseir.search.engines import Engine
from sparseir.search.filters.expressions import allowed_documents
from sparseir.search.query_encoder import QueryEncoder
from sparseir.search.remote.index import RemoteIndex
from sparseir.search.stores.index import StoreIndex

_COLOURS = {"learned": "#f0a020", "lexical": "#5cb872"}


@dataclass(frozen=True, slots=True)
class ExplainedTerm:
    """One matched term.

    token : its string. channel : "learned" or "lexical". term_id : its id.
    query_weight : integer, 1..4095. impact : stored weight, 1..255.
    product : query_weight · impact. share : of the score, 0..1.
    """

    token: str
    channel: str
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

    def _repr_html_(self) -> str:
        """A table, for notebooks: query weight × document weight = product of each term, with its share as a bar."""
        rows = [
            f"<tr><td>{escape(t.token)}</td><td>{t.query_weight:,}</td><td>× {t.impact}</td><td>= {t.product:,}</td>"
            f"<td style='text-align:left'><span style='display:inline-block;height:.7em;width:{8 * t.share:.2f}em;"
            f"background:{_COLOURS[t.channel]}'></span> {t.share:.1%}</td></tr>"
            for t in self.terms
        ]
        head = "<tr><th>term</th><th>query weight</th><th>document weight</th><th>product</th><th>share</th></tr>"
        total = f"<tr><th>sum</th><th></th><th></th><th>{self.integer_score:,}</th><th></th></tr>"
        missing = f"; it does not hold {escape(', '.join(self.unmatched))}" if self.unmatched else ""
        scales = f"× {self.doc_scale:.4g} × {self.query_scale:.4g}"
        caption = f"<b>{escape(self.docno)}</b>: {self.integer_score:,} {scales} = <b>{self.score:.6g}</b>{missing}"
        return f"<p>{caption}</p><table>{head}{''.join(rows)}{total}</table>"


def explain_document(
    index: Index, engine: Engine, encoder: QueryEncoder, query: SparseVectors, docno: str
) -> Explanation:
    """Take the score of one document apart. A document that matches nothing has score 0 and no terms.

    Parameters
    ----------
    query : one row of weighted terms, ascending. encoder : knows what they are called.

    Raises
    ------
    DataError : the index holds no such document.
    """
    ordinal = int(index.ordinals([docno])[0])
    if ordinal < 0:
        raise DataError(f"index {index.path.name!r} holds no document named {docno!r}")
    quantized, scales = quantize_queries(query)
    weights = quantized.weights
    if isinstance(index, RemoteIndex | StoreIndex):
        impacts = index.impacts(query.term_ids, np.array([ordinal]))[:, 0]
    else:
        impacts = engine.impacts(query.term_ids, allowed_documents(index, np.array([ordinal])))
    total, scale = int((weights * impacts).sum()), float(scales[0])
    found = [
        ExplainedTerm(
            token=encoder.token(term_id),
            channel=encoder.channel(term_id),
            term_id=term_id,
            query_weight=weight,
            impact=impact,
            product=weight * impact,
            share=weight * impact / max(1, total),
        )
        for term_id, weight, impact in zip(query.term_ids.tolist(), weights.tolist(), impacts.tolist(), strict=True)
    ]
    return Explanation(
        docno=docno,
        score=float(np.float32(total * index.doc_scale * scale)),
        integer_score=total,
        doc_scale=index.doc_scale,
        query_scale=scale,
        terms=tuple(sorted((t for t in found if t.product), key=lambda t: (-t.product, t.term_id))),
        unmatched=tuple(t.token for t in found if not t.product),
    )
