from __future__ import annotations

import pytest

pytest.importorskip("ir_measures", reason="the extra 'evaluate' is not installed")

from sparseir.evaluate.systems.fusion import convex, reciprocal_ranks, tuned_weight

FIRST = {"q": {"a": 10.0, "b": 5.0, "c": 0.0}}
SECOND = {"q": {"c": 3.0, "d": 2.0, "b": 1.0}}


def test_reciprocal_ranks_by_hand():
    """b: 1/62 + 1/63; c: 1/63 + 1/61; a: 1/61; d: 1/62."""
    fused = reciprocal_ranks(FIRST, SECOND, k=10)["q"]
    assert list(fused) == ["c", "b", "a", "d"]
    assert fused["c"] == pytest.approx(1 / 63 + 1 / 61, rel=1e-6)
    assert list(reciprocal_ranks(FIRST, SECOND, k=2)["q"]) == ["c", "b"]


def test_reciprocal_ranks_of_three_runs():
    """a: 1/61 + 1/61; c: 1/63 + 1/61; b: 1/62 + 1/63; d: 1/62."""
    fused = reciprocal_ranks(FIRST, SECOND, {"q": {"a": 1.0}}, k=3)["q"]
    assert list(fused) == ["a", "c", "b"]
    assert fused["a"] == pytest.approx(2 / 61, rel=1e-6)


def test_convex_by_hand():
    """Scaled, the first has 1, .5, 0 for a, b, c, the second 1, .5, 0 for c, d, b; absent documents have 0."""
    fused = convex(FIRST, SECOND, weight=0.75, k=10)["q"]
    assert fused == pytest.approx({"a": 0.75, "b": 0.375, "c": 0.25, "d": 0.125}, rel=1e-6)
    assert list(fused) == ["a", "b", "c", "d"]
    assert list(convex(FIRST, SECOND, weight=0.0, k=1)["q"]) == ["c"]


def test_queries_and_hits_that_one_run_lacks():
    assert convex({"p": {"x": 2.0}}, {"q": {"y": 1.0}}, weight=0.25, k=5) == {"p": {"x": 0.25}, "q": {"y": 0.75}}
    assert reciprocal_ranks({"q": {}}, {}, k=5) == {"q": {}}


def test_ties_fall_by_docno_and_scores_fall_strictly():
    fused = reciprocal_ranks({"q": {"b": 1.0}}, {"q": {"a": 1.0}}, k=5)["q"]
    assert list(fused) == ["a", "b"]
    assert fused["a"] > fused["b"]


def test_the_weight_comes_from_the_development_queries():
    """a is first from .5 on, where both have .5 and the tie falls to the smaller name; c is first below."""
    first, second = {"q": {"a": 1.0, "c": 0.0}}, {"q": {"c": 1.0, "a": 0.0}}
    assert tuned_weight(first, second, {"q": {"a": 1}}, measure_name="RR@1", k=10) == pytest.approx(0.5)
    assert tuned_weight(first, second, {"q": {"c": 1}}, measure_name="RR@1", k=10) == pytest.approx(0.45)
