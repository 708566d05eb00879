"""The scale of impacts: what an outlier costs, what is clipped and said, what 16 bits hold, what compaction makes anew."""

from __future__ import annotations

import re

import numpy as np
import pytest

from indexer import (
    IndexConfig,
    SparseVectors,
    add_documents,
    build_index,
    compact_index,
    delete_documents,
    open_index,
    verify_index,
)
from indexer.errors import DataError
from indexer.inversion.weights import TAIL_REACH, WeightTally
from sparseir.search.searcher import Searcher
from tests import oracle
from tests.unit.test_build import random_vectors


def rows(*weights, num_terms=8):
    return SparseVectors.from_rows(weights, num_terms)


def learned_like(rng, num_docs=600, num_terms=400, terms=40):
    """Rows of weights as a SPLADE encoder's fall: log(1 + e^x) of a normal x, cut at 0."""
    ids = np.sort(rng.permuted(np.tile(np.arange(num_terms), (num_docs, 1)), axis=1)[:, :terms], axis=1)
    weights = np.minimum(np.log1p(np.exp(rng.normal(-0.5, 1.2, ids.shape))), 2.6).astype(np.float32)
    return SparseVectors.from_arrays(np.arange(0, ids.size + 1, terms), ids.reshape(-1), weights.reshape(-1), num_terms)


def float_top(vectors, terms, weights, k=10):
    scores = vectors.to_scipy()[:, terms].astype(np.float64) @ weights.astype(np.float64)
    return np.lexsort((np.arange(len(vectors)), -scores))[:k]


def overlap(path, vectors, queries, k=10):
    """Mean share of the float top k that the index returns."""
    searcher = Searcher.open(path)
    found = searcher.search_vectors(queries, k=k).ordinals
    shares = [len(np.intersect1d(found[i], float_top(vectors, *queries.row(i), k))) / k for i in range(len(queries))]
    return float(np.mean(shares))


@pytest.mark.parametrize("times", [2, 10, 560])
def test_one_heavy_weight_does_not_ruin_an_index(tmp_path, times):
    rng = np.random.default_rng(4)
    vectors, queries = learned_like(rng), learned_like(rng, num_docs=40, terms=8)
    heavy = SparseVectors.from_rows([{7: times * float(vectors.weights.max())}], vectors.num_terms)
    both = SparseVectors.concatenate([vectors, heavy])
    build_index(tmp_path / "plain", vectors)
    index = build_index(tmp_path / "heavy", both)
    plain = overlap(tmp_path / "plain", vectors, queries)
    assert plain > 0.98
    assert overlap(tmp_path / "heavy", both, queries) > plain - 0.02
    assert index.segments[0].entry.num_clipped == 1
    (note,) = index.notes
    assert re.match(r"1 of 24,001 \(0.0042%\) weights are above", note)
    assert f"the heaviest is {float(heavy.weights[0]):.6g}; doc_scale=" in note


def test_the_full_weight_by_hand():
    """2,000 weights: two may lie above the quantile. 1.0 is the third largest; its bin ends 1/128 above it."""
    tally = WeightTally()
    tally.add_weights(np.array([0.5] * 1997 + [1.0, 9.0, 9.5], np.float32))
    assert tally.full_weight == TAIL_REACH * (1 + 1 / 128)
    tally = WeightTally()
    tally.add_weights(np.array([0.5] * 1997 + [1.0, 1.2, 1.4], np.float32))
    assert tally.full_weight == np.float32(1.4)
    few = WeightTally()
    few.add_weights(np.array([0.1, 50.0], np.float32))
    assert few.full_weight == 50.0
    assert WeightTally().scale is None
    largest = WeightTally()
    largest.add_weights(np.full(3000, 3.4e38, np.float32))
    assert largest.full_weight == float(np.float32(3.4e38))


@pytest.mark.parametrize("pruning", [{}, {"prune_mass": 0.9}, {"prune_postings": 50}])
@pytest.mark.parametrize("stored", ["none", "f16"])
def test_streamed_and_in_memory_builds_agree_with_an_outlier(tmp_path, monkeypatch, stored, pruning):
    monkeypatch.setattr("indexer.merge.runs._SMALLEST_RUN", 900)
    rng = np.random.default_rng(5)
    vectors = SparseVectors.concatenate([random_vectors(rng, 2000, 60, 9), rows({3: 4000.0}, num_terms=60)])
    config = IndexConfig(order="input", stored_weights=stored, **pruning)
    whole = build_index(tmp_path / "whole", vectors, config=config)
    assert whole.segments[0].entry.num_clipped > 0
    batches = [vectors.slice(i, min(i + 333, len(vectors))) for i in range(0, len(vectors), 333)]
    streams = {
        "forwards": build_index(tmp_path / "a", iter(batches), config=config, memory_budget=1),
        "at once": build_index(tmp_path / "b", vectors, config=config, memory_budget=1),
    }
    for how, index in streams.items():
        assert index.doc_scale == whole.doc_scale, how
        assert index.notes == whole.notes, how
        for name in whole.segments[0].sections:
            np.testing.assert_array_equal(index.segments[0].section(name), whole.segments[0].section(name), how)


def names_for(path, term, k=4):
    hits = Searcher.open(path).search_vectors(rows({term: 1.0}), k=k)
    return open_index(path).docnos(hits.ordinals[0])


def test_heavier_weights_added_later_are_said_and_compaction_ranks_them(tmp_path):
    config = IndexConfig(stored_weights="f32")
    build_index(tmp_path / "i", rows({0: 0.1, 1: 0.1, 2: 0.1}), docnos=["first"], config=config)
    index = add_documents(tmp_path / "i", rows({0: 0.5}, {0: 1.5}, {0: 3.0}), docnos=["low", "mid", "high"])
    (note,) = index.notes
    assert note.startswith("3 of 3 (100%) weights are above 0.1")
    assert "the heaviest is 3; 'sparseir index compact' gives the index a scale that holds them" in note
    report = compact_index(tmp_path / "i")
    assert (report.rescaled, report.clipped) == (True, 0)
    assert report.doc_scale == open_index(tmp_path / "i").doc_scale == 3.0 / 255
    assert names_for(tmp_path / "i", 0) == ["high", "mid", "low", "first"]
    verify_index(tmp_path / "i")
    again = compact_index(tmp_path / "i")
    assert (again.rescaled, again.bytes_before) == (False, again.bytes_after)
    assert open_index(tmp_path / "i").generation == 3


def test_without_stored_weights_compaction_says_that_they_stay_cut(tmp_path):
    build_index(tmp_path / "i", rows({0: 0.1}))
    index = add_documents(tmp_path / "i", rows({0: 0.5}))
    assert "only a new index of all documents holds them" in index.notes[0]
    report = compact_index(tmp_path / "i")
    assert not report.rescaled
    assert report.notes[0].startswith("1 impacts stay cut to 255: their weights are not stored")
    assert open_index(tmp_path / "i").segments[0].entry.num_clipped == 1


def test_a_scale_that_was_given_stays(tmp_path):
    config = IndexConfig(stored_weights="f32", doc_scale=0.001)
    assert build_index(tmp_path / "i", rows({0: 0.5}), config=config).notes
    add_documents(tmp_path / "i", rows({0: 3.0}))
    report = compact_index(tmp_path / "i")
    assert (report.rescaled, report.doc_scale, report.clipped) == (False, 0.001, 2)
    assert "doc_scale=0.001" in report.notes[0]


@pytest.mark.parametrize("stored", ["f16", "f32"])
@pytest.mark.parametrize("times", [0.1, 0.9, 20.0])
def test_a_rescaled_index_equals_a_fresh_one(tmp_path, stored, times):
    """Of live documents alone; impacts stay as they are where the scale would gain little."""
    rng = np.random.default_rng(6)
    first, second = random_vectors(rng, 700, 50, 9), random_vectors(rng, 700, 50, 9)
    second = SparseVectors(second.indptr, second.term_ids, second.weights * np.float32(times), second.num_terms)
    config = IndexConfig(order="input", stored_weights=stored)
    build_index(tmp_path / "i", first, config=config)
    add_documents(tmp_path / "i", second)
    gone = list(range(0, 700)) if times < 0.5 else [3, 900]
    delete_documents(tmp_path / "i", ordinals=gone)
    before = open_index(tmp_path / "i").doc_scale
    report = compact_index(tmp_path / "i")
    verify_index(tmp_path / "i")
    segment = open_index(tmp_path / "i").segments[0]
    assert report.rescaled == (times != 0.9)
    if not report.rescaled:
        assert report.doc_scale == before
        return
    live = np.setdiff1d(np.arange(1400), gone)
    whole = SparseVectors.concatenate([first, second])
    kept = SparseVectors.concatenate([whole.slice(i, i + 1) for i in live.tolist()])
    if stored == "f16":
        kept = SparseVectors(
            kept.indptr, kept.term_ids, kept.weights.astype(np.float16).astype(np.float32), kept.num_terms
        )
    fresh = build_index(tmp_path / "fresh", kept, config=config)
    assert report.doc_scale == fresh.doc_scale
    assert report.clipped == fresh.segments[0].entry.num_clipped
    for name in ("TERM", "DOCS", "IMPA", "FWGT"):
        np.testing.assert_array_equal(segment.section(name), fresh.segments[0].section(name), err_msg=name)


def test_vectors_of_another_scale_are_said_with_their_share(tmp_path):
    vectors = random_vectors(np.random.default_rng(7), 300, 50, 9)
    thousandth = SparseVectors(vectors.indptr, vectors.term_ids, vectors.weights / np.float32(1000), 50)
    build_index(tmp_path / "small", thousandth)
    larger = add_documents(tmp_path / "small", vectors)
    cut = larger.segments[1].entry.num_clipped
    assert cut > 0.9 * vectors.nnz
    assert larger.notes[0].startswith(f"{cut:,} of {vectors.nnz:,} (")
    build_index(tmp_path / "large", vectors)
    (note,) = add_documents(tmp_path / "large", thousandth).notes
    assert re.match(r"about [\d,]+ of [\d,]+ \(.*%\) weights are below half of one step", note)


def test_a_few_weights_too_far_apart_for_one_scale_are_said(tmp_path):
    (note,) = build_index(tmp_path / "i", rows({0: 0.1}, {0: 0.2}, {1: 1000.0})).notes
    assert note.startswith("about 2 of 3 (67%) weights are below half of one step")


@pytest.mark.parametrize("memory_budget", [0, 1])
def test_16_bits_refuse_what_they_cannot_hold(tmp_path, memory_budget):
    config = IndexConfig(stored_weights="f16")
    with pytest.raises(DataError, match=r"stored_weights=f16: row 1 holds weight 70000 for term 5; .* up to 65504"):
        build_index(tmp_path / "i", rows({0: 1.0}, {5: 70000.0}), config=config, memory_budget=memory_budget)
    tiny = r"row 0 holds weight 1e-09 for term 2; 2 of 3 weights are below 2.98e-08, which 16 bits round to 0"
    with pytest.raises(DataError, match=tiny):
        build_index(tmp_path / "i", rows({2: 1e-9}, {2: 2e-9, 3: 1.0}), config=config, memory_budget=memory_budget)
    build_index(tmp_path / "i", rows({0: 65504.0}), config=config)
    with pytest.raises(DataError, match="row 0 holds weight 65520 for term 0"):
        add_documents(tmp_path / "i", rows({0: 65520.0}))
    assert verify_index(tmp_path / "i").documents == 1


def test_a_few_tiny_weights_are_kept_as_the_smallest_16_bits_hold(tmp_path):
    """As impacts are never 0: one in a thousand must not stop a build."""
    vectors = random_vectors(np.random.default_rng(8), 400, 50, 9)
    both = SparseVectors.concatenate([vectors, rows({49: 1e-9}, num_terms=50)])
    index = build_index(tmp_path / "i", both, config=IndexConfig(stored_weights="f16"))
    assert float(index.segments[0].section("FWGT").min()) == 2.0**-24
    assert index.notes[-1].startswith(f"1 of {both.nnz:,} weights are too small for 16 bits and stored as 5.96e-08")
    query = SparseVectors.from_rows([{49: 1.0}], 50)
    found = Searcher.open(tmp_path / "i", engine="exact_float").search_vectors(query, k=400)
    assert 400 in found.ordinals[0]


def test_impacts_with_an_outlier_are_those_of_the_oracle(tmp_path):
    rng = np.random.default_rng(9)
    vectors = SparseVectors.concatenate([random_vectors(rng, 500, 60, 9), rows({3: 999.0}, num_terms=60)])
    index = build_index(tmp_path / "i", vectors, config=IndexConfig(order="input"))
    impacts = oracle.quantize_impacts(vectors.weights, index.doc_scale)
    by_term = np.argsort(vectors.term_ids, kind="stable")
    np.testing.assert_array_equal(index.segments[0].section("IMPA"), impacts[by_term])
