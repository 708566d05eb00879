"""Queries with words of the documents that they find first."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from indexer import Index, SparseVectors
from sparseir.errors import ConfigError
from sparseir.search.engines import Engine
from sparseir.search.feedback.options import Feedback
from sparseir.search.feedback.rows import DocumentRows, Row
from sparseir.search.results import Ranking
from sparseir.search.stores.index import StoreIndex

_SHARPNESS = 4.0
"""Of the shares that documents have: one with nine tenths of the first one's score counts two thirds of it."""

_LARGEST = float(np.finfo(np.float32).max)

_FEWEST_DOCUMENTS = 2
"""That hold a word which is added: one that no other document holds finds nothing."""


@runtime_checkable
class WeighsWords(Protocol):
    """A query side that says what a word of documents would weigh in a query."""

    @property
    def first_word(self) -> int: ...

    def word_weights(self, terms: NDArray[np.uint32]) -> NDArray[np.float64]: ...


class FeedbackExpansion:
    """Adds words of documents found to queries (Rocchio 1971 without the documents that are not relevant).

    With d_n(t) the weight of term t in the n-th of the documents found, s_n its score and w(t) what the word t weighs in a
    query that says it once,

        p_n ∝ exp(4 · (s_n / s_1 − 1)),   Σ p_n = 1
        g(t) = w(t) · Σ_n p_n · d_n(t)    for words t of 2 documents or more that the query does not hold; the largest `terms`
        q'(t) = q(t) + weight · ‖q‖ / ‖g‖ · g(t)

    Learned terms are not added: they have no word's weight.

    Parameters
    ----------
    index : that is searched. engine : of its searcher. encoder : its query side.

    Raises
    ------
    ConfigError : the index cannot be asked for whole documents, or has no words.
    """

    def __init__(self, index: Index, engine: Engine, encoder: object) -> None:
        if isinstance(index, StoreIndex):
            raise ConfigError(
                "feedback reads the terms of documents, which a collection of Milvus does not give; leave it out"
            )
        if not isinstance(encoder, WeighsWords):
            raise ConfigError(
                f"feedback takes words from documents, and index {index.path.name!r} has learned terms alone; "
                "build it with --lexical or --bm25"
            )
        self._rows = DocumentRows(index, engine, fewest=_FEWEST_DOCUMENTS, first_term=encoder.first_word)
        self._index, self._encoder = index, encoder
        self._weights = np.full(index.num_terms, np.nan)
        """What words weigh, NaN where nobody asked yet: 8 bytes a term."""

    def _weigh(self, terms: NDArray[np.uint32]) -> NDArray[np.float64]:
        unknown = terms[np.isnan(self._weights[terms])]
        if len(unknown):
            frequent = np.array(self._index.document_frequencies(unknown)) >= _FEWEST_DOCUMENTS
            self._weights[unknown] = np.where(frequent, self._encoder.word_weights(unknown), 0.0)
        return self._weights[terms]

    def expanded(self, queries: SparseVectors, found: Ranking, options: Feedback) -> SparseVectors:
        """The queries of the second search; those that found nothing stay as they are.

        Parameters
        ----------
        queries : of the first one. found : (Q, documents), its hits.
        """
        hits = found.ordinals >= 0
        rows = iter(self._rows.of(found.ordinals[hits]))
        expanded = []
        for number in range(len(queries)):
            terms, weights = queries.row(number)
            scores = found.scores[number][hits[number]].astype(np.float64)
            documents = [next(rows) for _ in scores]
            expanded.append(self._expanded(terms, weights, documents, scores, options))
        indptr = np.concatenate([[0], np.cumsum([len(terms) for terms, _ in expanded])]).astype(np.int64)
        return SparseVectors(
            indptr,
            np.concatenate([np.zeros(0, np.uint32), *(terms for terms, _ in expanded)]),
            np.concatenate([np.zeros(0, np.float32), *(weights for _, weights in expanded)]),
            max(queries.num_terms, self._index.num_terms),
        )

    def _expanded(
        self,
        terms: NDArray[np.uint32],
        weights: NDArray[np.float32],
        documents: list[Row],
        scores: NDArray[np.float64],
        options: Feedback,
    ) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
        if not documents or not scores[0] > 0:
            return terms, weights
        shares = np.exp(_SHARPNESS * (scores / scores[0] - 1))
        shares *= self._index.doc_scale / shares.sum()
        held = np.concatenate([own for own, _ in documents])
        masses = np.concatenate([share * impacts for share, (_, impacts) in zip(shares, documents, strict=True)])
        others, places = np.unique(held, return_inverse=True)
        gains = np.bincount(places, masses, minlength=len(others)) * self._weigh(others)
        gains[_places(others, terms[weights > 0])] = 0
        best = np.lexsort((others, -gains))[: options.terms]
        best = best[gains[best] > 0]
        length = np.sqrt(np.square(gains[best]).sum())
        own = np.sqrt(np.square(weights.astype(np.float64)).sum())
        if not length or not own:
            return terms, weights
        added = np.minimum(options.weight * own / length * gains[best], _LARGEST).astype(np.float32)
        kept = np.ones(len(terms), bool)
        kept[_places(terms, others[best])] = False  # a term of weight 0 may be among the added ones
        all_terms = np.concatenate([terms[kept], others[best]])
        order = np.argsort(all_terms, kind="stable")
        return all_terms[order], np.concatenate([weights[kept], added])[order]


def _places(ascending: NDArray[np.uint32], some: NDArray[np.uint32]) -> NDArray[np.intp]:
    """Places of those of `some` that `ascending` holds: for a few numbers in some hundred much faster than numpy's isin."""
    at = np.searchsorted(ascending, some)
    inside = at < len(ascending)
    return at[inside][ascending[at[inside]] == some[inside]]
