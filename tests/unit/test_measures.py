from __future__ import annotations

import math
import shutil

import pytest

pytest.importorskip("ir_measures", reason="the extra 'evaluate' is not installed")

from sparseir.errors import ConfigError
from sparseir.evaluate.measures import check_measures, measure, measured

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


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["nDCG@0"], r"not measures: nDCG@0.*cutoff.*1 or more"),
        (["AP", "", "R@0", "P(rel=0)@5"], r"not measures: '', R@0, P\(rel=0\)@5"),
        (["INST"], r"cannot be computed here: INST needs its parameter max_rel"),
        ([], "no measure is named"),
    ],
)
def test_what_cannot_be_computed_is_known_before_any_work(names, said):
    with pytest.raises(ConfigError, match=said) as caught:
        check_measures(names)
    assert "\n" not in str(caught.value)


def test_a_measure_of_a_package_that_is_absent_names_it():
    try:
        check_measures(["alpha_nDCG@10"])
    except ConfigError as error:
        assert "alpha_nDCG@10 needs pyndeval (pip install ir-measures[pyndeval])" in str(error)  # noqa: PT017 (may be installed)


@pytest.mark.skipif(shutil.which("perl") is None, reason="gdeval needs perl")
def test_programs_that_number_queries_take_any_names():
    """ERR@20 by hand: one document of grade 1 of at most 4 at rank 1 stops a user with (2¹ − 1) / 2⁴."""
    check_measures(["ERR@20", "nDCG(dcg='exp-log2')@10"])
    values = measure({"a b": {"x": 1}, "c": {"y": 1}}, {"a b": {"x": 1.0}}, ["ERR@20"])
    assert values["ERR@20"] == pytest.approx(1 / 16 / 2, abs=1e-4)


def test_single_queries_stand_in_the_order_of_the_judgements():
    run = {"q2": {"c": 1.0}, "q1": {"x": 2.0, "b": 1.0}}
    found = measured(QRELS, run, ["RR@10", "R@100"])
    assert found.per_query["RR@10"].tolist() == [0.5, 1.0]
    assert found.per_query["R@100"].tolist() == [0.5, 1.0]
    assert found.means == {"RR@10": 0.75, "R@100": 0.75}
