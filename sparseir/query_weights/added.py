"""Words that queries do not say and relevant documents hold: which ones a word of queries may add, and what they would score."""

from __future__ import annotations

from dataclasses import dataclass, replace
from threading import Event
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sparseir.query_weights.lists import CandidateLists, DocumentRows
from sparseir.query_weights.ridge import Ridge, go_on_unless, list_losses

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

FEWEST_QUERIES = 3
"""Queries that say a word, below which it adds none."""

_CHUNK = 1024
"""Queries whose descents are in memory together."""

_DAMPING = 0.1
"""Added to standard errors, as a share of a word's steepest descent: few queries that agree by chance are not certain."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """K pairs: said and added, int64 (K,), the pairs of a word together."""

    said: NDArray[np.int64]
    added: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.said)


class WordAdder:
    """Finds pairs by how steeply the loss falls when they are added, and gives their parts of the scores.

    Parameters
    ----------
    documents : the words of all candidates.
    weights : float64 (terms,), what each word weighs in a query that says it, as built; 0 for terms that are no words.
    most : words that one adds at most.
    """

    def __init__(self, documents: DocumentRows, weights: NDArray[np.float64], most: int) -> None:
        self._terms = np.unique(documents.weights.indices)
        """Words that a candidate holds: the columns of what follows."""
        self._held = documents.weights[:, self._terms].tocsr()
        self._weights = weights[self._terms]
        self._rows = documents.rows
        self._said = weights > 0
        self._most = most

    def pairs(self, lists: CandidateLists, fitted: Ridge, stop: Event | None = None) -> Pairs:
        """For each word t of `FEWEST_QUERIES` queries or more the `most` others u with the surest descent.

        With g_c the gradient of the losses in the score of candidate c, a pair descends in query q by
        x_q = −Σ_c g_c · w_u · d_cu. Of all queries that say t, the mean of x over its standard error orders the u, which
        prefers what helps many queries to what helps one much. `stop` ends the search with `Stopped` when set.
        """
        from scipy.sparse import csr_matrix

        _, gradient = list_losses(fitted.scale * (lists.parts @ fitted.factors), lists)
        size = len(lists), self._held.shape[0]
        pulls = csr_matrix((-gradient, self._rows(lists.ordinals), lists.starts), shape=size)
        asked = lists.queries.tocsc()
        said, added = [], []
        for term in np.flatnonzero((np.diff(asked.indptr) >= FEWEST_QUERIES) & self._said).tolist():
            go_on_unless(stop)
            queries = asked.indices[asked.indptr[term] : asked.indptr[term + 1]]
            others = self._surest(pulls[queries], term)
            said.append(np.full(len(others), term, np.int64))
            added.append(others)
        none = np.zeros(0, np.int64)
        return Pairs(np.concatenate([none, *said]), np.concatenate([none, *added]))

    def _surest(self, pulls: csr_matrix, term: int) -> NDArray[np.int64]:
        """The others of one word, by the pulls of the queries that say it on documents."""
        count, size = pulls.shape[0], len(self._terms)
        total, squares = np.zeros(size), np.zeros(size)
        for start in range(0, count, _CHUNK):
            descents = pulls[start : start + _CHUNK] @ self._held
            values = descents.data * self._weights[descents.indices]
            total += np.bincount(descents.indices, values, minlength=size)
            squares += np.bincount(descents.indices, values * values, minlength=size)
        mean = total / count
        mean[self._terms == term] = 0
        error = np.sqrt(np.maximum(squares / count - mean * mean, 0) / count)
        sure = mean / (error + _DAMPING * np.abs(mean).max(initial=0) + 1e-12)
        likely = np.flatnonzero(sure > 0)
        best = likely[np.lexsort((likely, -sure[likely]))[: self._most]]
        return np.sort(self._terms[best]).astype(np.int64)

    def extended(self, lists: CandidateLists, pairs: Pairs, stop: Event | None = None) -> CandidateLists:
        """The same lists with a column for each pair after those of the terms: weight × document weight of the added word."""
        from scipy.sparse import csc_matrix, csr_matrix, hstack, vstack

        size, width = len(pairs), len(self._said)
        of_terms = csr_matrix((np.ones(size), (pairs.said, np.arange(size))), shape=(width, size))
        active = ((lists.queries > 0).astype(np.float64) @ of_terms).tocsr()
        rows, places = self._rows(lists.ordinals), np.searchsorted(self._terms, pairs.added)
        blocks = [csr_matrix((0, size), dtype=np.float32)]
        for number in range(len(lists)):
            go_on_unless(stop)
            columns = active.indices[active.indptr[number] : active.indptr[number + 1]]
            others = places[columns]
            looked_up = csc_matrix(
                (self._weights[others], others, np.arange(len(columns) + 1)), shape=(len(self._terms), len(columns))
            )
            found = (self._held[rows[lists.starts[number] : lists.starts[number + 1]]] @ looked_up).tocsr()
            placed = found.data.astype(np.float32), columns[found.indices], found.indptr
            blocks.append(csr_matrix(placed, shape=(found.shape[0], size)))
        return replace(lists, parts=hstack([lists.parts, vstack(blocks, format="csr")], format="csr", dtype=np.float32))
