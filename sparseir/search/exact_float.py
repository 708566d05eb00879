"""Float-faithful search: the ranking of the weights themselves, not of their 8-bit impacts.

With q the integer query weights, i the impacts, u = doc_scale · query_scale, a document's float score is
u · Σ (q + e)(i + f) where e and f are the rounding errors. Each lies within 1/2 (within 1 downwards, where a small
weight was raised to 1; upwards without a limit, where an impact was clipped at 255), so that

    integer score − lower ≤ float score / u ≤ integer score + upper

for slacks that depend on the query alone. The k-th best float score is thus at least (k-th integer score − lower) · u, and
a document whose integer score is below that − upper cannot be a hit. All others are scored over the stored weights, in
float64 and in the order of the term ids: the answer equals that of scoring every document so.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from indexer import Index, SparseVectors
from indexer.native.engine import NativeIndex
from indexer.native.queries import quantize_queries
from sparseir.errors import ConfigError
from sparseir.search.cpu import CpuEngine
from sparseir.search.engines import Allowed, Bitmaps, Engine, EngineConfig
from sparseir.search.results import Ranking

_CLIPPED = 255
_HALF_RELATIVE, _HALF_ABSOLUTE = 2.0**-11, 2.0**-24
"""Rounding to 16 bits: relative to a weight, and of the smallest ones."""


def open_engine(choice: str | EngineConfig, index: Index, native: NativeIndex, num_threads: int) -> FloatEngine:
    """As `engines.open_engine`."""
    return FloatEngine(index, CpuEngine(native, num_threads=num_threads))


class FloatEngine(Engine):
    """Chooses and rescores candidates in one index.

    Raises
    ------
    ConfigError : the index stores no weights.
    """

    name = "exact_float"
    takes_views = True

    def __init__(self, index: Index, cpu: CpuEngine) -> None:
        for segment in index.segments:
            if segment.header.num_postings and not len(segment.section("FWGT")):
                raise ConfigError(
                    f"index '{index.path.name}' stores no weights, so that exact-float search is not possible; "
                    "build it with --set stored_weights=f32 (or f16)"
                )
        self.index = index
        self._cpu = cpu
        self._largest: dict[int, float] = {}

    def search_vectors(self, vectors: SparseVectors, k: int, allowed: Allowed) -> Ranking:
        """As `Engine.search_vectors`: the ranking by float64 scores over the stored weights."""
        ordinals = np.full((len(vectors), k), -1, np.int64)
        scores = np.full((len(vectors), k), -np.inf, np.float32)
        for i in range(len(vectors)):
            self._rank(*vectors.row(i), Ranking(ordinals[i], scores[i]), allowed)
        return Ranking(ordinals, scores)

    def impacts(self, term_ids: NDArray[np.uint32], document: Bitmaps) -> NDArray[np.int64]:
        """As `Engine.impacts`."""
        return self._cpu.impacts(term_ids, document)

    def stats(self) -> dict[str, int]:
        """As `CpuEngine.stats`, of the search for candidates."""
        return self._cpu.stats()

    def _rank(
        self, term_ids: NDArray[np.uint32], weights: NDArray[np.float32], into: Ranking, allowed: Allowed
    ) -> None:
        """Write the hits of one query over the beginning of a row of padding."""
        order = np.argsort(term_ids, kind="stable")
        order = order[weights[order] > 0]
        terms, values = np.ascontiguousarray(term_ids[order]), np.ascontiguousarray(weights[order])
        query = SparseVectors(np.array([0, len(terms)]), terms, values, self.index.num_terms)
        quantized = quantize_queries(query)[0].weights
        integers, k = quantized.astype(np.uint32), len(into.ordinals)
        slack = self._slack(terms, integers.astype(np.float64))
        candidates = self._candidates(terms, integers, k, slack, allowed)
        scores = self._rescore(candidates, terms, values)
        best = np.lexsort((candidates, -scores))[:k]
        best = best[scores[best] > 0]
        into.ordinals[: len(best)], into.scores[: len(best)] = candidates[best], scores[best]

    def _slack(self, terms: NDArray[np.uint32], q: NDArray[np.float64]) -> float:
        """upper + lower of the module's text, in integer score units."""
        if not len(terms):
            return 0.0
        largest = np.array([self._largest_impact(int(t)) for t in terms])
        upper = 0.5 * q + 0.5 * largest + 0.25 + (q + 0.5) * np.maximum(largest - _CLIPPED, 0)
        taken = np.where(q == 1, 1.0, 0.5)
        lower = np.maximum(q + taken, 0.5 * q + taken * largest)
        halved = (q + 1) * ((largest + 1) * _HALF_RELATIVE + _HALF_ABSOLUTE / self.index.doc_scale)
        # One unit more for the roundings of float64, which are far smaller.
        return float(np.sum(upper + lower + 2 * halved)) + 1.0

    def _largest_impact(self, term: int) -> float:
        """Largest weight of a term in impact units: its list_max, or more where impacts were clipped."""
        known = self._largest.get(term)
        if known is not None:
            return known
        largest = 0.0
        for segment in self.index.segments:
            ids, records = segment.section("TERM"), segment.section("TREC")
            at = int(np.searchsorted(ids, term))
            if at == len(ids) or int(ids[at]) != term:
                continue
            largest = max(largest, float(records["list_max"][at]))
            if segment.entry.num_clipped and records["list_max"][at] == _CLIPPED:
                start, df = int(records["postings_start"][at]), int(records["df"][at])
                stored = segment.section("FWGT")[start : start + df]
                largest = max(largest, float(stored.max()) / self.index.doc_scale)
        self._largest[term] = largest
        return largest

    def _rescore(
        self, ordinals: NDArray[np.int64], terms: NDArray[np.uint32], weights: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        where, doc_ids = self.index.locate(ordinals)
        scores = np.zeros(len(ordinals), np.float64)
        for segment in np.unique(where[where >= 0]).tolist():
            here = np.flatnonzero(where == segment)
            scores[here] = self._cpu.native.float_scores(segment, doc_ids[here].astype(np.uint32), terms, weights)
        return scores

    def _candidates(
        self, terms: NDArray[np.uint32], integers: NDArray[np.uint32], k: int, slack: float, allowed: Allowed
    ) -> NDArray[np.int64]:
        """Ordinals of all documents whose integer score is within the slack of the k-th."""
        wanted = min(2 * k + 50, self.index.num_docs + 1)
        while True:
            ordinals, scores = self._cpu.search_integers(terms, integers, wanted, allowed)
            found = int((ordinals >= 0).sum())
            last = float(scores[k - 1]) - slack if found >= k else 0.0
            if found < wanted or scores[wanted - 1] < last:
                return ordinals[:found][scores[:found] >= last]
            wanted *= 4
