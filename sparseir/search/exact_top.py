"""The k best documents by COIL's exact scores, without scoring all: read by falling bound, until the bound falls below."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from sparseir.data.stores.tokens import TokenStore, TokenVectors
from sparseir.errors import ConfigError, DataError
from sparseir.lexical.queries import LexicalQueryEncoder
from sparseir.search.checks import checked_k
from sparseir.search.rerank import CoilReranker, exact_scores, lexical_scores
from sparseir.search.results import Hits, Ranking, hits_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexer import Index
    from sparseir.search.filters.filters import Filter
    from sparseir.search.searcher import Searcher

_FIRST_DEPTH = 256
_DEEPER = 4
_SCORED_AT_ONCE = 64
_EPSILON = 2.0**-23
_QUERY_STEPS, _IMPACT_STEPS = 4095, 255
_MOST_TERMS = 2056
"""Above so many terms the index's arithmetic takes coarser steps for a query."""


@dataclass(frozen=True, slots=True)
class ExactHits:
    """The hits, and how many documents were scored exactly to find them."""

    hits: Hits
    scored: int


def search_exactly(
    reranker: CoilReranker, searcher: Searcher, text: str, k: int = 10, *, filter: Filter | None = None
) -> ExactHits:
    """The k best documents by their exact scores, as if all were scored; ties by smaller ordinal.

    The index holds norms of token vectors. What it scores, and the most that rounding to impacts took from it, bounds what the
    tokens score: v · v' ≤ ‖v‖ ‖v'‖. Documents are scored in the order of their bounds until that of the next is below the
    k-th exact score. The dot product of COIL-full's vectors of whole texts is computed for every document: a bound ‖u‖ · max
    ‖u'‖ is as large for all, and none could be left out by it.

    Candidates are the documents that share a term with the query; with vectors of whole texts, all.

    Parameters
    ----------
    reranker : with stored vectors. searcher : over the index beside which they are stored, with an exact engine.
    text : a query; one without content has no hits. k : most hits. filter : as for `Searcher.search`.

    Raises
    ------
    ConfigError : no stored token vectors, an approximate engine, or a query of more than 2,056 terms.
    DataError : a document without stored vectors.
    """
    store, k = _checked(reranker, searcher), checked_k(k)
    query = reranker.query(text)
    asked = _Asked.of(query, searcher, store, text)
    if not len(query.terms) and not query.whole.any() and not len(asked.terms):
        return ExactHits(hits_of(searcher.index, Ranking(np.zeros(0, np.int64), np.zeros(0, np.float32))), 0)
    run = _Run(reranker, searcher, text, query, k)
    whole = _Whole.of(searcher, store, query, filter) if store.cls_dim else None
    depth, most = max(_FIRST_DEPTH, _DEEPER * k), max(1, searcher.index.num_docs)
    while True:
        depth = min(depth, most)
        found = searcher.search_terms(asked.terms, asked.weights, depth, filter=filter)
        here = found.ordinals >= 0
        ordinals = found.ordinals[here]
        bounds = (found.scores[here].astype(np.float64) + asked.slack) * (1 + asked.rounding)
        ended = not here.all() or depth == most
        rest = 0.0 if ended else float(bounds[-1])  # what the terms of documents score at most that were not found
        if whole is None:
            run.score(ordinals, bounds)
            if ended or rest < run.least:
                return ExactHits(run.hits(), run.scored)
        else:
            found_at, every = whole.bounds_with(ordinals, bounds, rest)
            run.score(whole.ordinals[found_at], every[found_at])
            if ended or np.count_nonzero(every >= run.least) - run.scored <= depth:
                run.score(whole.ordinals, every)
                return ExactHits(run.hits(), run.scored)
        depth *= _DEEPER


def _checked(reranker: CoilReranker, searcher: Searcher) -> TokenStore:
    if reranker.store is None:
        raise ConfigError(
            f"'{searcher.index.path}' has no token vectors beside it to search exactly by: build it with --token-vectors, or "
            "score the first hits by their texts with --rerank N"
        )
    if searcher.engine.name == "approximate":
        raise ConfigError(
            "exact search needs the bounds of an exact engine; leave out --recall-target, or take --rerank N"
        )
    return reranker.store


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """What the index is asked, and what its scores lack of a bound.

    terms, weights : norms by term, and stems where the index has a lexical channel.
    slack : added to a score, makes it a bound of real numbers. rounding : relative, of float32 in the sums and products of an exact score and of norms.
    """

    terms: NDArray[np.uint32]
    weights: NDArray[np.float32]
    slack: float
    rounding: float

    @classmethod
    def of(cls, query: TokenVectors, searcher: Searcher, store: TokenStore, text: str) -> _Asked:
        """A weight w is stored as i steps of size s, |w − i s| ≤ s / 2 or, above 255 steps, w ≤ the term's largest norm; a
        query's weight as j steps of size t, |w − j t| ≤ t / 2. Hence w_q w_d ≤ (j t)(i s) + 255 s t / 2 + w_q max(s / 2, …).
        """
        norms = query.norms(store.num_terms, summed=True)
        terms, weights = norms.term_ids, norms.weights
        stems = np.zeros(0, np.uint32), np.zeros(0, np.float32)
        encoder = searcher.queries.encoder
        if isinstance(encoder, LexicalQueryEncoder):
            stems = encoder.stems(text)
        if len(terms) + len(stems[0]) > _MOST_TERMS:
            raise ConfigError(f"a query of more than {_MOST_TERMS:,} terms cannot be searched exactly; take --rerank N")
        size = searcher.index.doc_scale
        step = max([0.0, *(float(part.max()) for part in (weights, stems[1]) if len(part))]) / _QUERY_STEPS
        own = (
            float(stems[1].max(initial=0)) / _QUERY_STEPS
        )  # stems are scored by themselves as well, in steps of their own
        missing = np.maximum(size / 2, store.largest[terms].astype(np.float64) - _IMPACT_STEPS * size)
        slack = float(weights.astype(np.float64) @ missing) + _IMPACT_STEPS * size * (
            len(terms) * step / 2 + len(stems[0]) * (step + own) / 2
        )
        both = np.concatenate([terms, stems[0]]), np.concatenate([weights, stems[1]])
        size_of_sums = store.token_dim + len(query.terms) + len(stems[0]) + 16
        return cls(both[0].astype(np.uint32), both[1].astype(np.float32), slack, 2 * size_of_sums * _EPSILON)


@dataclass(frozen=True, slots=True, eq=False)
class _Whole:
    """What the vectors of whole texts score at most, float64 (N,), for the documents that may be hits, by rising ordinal."""

    ordinals: NDArray[np.int64]
    bounds: NDArray[np.float64]

    @classmethod
    def of(cls, searcher: Searcher, store: TokenStore, query: TokenVectors, filter: Filter | None) -> _Whole:
        """
        Raises
        ------
        DataError : a document has no stored vectors.
        """
        own = query.whole[0].astype(np.float32)
        error = (store.cls_dim + 16) * _EPSILON * float(np.linalg.norm(own)) * store.longest
        import torch

        # Widening 16 bits by numpy was half of a search over 5,000 documents; torch takes less than half as long.
        asked = torch.from_numpy(own)
        products = [
            (torch.from_numpy(np.array(block)).float() @ asked).numpy().astype(np.float64) for _, block in store.whole()
        ]
        scores = np.concatenate([np.zeros(0), *products]) + 4 * error
        every, segments, rows = _located(searcher.index, store)
        allowed = segments >= 0
        if np.count_nonzero(allowed) != searcher.index.num_docs:
            raise DataError(
                f"holds token vectors of {np.count_nonzero(allowed):,} of the index's {searcher.index.num_docs:,} documents: the "
                "others were added without; build the index again with --token-vectors",
                path=store.path,
            )
        if filter is not None:
            prepared = searcher.prepare_filter(filter, view="never")
            for number, bitmap in enumerate(prepared.bitmaps):
                here = np.flatnonzero(segments == number)
                words = bitmap[rows[here] >> 6] >> (rows[here] & 63).astype(np.uint64)
                allowed[here] &= (words & np.uint64(1)).astype(bool)
        return cls(every[allowed], scores[allowed])

    def bounds_with(
        self, found: NDArray[np.int64], tokens: NDArray[np.float64], rest: float
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Places of the documents that were found, and bounds of all (N,): with what the tokens of these score at most, and with
        `rest` for those of all others.
        """
        at = np.searchsorted(self.ordinals, found)
        bounds = self.bounds + rest
        bounds[at] = self.bounds[at] + tokens
        return at, bounds


@lru_cache(maxsize=1)
def _located(index: Index, store: TokenStore) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Ordinals of all documents with stored vectors, the segment that holds each, −1 for one that is deleted, and its row there."""
    ordinals = [np.arange(first, first + len(block)) for first, block in store.whole()]
    every = np.concatenate([np.zeros(0, np.int64), *ordinals])
    return every, *index.locate(every)


class _Run:
    """The best so far; documents are scored in the order of their bounds."""

    def __init__(self, reranker: CoilReranker, searcher: Searcher, text: str, query: TokenVectors, k: int) -> None:
        self._reranker, self._searcher, self._text, self._query, self._k = reranker, searcher, text, query, k
        self._ordinals, self._scores = np.zeros(0, np.int64), np.zeros(0, np.float32)
        self._seen: set[int] = set()

    @property
    def scored(self) -> int:
        """Documents scored exactly."""
        return len(self._seen)

    @property
    def least(self) -> float:
        """The k-th best exact score so far; below every score until there are k."""
        return float(self._scores[-1]) if len(self._scores) == self._k else -np.inf

    def score(self, ordinals: NDArray[np.int64], bounds: NDArray[np.float64]) -> None:
        """Score documents until the bound of the next is below the k-th; those scored before are left out."""
        new = np.flatnonzero(bounds >= self.least)
        new = new[~np.isin(ordinals[new], list(self._seen))]
        order = new[np.lexsort((ordinals[new], -bounds[new]))]
        for start in range(0, len(order), _SCORED_AT_ONCE):
            block = order[start : start + _SCORED_AT_ONCE]
            block = block[bounds[block] >= self.least]
            if not len(block):
                return
            self._add(ordinals[block])

    def _add(self, ordinals: NDArray[np.int64]) -> None:
        store = self._reranker.store
        assert store is not None
        scores = exact_scores(self._query, (store.of(ordinal) for ordinal in ordinals.tolist()))
        scores = scores + lexical_scores(self._searcher, self._text, ordinals)
        self._seen.update(ordinals.tolist())
        every, given = np.concatenate([self._ordinals, ordinals]), np.concatenate([self._scores, scores])
        best = np.lexsort((every, -given))[: self._k]
        self._ordinals, self._scores = every[best], given[best]

    def hits(self) -> Hits:
        """The k best."""
        return hits_of(self._searcher.index, Ranking(self._ordinals, self._scores))
