"""Approximate search: knobs at their loosest are exact, a calibration keeps its promise and is kept until the index changes."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from indexer import SparseVectors, add_documents, build_index, delete_documents
from sparseir.errors import ConfigError
from sparseir.search.approximate import ApproximateConfig
from sparseir.search.calibration import calibration
from sparseir.search.calibration.calibration import FACTORS, Calibrator, lower_bound, recalls
from sparseir.search.calibration.pseudo_queries import pseudo_queries, shape_of
from sparseir.search.cpu import Knobs, open_native
from sparseir.search.searcher import Searcher


def documents(seed, count):
    """Rows of 12 terms in 40 topics."""
    rng = np.random.default_rng(seed)
    topics = rng.random((40, 300)) ** 8
    rows = []
    for i in range(count):
        weight = topics[i * 40 // count] * rng.random(300)
        best = np.argsort(-weight)[:12]
        rows.append({int(t): float(weight[t]) + 0.01 for t in best})
    return SparseVectors.from_rows(rows, 300)


def questions(count, size=20):
    """Terms of a topic's two documents, and two of any."""
    rng, rows = np.random.default_rng(1), documents(3, 5000)
    out = []
    for _ in range(count):
        at = int(rng.integers(len(rows) - 1))
        terms = {int(t) for i in (at, at + 1) for t in rows.row(i)[0]} | {int(t) for t in rng.integers(300, size=2)}
        chosen = rng.permutation(sorted(terms))[:size]
        out.append({int(t): float(w) for t, w in zip(chosen, np.exp(rng.normal(0, 1, size)), strict=False)})
    return SparseVectors.from_rows(out, 300)


@pytest.fixture
def folder(tmp_path):
    build_index(tmp_path / "index", documents(3, 5000))
    return tmp_path / "index"


@pytest.fixture
def fast(monkeypatch):
    """Approximate search takes half of the exact time, whatever the machine does."""
    monkeypatch.setattr(calibration.Sample, "time_ratio", lambda self, knobs: 0.5)


def test_recalls_count_ties_with_the_last_place():
    """Exact 3, 2, 2: an answer of 3, 2 (another document), 1 holds two of three places as good."""
    exact = np.array([[3, 2, 2], [1, -np.inf, -np.inf], [-np.inf] * 3], np.float32)
    found = np.array([[3, 2, 1], [-np.inf] * 3, [-np.inf] * 3], np.float32)
    np.testing.assert_allclose(recalls(exact, found), [2 / 3, 0])


def test_lower_bound_counts_one_bad_query_more():
    """1, 1, 1 and one of 1/2: mean 7/8, standard deviation 1/4, standard error 1/8."""
    assert lower_bound(np.ones(3)) == pytest.approx(7 / 8 - 1.6449 / 8)
    assert lower_bound(np.array([0.2])) == pytest.approx(0.2)
    assert lower_bound(np.zeros(0)) == 0


class Scripted:
    """A sample whose recall falls along FACTORS, by the share of terms."""

    def __init__(self, recall, ratio):
        self.queries, self.recall, self.ratio = range(100), recall, ratio

    def measure(self, knobs):
        return np.full(1000, self.recall(FACTORS.index(knobs.bound_factor), knobs.bound_mass))

    def time_ratio(self, knobs):
        return self.ratio(knobs)


def test_calibrator_takes_the_fastest_and_checks_it_on_other_queries():
    """Tuning reaches .9 up to step 20 for a mass of .6, the fastest; checking only up to step 17."""

    def tuned(step, mass):
        return 1.0 - 0.005 * step if mass == 0.6 else 0.95 - 0.005 * step

    def checked(step, mass):
        return 1.0 - 0.005 * step - (0.02 if step > 17 else 0)

    tuning = Scripted(tuned, lambda knobs: 0.5 if knobs.bound_mass == 0.6 else 0.7)
    checking = Scripted(checked, lambda knobs: 0.6)
    knobs, values, ratio = Calibrator(tuning, checking, target=0.9, max_blocks=3).run()
    assert knobs == Knobs(bound_factor=FACTORS[17], bound_mass=0.6, max_blocks=3)
    assert values[0] == pytest.approx(1.0 - 0.005 * 17)
    assert ratio == 0.6


@pytest.mark.parametrize(
    ("recall", "tuning_ratio", "checking_ratio"), [(0.5, 0.5, 0.5), (1.0, 1.2, 0.5), (1.0, 0.5, 0.99)]
)
def test_calibrator_finds_nothing_where_recall_or_time_is_wanting(recall, tuning_ratio, checking_ratio):
    tuning = Scripted(lambda step, mass: recall, lambda knobs: tuning_ratio)
    checking = Scripted(lambda step, mass: recall, lambda knobs: checking_ratio)
    assert Calibrator(tuning, checking, target=0.9, max_blocks=0).run() is None


def test_a_calibration_keeps_its_promise_on_real_queries_and_says_what_was_measured(folder, fast):
    searcher = Searcher.open(folder, engine=ApproximateConfig(recall_target=0.9))
    queries = questions(600)
    found = searcher.search_vectors(queries, k=10)
    (made,) = searcher.calibrations
    assert (made.source, made.k, made.target) == ("siamese pseudo-queries", 10, 0.9)
    assert made.num_tuned + made.num_queries == 384
    exact = Searcher.open(folder).search_vectors(queries, k=10)
    assert recalls(exact.scores, found.scores).mean() >= 0.9
    assert made.recall >= made.recall_bound >= 0.9
    given = searcher.calibrate(queries, 10)
    assert (given.source, given.num_tuned, given.num_queries) == ("given queries", 200, 400)
    if given.knobs is not None:
        again = searcher.search_vectors(queries, k=10)
        assert recalls(exact.scores, again.scores).mean() >= 0.9
        assert given.knobs.bound_factor > 1


def test_too_few_queries_promise_nothing(folder, fast):
    searcher = Searcher.open(folder, engine=ApproximateConfig(recall_target=0.99))
    for count in (0, 2, 20):
        made = searcher.calibrate(questions(count), 10)
        assert made.knobs is None
        assert made.recall == 1.0


def test_what_is_planted_in_place_of_calibrations_is_neither_waited_for_nor_followed(folder, fast):
    config = ApproximateConfig(recall_target=0.9)
    kept, other = folder.with_name("index.calibrations.json"), folder.with_name("other")
    os.mkfifo(kept)
    other.write_text("kept")
    kept.with_name(f"{kept.name}.{os.getpid()}").symlink_to(other)
    Searcher.open(folder, engine=config).search_vectors(questions(3), 10)
    assert json.loads(kept.read_text())["calibrations"]
    assert other.read_text() == "kept"
    with kept.open("r+b") as file:
        file.truncate(1 << 40)  # sparse: read whole, it would take a terabyte
    assert Searcher.open(folder, engine=config).search_vectors(questions(3), 10).ordinals.size


def test_calibrations_are_kept_beside_the_index_until_it_changes(folder, fast):
    config = ApproximateConfig(recall_target=0.9)
    kept = folder.with_name("index.calibrations.json")

    def calibrated(k=10, config=config):
        searcher = Searcher.open(folder, engine=config)
        searcher.search_vectors(questions(3), k)
        return searcher.calibrations[0]

    first = calibrated(config=ApproximateConfig(recall_target=0.9, keep=False))
    assert not kept.exists()
    assert calibrated() == first
    text = kept.read_text()
    assert calibrated() == first
    assert kept.read_text() == text
    Searcher.open(folder, engine=config).calibrate(questions(300), 10)
    assert calibrated().source == "given queries"
    assert calibrated(k=5).source == "siamese pseudo-queries"
    assert len(json.loads(kept.read_text())["calibrations"]) == 3
    add_documents(folder, documents(4, 20))
    assert calibrated().source == "siamese pseudo-queries"
    state = json.loads(kept.read_text())["state"]
    delete_documents(folder, ["0", "1"])
    calibrated()
    assert json.loads(kept.read_text())["state"] != state
    kept.write_text("{not json")
    assert calibrated().k == 10
    kept.unlink()
    kept.mkdir()  # cannot be read or replaced
    assert calibrated().k == 10


def test_short_and_long_queries_of_an_unknown_encoder_are_calibrated_apart(folder, fast):
    searcher = Searcher.open(folder, engine=ApproximateConfig(keep=False))
    searcher.search_vectors(questions(2, size=3), 10)
    searcher.search_vectors(questions(2, size=30), 10)
    assert [c.source for c in searcher.calibrations] == ["inference-free pseudo-queries", "siamese pseudo-queries"]


def test_pseudo_queries_have_the_shape_of_their_encoder(folder):
    searcher = Searcher.open(folder)
    native = open_native(searcher.index)
    assert shape_of(searcher.index, 5) == "inference-free"
    for shape in ("siamese", "inference-free"):
        made = pseudo_queries(searcher.index, native, shape, 50)
        assert len(made) == 50
        sizes = np.diff(made.indptr)
        assert sizes.min() >= 1
        assert sizes.max() <= 24  # two documents have no more terms
        again = pseudo_queries(searcher.index, native, shape, 50)
        np.testing.assert_array_equal(made.term_ids, again.term_ids)
        np.testing.assert_array_equal(made.weights, again.weights)


def test_explicit_knobs_need_no_calibration_and_loosest_are_exact(folder):
    terms, weights = np.array([3, 7, 9], np.uint32), np.array([1.0, 0.5, 2.0], np.float32)
    exact = Searcher.open(folder).search_terms(terms, weights, k=20)
    loosest = Searcher.open(folder, engine=ApproximateConfig(bound_factor=1.0, bound_mass=0.3))
    same = loosest.search_terms(terms, weights, k=20)
    np.testing.assert_array_equal(exact.ordinals, same.ordinals)
    assert loosest.calibrations == []
    with pytest.raises(ConfigError, match="nothing to tune"):
        loosest.calibrate(questions(5), 10)
    few = Searcher.open(folder, engine=ApproximateConfig(bound_factor=1.0, max_blocks=1))
    part = few.search_terms(terms, weights, k=20)
    assert 0 < (part.ordinals >= 0).sum() <= 20
    with pytest.raises(ConfigError, match="ApproximateConfig"):
        Searcher.open(folder).calibrate(questions(5), 10)


def test_a_compact_index_is_searched_exactly(folder, tmp_path):
    from indexer import IndexConfig

    build_index(tmp_path / "compact", documents(3, 3000), config=IndexConfig(layout="compact"))
    searcher = Searcher.open(tmp_path / "compact", engine=ApproximateConfig(recall_target=0.9))
    found = searcher.search_vectors(questions(5), k=10)
    exact = Searcher.open(tmp_path / "compact").search_vectors(questions(5), k=10)
    np.testing.assert_array_equal(found.ordinals, exact.ordinals)
    assert searcher.calibrations[0].knobs is None
    with pytest.raises(ConfigError, match="compact"):
        Searcher.open(tmp_path / "compact", engine=ApproximateConfig(bound_factor=2.0))


def test_faults_are_named_together():
    with pytest.raises(ConfigError, match=r"recall_target.*bound_factor.*bound_mass.*max_blocks"):
        ApproximateConfig(recall_target=2.0, bound_factor=0.5, bound_mass=0.0, max_blocks=-1)
