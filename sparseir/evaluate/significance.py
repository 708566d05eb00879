"""Whether two systems differ: paired tests over queries, corrected for their number, and bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sparseir.errors import MissingExtraError

Test = Literal["randomisation", "t-test"]
CONFIDENCE = 0.95
_EQUAL = 1e-9
"""Values of a query that are closer are a tie."""
_NUMBERS_AT_ONCE = 1 << 22

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A system against another on one measure, query by query.

    Parameters
    ----------
    against : the other system. difference : mean of this minus the other.
    low, high : bootstrap interval of the difference, 95%.
    p : of the paired test, two-sided. p_holm : after Holm's correction for all systems compared on the collection.
    wins, ties, losses : queries on which this one is better, equal, worse.
    test, resamples, seed : what p and the interval were computed with.
    """

    against: str
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    wins: int
    ties: int
    losses: int
    test: Test
    resamples: int
    seed: int


def compare(
    values: dict[str, Values], against: str, *, test: Test = "randomisation", resamples: int = 10_000, seed: int = 0
) -> dict[str, Comparison]:
    """Every other system against one, on one measure.

    Parameters
    ----------
    values : system → float64 (queries,), the same queries in the same order.
    against : the system the others are compared with.
    resamples : of the randomisation test and of the bootstrap. seed : of both; equal seeds give equal numbers.
    """
    others = [name for name in values if name != against]
    differences = {name: values[name] - values[against] for name in others}
    p = [paired_p(differences[name], test=test, resamples=resamples, seed=seed) for name in others]
    out = {}
    for name, one, corrected in zip(others, p, holm(p), strict=True):
        difference = differences[name]
        low, high = bootstrap_interval(difference, resamples=resamples, seed=seed)
        wins, losses = int((difference > _EQUAL).sum()), int((difference < -_EQUAL).sum())
        out[name] = Comparison(
            against=against,
            difference=float(difference.mean()),
            low=low,
            high=high,
            p=one,
            p_holm=corrected,
            wins=wins,
            ties=len(difference) - wins - losses,
            losses=losses,
            test=test,
            resamples=resamples,
            seed=seed,
        )
    return out


def paired_p(differences: Values, *, test: Test = "randomisation", resamples: int = 10_000, seed: int = 0) -> float:
    """Two-sided p of the hypothesis that two systems do equally well.

    randomisation: the systems' names are exchanged at random for each query, so that the sign of its difference is;
    p = (1 + number of exchanges whose mean is as far from 0) / (1 + resamples), or the exact share where there are no
    more than `resamples` ways to exchange. t-test: Student's, paired.

    Source: Smucker, Allan and Carterette 2007; scipy.stats.permutation_test and ttest_1samp.

    Parameters
    ----------
    differences : float64 (queries,).
    """
    if len(differences) < 2 or not differences.any():
        return 1.0
    if test == "t-test" and np.ptp(differences) == 0:  # no variance, so t is infinite
        return 0.0
    try:
        from scipy import stats
    except ImportError:
        raise MissingExtraError("scipy", "evaluate", "testing for significance") from None
    if test == "t-test":
        return float(stats.ttest_1samp(differences, 0.0).pvalue)
    found = stats.permutation_test(
        (differences,),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        batch=max(1, _NUMBERS_AT_ONCE // len(differences)),
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def holm(p: Sequence[float]) -> list[float]:
    """p values corrected for their number m: the i-th smallest times m − i + 1, never below a smaller one's, at most 1.

    Source: Holm 1979.
    """
    out, largest = [0.0] * len(p), 0.0
    for place, i in enumerate(np.argsort(p, kind="stable").tolist()):
        largest = max(largest, min(1.0, p[i] * (len(p) - place)))
        out[i] = largest
    return out


def bootstrap_interval(values: Values, *, resamples: int = 10_000, seed: int = 0) -> tuple[float, float]:
    """95% percentile interval of the mean of queries drawn with replacement; equal seeds draw the same queries.

    Source: Efron 1979; Sakai 2006 for measures of retrieval.
    """
    rng, means, n = np.random.default_rng(seed), np.empty(resamples), len(values)
    at_once = max(1, _NUMBERS_AT_ONCE // n)
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        means[start : start + rows] = values[rng.integers(0, n, (rows, n))].mean(axis=1)
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(means, [tail, 100 - tail])
    return float(low), float(high)
