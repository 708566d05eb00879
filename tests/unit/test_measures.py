from __future__ import annotations

import math

import pytest

pytest.importorskip("ir_measures", reason="the extra 'evaluate' is not installed")

from sparseir.errors import ConfigError
from sparseir.evaluate.measures import measure

QRELS = {"q1": {"a": 1, "b": 2}, "q2": {"c": 1}}


def test_a_query_without_hits_counts_zero():
    """q1: b at rank 1, a at rank 3: DCG = 2 + 1/2, ideal = 2 + 1/log2(3); q2 is not answered: 0."""
    run = {"q1": {"b": 3.0, "x": 2.0, "a": 1.0}, "unjudged": {"a": 1.0}}
    values = measure(QRELS, run, ["nDCG@10", "RR@10", "R@2"])
    assert values["nDCG@10"] == pytest.approx((2 + 0.5) / (2 + 1 / math.log2(3)) / 2)
    assert values["RR@10"] == pytest.approx(0.5)
    assert values["R@2"] == pytest.approx(0.25)


def test_an_empty_run_measures_zero():
    assert measure(QRELS, {}, ["nDCG@10"]) == {"nDCG@10": 0.0}


def test_all_unknown_names_are_reported():
    with pytest.raises(ConfigError, match=r"nDGC@10, bogus"):
        measure(QRELS, {}, ["nDGC@10", "AP", "bogus"])
