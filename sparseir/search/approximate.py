"""Approximate search with a recall target: how far above the threshold a block's bound must lie to be scored.

The block filter passes over a block when its bound is below the threshold. Bounds are loose, so that asking for
bound_factor times the threshold saves blocks and loses few hits. The factor is calibrated: measured on queries, against
the exact integer ranking of this very index.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexer import Index, SparseVectors
from indexer.native_search import NativeIndex
from sparseir.errors import ConfigError
from sparseir.search.cpu import Allowed, CpuEngine

FACTORS = (1.0, 1.03, 1.06, 1.1, 1.15, 1.2, 1.25, 1.3, 1.4, 1.5, 1.65, 1.8, 2.0, 2.5, 3.0)
"""Factors tried, from exact to coarse."""

MAX_FACTOR = 1000.0
_SAMPLE = 128
_SEED = 7
_QUERY_TERMS = {"inference-free": 6}
_DEFAULT_TERMS = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class ApproximateConfig:
    """Approximate search.

    Parameters
    ----------
    recall_target : mean recall at k to calibrate for, in (0, 1].
    bound_factor : the knob itself, at least 1; 0 calibrates it.
    max_blocks : blocks of 32 documents scored at most a segment, best bounds first; 0 for no limit.
    queries : what to calibrate on; None makes pseudo-queries from documents of the index.

    Raises
    ------
    ConfigError : values out of range, together.
    """

    recall_target: float = 0.95
    bound_factor: float = 0.0
    max_blocks: int = 0
    queries: SparseVectors | None = None

    def __post_init__(self) -> None:
        faults = []
        if not 0 < self.recall_target <= 1:
            faults.append(f"recall_target is {self.recall_target}; it must lie in (0, 1]")
        if self.bound_factor != 0 and not 1 <= self.bound_factor <= MAX_FACTOR:
            faults.append(f"bound_factor is {self.bound_factor}; it must be 0 or 1..{MAX_FACTOR:g}")
        if not 0 <= self.max_blocks < 2**32:
            faults.append(f"max_blocks is {self.max_blocks}; it must be 0 (no limit) or more")
        if faults:
            raise ConfigError("approximate: " + "; ".join(faults))


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """What an approximate search was tuned to, and on what.

    target : recall asked for. recall : mean recall at k that was measured. k : hits a query.
    bound_factor : the knob, 1 = exact. num_queries : how many it was measured on. source : "given queries", or
    "pseudo-queries": the heaviest terms of documents of the index, as many as the encoder's queries have.
    """

    target: float
    recall: float
    k: int
    bound_factor: float
    num_queries: int
    source: str


def recall(exact: NDArray[np.float32], approximate: NDArray[np.float32]) -> float:
    """Mean share of the exact hits' places that hold as good a hit: ties with the k-th score count.

    Both are scores (queries, k), best first, padded with -inf. Queries without hits are left out; 1.0 when all are.
    """
    hits = np.isfinite(exact).sum(axis=1)
    some = hits > 0
    if not some.any():
        return 1.0
    worst = exact[np.arange(len(exact))[some], hits[some] - 1]
    good = (approximate[some] >= worst[:, None]) & np.isfinite(approximate[some])
    return float(np.mean(np.minimum(good.sum(axis=1), hits[some]) / hits[some]))


def pseudo_queries(index: Index, native: NativeIndex, count: int = _SAMPLE) -> SparseVectors:
    """Queries made from documents: of a random document the terms of the largest impact times inverse frequency.

    A siamese encoder's queries get 32 terms weighted like the document; an inference-free one's 6, weighted by inverse
    frequency.
    """
    kind = index.encoder.kind if index.encoder else ""
    num_terms, by_frequency = _QUERY_TERMS.get(kind, _DEFAULT_TERMS), kind in _QUERY_TERMS
    rng = np.random.default_rng(_SEED)
    rows: list[list[tuple[int, float]]] = []
    sizes = np.array([s.num_docs for s in index.segments], np.float64)
    if sizes.sum() == 0:
        return SparseVectors.empty(0, index.num_terms)
    for _ in range(count):
        number = int(rng.choice(len(sizes), p=sizes / sizes.sum()))
        segment = index.segments[number]
        ids = segment.section("TERM")
        terms, impacts = native.document_vector(number, int(rng.integers(segment.num_docs)), len(ids))
        df = segment.section("TREC")["df"][np.searchsorted(ids, terms)]
        rarity = np.log1p(segment.num_docs / df.astype(np.float64))
        best = np.argsort(-(impacts * rarity), kind="stable")[:num_terms]
        weight = rarity if by_frequency else impacts.astype(np.float64)
        rows.append([(int(terms[i]), float(weight[i])) for i in best])
    return SparseVectors.from_rows(rows, index.num_terms)


class ApproximateEngine:
    """The block filter with a knob, which the first search with each k calibrates.

    Attributes
    ----------
    calibrations : what was found, one entry for each k searched with so far; empty where the factor was given.
    """

    def __init__(self, index: Index, cpu: CpuEngine, config: ApproximateConfig) -> None:
        self.calibrations: list[Calibration] = []
        self._index, self._config, self._cpu = index, config, cpu
        self._exact = CpuEngine(cpu.native, num_threads=cpu.num_threads)
        self._factors: dict[int, float] = {}
        cpu.bound_factor, cpu.max_blocks = self._factor, config.max_blocks

    def search_vectors(
        self, vectors: SparseVectors, k: int, doc_scale: float, allowed: Allowed
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Ordinals and scores (Q, k); the scores of what is found are exact."""
        return self._cpu.search_vectors(vectors, k, doc_scale, allowed)

    def _factor(self, k: int) -> float:
        if self._config.bound_factor:
            return self._config.bound_factor
        if k not in self._factors:
            self._factors[k] = 1.0  # for the searches of the calibration itself
            calibration = self._calibrate(k)
            self.calibrations.append(calibration)
            self._factors[k] = calibration.bound_factor
        return self._factors[k]

    def _calibrate(self, k: int) -> Calibration:
        """The largest factor whose measured recall reaches the target."""
        queries, source = self._config.queries, "given queries"
        if queries is None:
            queries, source = pseudo_queries(self._index, self._cpu.native), "pseudo-queries"
        exact = self._exact.search_vectors(queries, k, 1.0, None)[1]
        best, reached = 1.0, 1.0
        low, high = 0, len(FACTORS) - 1
        while low < high:  # recall falls as the factor grows
            middle = (low + high + 1) // 2
            self._factors[k] = FACTORS[middle]
            measured = recall(exact, self._cpu.search_vectors(queries, k, 1.0, None)[1])
            if measured >= self._config.recall_target:
                low, best, reached = middle, FACTORS[middle], measured
            else:
                high = middle - 1
        return Calibration(
            target=self._config.recall_target,
            recall=reached,
            k=k,
            bound_factor=best,
            num_queries=len(queries),
            source=source,
        )
