"""Paired tests, Holm's correction and bootstrap intervals against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the extra 'evaluate' is not installed")

from sparseir.evaluate.significance import bootstrap_interval, compare, holm, paired_p


def test_randomisation_of_few_queries_is_exact():
    """Three queries, all better by .1, .2, .3: of the 8 ways to exchange names, 2 have a mean as far from 0."""
    assert paired_p(np.array([0.1, 0.2, 0.3])) == pytest.approx(2 / 8)
    # .3, −.1: the sums of the four ways are ±.4 and ±.2; those as far as .2 are all.
    assert paired_p(np.array([0.3, -0.1])) == pytest.approx(1.0)
    # .5, .4, −.1, .2 sums to 1.0; ±1.2 and ±1.0 are as far: (all four with their signs, or with the third one's turned).
    assert paired_p(np.array([0.5, 0.4, -0.1, 0.2])) == pytest.approx(4 / 16)


def test_randomisation_of_many_queries_is_drawn_by_its_seed():
    differences = np.random.default_rng(3).normal(0.03, 0.2, 200)
    one, same, other = (paired_p(differences, resamples=2000, seed=seed) for seed in (5, 5, 6))
    assert one == same != other
    assert abs(one - other) < 0.05
    assert one == pytest.approx(paired_p(differences, test="t-test"), abs=0.03)
    # p is at least 1 / (resamples + 1), doubled as both sides are: no test of 100 exchanges can say less.
    assert paired_p(np.linspace(0.9, 1, 100), resamples=100) == pytest.approx(2 / 101)


def test_student_by_hand():
    """Differences 1, 2, 3: t = 2 / (1/√3) = 3.4641 with 2 degrees of freedom, p = 1 − t/√(t² + 2) = .0742."""
    t = 2 * math.sqrt(3)
    assert paired_p(np.array([1.0, 2.0, 3.0]), test="t-test") == pytest.approx(1 - t / math.sqrt(t * t + 2))


@pytest.mark.parametrize("test", ["randomisation", "t-test"])
def test_equal_systems_are_not_told_apart(test):
    assert paired_p(np.zeros(50), test=test) == 1.0
    assert paired_p(np.array([0.4]), test=test) == 1.0


def test_holm_by_hand():
    """.01, .04, .03 of three: .01·3, then .03·2 = .06, then .04·1 raised to .06."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_the_interval_of_the_bootstrap():
    """Of 0s and 1s drawn with replacement the mean is binomial: .4 ± 1.96·√(.4·.6/1000) for 1,000 queries."""
    values = np.repeat([0.0, 1.0], [600, 400])
    low, high = bootstrap_interval(values, resamples=4000, seed=1)
    half = 1.96 * math.sqrt(0.4 * 0.6 / 1000)
    assert (low, high) == (pytest.approx(0.4 - half, abs=0.003), pytest.approx(0.4 + half, abs=0.003))
    assert (low, high) == bootstrap_interval(values, resamples=4000, seed=1)
    some = np.random.default_rng(0).random(50)
    assert bootstrap_interval(some, seed=1) != bootstrap_interval(some, seed=2)
    assert bootstrap_interval(np.full(7, 0.25)) == (0.25, 0.25)


def test_a_comparison_counts_queries_and_corrects_for_the_number_of_systems():
    base = np.array([0.5, 0.5, 0.5, 0.5])
    values = {"base": base, "better": base + np.array([0.1, 0.2, 0.0, 0.3]), "worse": base - 0.1}
    found = compare(values, "base")
    assert list(found) == ["better", "worse"]
    better, worse = found["better"], found["worse"]
    assert (better.wins, better.ties, better.losses) == (3, 1, 0)
    assert (worse.wins, worse.ties, worse.losses) == (0, 0, 4)
    assert better.difference == pytest.approx(0.15)
    assert better.low <= better.difference <= better.high
    # better: its query of difference 0 doubles each way, so 4 of 16 are as far; worse: 2 of 16, and Holm doubles that.
    assert (better.p, worse.p) == (pytest.approx(0.25), pytest.approx(0.125))
    assert (better.p_holm, worse.p_holm) == (pytest.approx(0.25), pytest.approx(0.25))
    assert (better.against, better.test, better.resamples, better.seed) == ("base", "randomisation", 10_000, 0)
