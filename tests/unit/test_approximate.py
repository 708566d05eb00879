"""Approximate search: what it reports is what was measured, and factor 1 is exact."""

from __future__ import annotations

import numpy as np
import pytest

from indexer import SparseVectors, build_index
from sparseir.errors import ConfigError
from sparseir.search.approximate import ApproximateConfig, recall
from sparseir.search.searcher import Searcher


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    rng = np.random.default_rng(3)
    topics = rng.random((40, 300)) ** 8
    rows = []
    for i in range(5000):
        weight = topics[i // 125] * rng.random(300)
        best = np.argsort(-weight)[:12]
        rows.append({int(t): float(weight[t]) + 0.01 for t in best})
    path = tmp_path_factory.mktemp("approximate") / "index"
    build_index(path, SparseVectors.from_rows(rows, 300))
    return path


def test_recall_counts_ties_with_the_last_place():
    """Exact 3, 2, 2: an answer of 3, 2 (another document), 1 holds two of three places as good."""
    exact = np.array([[3, 2, 2], [1, -np.inf, -np.inf], [-np.inf] * 3], np.float32)
    found = np.array([[3, 2, 1], [-np.inf] * 3, [-np.inf] * 3], np.float32)
    assert recall(exact, found) == pytest.approx((2 / 3 + 0) / 2)


def test_calibration_reaches_its_target_and_says_on_what(folder):
    searcher = Searcher.open(folder, engine=ApproximateConfig(recall_target=0.9))
    exact = Searcher.open(folder, engine="block_filter")
    rng = np.random.default_rng(1)
    queries = SparseVectors.from_rows(
        [{int(t): 1.0 + float(rng.random()) for t in rng.choice(300, 8, False)} for _ in range(20)], 300
    )
    found = searcher.search_vectors(queries, k=10)
    (calibration,) = searcher.calibrations
    assert calibration.source == "pseudo-queries"
    assert calibration.k == 10
    assert calibration.recall >= 0.9
    assert calibration.bound_factor >= 1
    assert found.ordinals.shape == (20, 10)
    given = Searcher.open(folder, engine=ApproximateConfig(recall_target=0.9, queries=queries))
    answer = given.search_vectors(queries, k=10)
    assert given.calibrations[0].source == "given queries"
    want = exact.search_vectors(queries, k=10)
    assert recall(want.scores, answer.scores) == pytest.approx(given.calibrations[0].recall)


def test_factor_one_is_exact_and_no_blocks_find_nothing_wrong(folder):
    terms, weights = np.array([3, 7, 9], np.uint32), np.array([1.0, 0.5, 2.0], np.float32)
    exact = Searcher.open(folder).search_terms(terms, weights, k=20)
    same = Searcher.open(folder, engine=ApproximateConfig(bound_factor=1.0)).search_terms(terms, weights, k=20)
    np.testing.assert_array_equal(exact.ordinals, same.ordinals)
    few = Searcher.open(folder, engine=ApproximateConfig(bound_factor=1.0, max_blocks=1))
    part = few.search_terms(terms, weights, k=20)
    assert set(part.scores[part.ordinals >= 0].tolist()) <= set(
        Searcher.open(folder).search_terms(terms, weights, k=5000).scores.tolist()
    )


def test_faults_are_named_together():
    with pytest.raises(ConfigError, match=r"recall_target.*bound_factor.*max_blocks"):
        ApproximateConfig(recall_target=2.0, bound_factor=0.5, max_blocks=-1)
