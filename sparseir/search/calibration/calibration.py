"""Calibration of approximate search: the fastest knobs that keep a promised recall, or exact search.

A third of a sample tunes, the rest checks. Tuning finds, for each share of terms in the bounds, how much the bounds may be
discounted, and takes the fastest. Checking goes from careful towards tuned knobs and stops at the first whose recall is not
shown to reach the target: on queries that had no part in the tuning, and by a one-sided 95% lower bound of the mean. Testing
in a fixed order needs no correction for the number of tests (Angelopoulos et al. 2021, arXiv:2110.01052, section 3).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexer import SparseVectors
from sparseir.search.cpu import CpuEngine, Knobs

FACTORS = tuple(round(1.04**i, 4) for i in range(1, 36))
"""Bound factors tried, careful first."""
MASSES = (0.7, 0.6, 0.5, 1.0)
"""Shares of the possible score whose terms are in the bounds."""

_STEPS_BACK = 6
_NORMAL_95 = 1.6449
_WORTH = 0.95
"""Approximate search must take at most this share of the exact time, or exact search runs."""
_HOPELESS = 1.5
_TIMED, _TIMED_ROUNDS = 64, 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """What an approximate search was tuned to, and on what.

    Parameters
    ----------
    target : recall asked for. k : number of hits at which it is measured.
    knobs : what searches run with; None: searches are exact, because nothing faster was shown to reach the target.
    recall, recall_bound : mean recall over the checking queries, and its one-sided 95% lower bound; 1 where exact.
    num_queries : checking queries. num_tuned : queries of the tuning.
    source : "given queries", or "siamese pseudo-queries" or "inference-free pseudo-queries" (`pseudo_queries`).
    time_ratio : time of the checking queries / that of exact search on this machine; 1 where exact.
    """

    target: float
    k: int
    knobs: Knobs | None
    recall: float
    recall_bound: float
    num_queries: int
    num_tuned: int
    source: str
    time_ratio: float


def recalls(exact: NDArray[np.float32], approximate: NDArray[np.float32]) -> NDArray[np.float64]:
    """Share of each query's exact hits in whose place there is a hit as good: ties with the k-th score count.

    Both are scores (queries, k), best first, padded with -inf. Queries without hits are left out.
    """
    hits = np.isfinite(exact).sum(axis=1)
    some = hits > 0
    worst = exact[some, hits[some] - 1]
    good = (approximate[some] >= worst[:, None]) & np.isfinite(approximate[some])
    return np.minimum(good.sum(axis=1), hits[some]) / hits[some]


def lower_bound(values: NDArray[np.float64]) -> float:
    """One-sided 95% lower bound of the mean recall, from a sample: mean − 1.645 · standard error.

    One more query of recall 1/2, or of the worst in the sample if that is less, is counted: without it a sample without
    losses would promise a recall of 1 however small it is. 0 for an empty sample.
    """
    if not len(values):
        return 0.0
    padded = np.append(values, min(0.5, float(values.min())))
    return float(padded.mean() - _NORMAL_95 * padded.std(ddof=1) / np.sqrt(len(padded)))


class Sample:
    """Queries of one shape, with their exact hits.

    Parameters
    ----------
    engine : answers, exactly and with the knobs to be measured.
    """

    def __init__(self, engine: CpuEngine, queries: SparseVectors, k: int) -> None:
        self.queries, self._engine, self._k = queries, engine, k
        self._truth = engine.search_vectors(queries, k, None).scores

    def measure(self, knobs: Knobs) -> NDArray[np.float64]:
        """Recall of each query."""
        return recalls(self._truth, self._engine.search_vectors(self.queries, self._k, None, knobs).scores)

    def time_ratio(self, knobs: Knobs) -> float:
        """Time with the knobs / time of exact search; each the best of rounds taken in turns."""
        part = self.queries.slice(0, min(_TIMED, len(self.queries)))
        best = [np.inf, np.inf]
        for _ in range(_TIMED_ROUNDS):
            for i, tried in enumerate((knobs, None)):
                start = time.perf_counter()
                self._engine.search_vectors(part, self._k, None, tried)
                best[i] = min(best[i], time.perf_counter() - start)
        return best[0] / best[1]


class Calibrator:
    """Finds knobs for one target and k.

    Parameters
    ----------
    tuning, checking : disjoint samples.
    target : mean recall to reach. max_blocks : a limit that holds throughout.
    """

    def __init__(self, tuning: Sample, checking: Sample, *, target: float, max_blocks: int) -> None:
        self._tuning, self._checking = tuning, checking
        self._target, self._max_blocks = target, max_blocks

    def run(self) -> tuple[Knobs, NDArray[np.float64], float] | None:
        """Tune, check, and compare with exact search: knobs, recalls of the checking queries, share of the exact time.

        None where nothing faster than exact search is shown to reach the target.
        """
        tuned = self._fastest()
        passed = None if tuned is None else self._checked(*tuned)
        if passed is None:
            return None
        ratio = self._checking.time_ratio(passed[0])
        return None if ratio > _WORTH else (*passed, ratio)

    def _knobs(self, step: int, mass: float) -> Knobs:
        return Knobs(bound_factor=FACTORS[step], bound_mass=mass, max_blocks=self._max_blocks)

    def _fastest(self) -> tuple[int, float] | None:
        """(place in FACTORS, share of terms) of the fastest knobs that reach the target in the tuning."""
        best, best_ratio = None, np.inf
        for mass in MASSES:
            step = self._largest_step(mass)
            if step < 0:
                continue
            ratio = self._tuning.time_ratio(self._knobs(step, mass))
            if ratio < best_ratio:
                best, best_ratio = (step, mass), ratio
            if ratio > _HOPELESS:  # other shares change little, so exact search is right for such a k
                break
        return best if best_ratio <= _WORTH else None

    def _largest_step(self, mass: float) -> int:
        """Recall falls as the factor grows: binary search for the last of FACTORS that reaches the target; -1: none does."""
        low, high = -1, len(FACTORS) - 1
        while low < high:
            middle = (low + high + 1) // 2
            values = self._tuning.measure(self._knobs(middle, mass))
            if len(values) and values.mean() >= self._target:
                low = middle
            else:
                high = middle - 1
        return low

    def _checked(self, tuned: int, mass: float) -> tuple[Knobs, NDArray[np.float64]] | None:
        """The last knobs, going towards the tuned ones, that are shown to reach the target on the checking queries."""
        passed = None
        for step in range(max(0, tuned - _STEPS_BACK), tuned + 1):
            values = self._checking.measure(self._knobs(step, mass))
            if lower_bound(values) < self._target:
                break
            passed = (self._knobs(step, mass), values)
        return passed
