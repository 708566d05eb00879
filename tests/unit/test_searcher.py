"""The searcher's contract on arithmetic done by hand."""

from __future__ import annotations

import numpy as np
import pytest

from indexer import SparseVectors, build_index
from sparseir.errors import ConfigError, DataError, SparseIRError
from sparseir.models.query_table import QueryTable
from sparseir.search.searcher import Searcher
from tests import oracle
from tests.bare_segments import searcher_of
from tests.segment_reference import build_segment


def small(**options) -> Searcher:
    """Three documents: {0: 2, 1: 3}, {1: 3}, {}; weights are impacts, doc_scale 1."""
    data = build_segment([0, 2, 3, 3], [0, 1, 1], [2, 3, 3])
    return searcher_of([data], num_terms=4, **options)


def test_scores_ties_and_padding():
    """Query {1: 1}: documents 0 and 1 tie at 3 · 4095 · (1/4095) = 3, the smaller ordinal first, then padding."""
    hits = small().search_terms(np.array([1], np.uint32), np.array([1.0], np.float32), k=3)
    assert hits.ordinals.tolist() == [0, 1, -1]
    assert hits.scores[:2] == pytest.approx([3.0, 3.0])
    assert hits.scores[2] == -np.inf
    assert hits.ordinals.dtype == np.int64
    assert hits.scores.dtype == np.float32


def test_two_terms_add_up_as_the_oracle_says():
    weights = np.array([0.3, 1.1], np.float32)
    hits = small().search_terms(np.array([1, 0], np.uint32), weights, k=2)
    q, scale = oracle.quantize_query(weights)
    integers = np.array([3 * q[0] + 2 * q[1], 3 * q[0]])
    assert hits.ordinals.tolist() == [0, 1]
    np.testing.assert_array_equal(hits.scores, oracle.shown(integers, 1.0, scale))


def test_batch_equals_single_and_threads_change_nothing():
    queries = SparseVectors.from_rows([{1: 1.0}, {}, {0: 0.5, 1: 0.2}, {3: 1.0}], 4)
    one, two = (small(num_threads=n).search_vectors(queries, k=2) for n in (1, 2))
    np.testing.assert_array_equal(one.ordinals, [[0, 1], [-1, -1], [0, 1], [-1, -1]])
    np.testing.assert_array_equal(one.ordinals, two.ordinals)
    np.testing.assert_array_equal(one.scores, two.scores)


@pytest.mark.parametrize(
    ("terms", "weights", "message"),
    [
        ([1], [-1.0], "not negative"),
        ([1], [float("nan")], "finite"),
        ([1, 1], [1.0, 2.0], "given twice"),
        ([9], [1.0], "vocabulary"),
        ([1, 2], [1.0], "equal lengths"),
        ([1.5], [1.0], "integers"),
    ],
)
def test_unusable_queries_are_refused(terms, weights, message):
    with pytest.raises(DataError, match=message):
        small().search_terms(terms, weights, k=1)


def test_unknown_engine_names_the_known():
    with pytest.raises(ConfigError, match="exhaustive"):
        small(engine="fast")
    with pytest.raises(DataError, match="k is 0"):
        small().search_terms([1], [1.0], k=0)


@pytest.mark.parametrize("k", [0, -1, 2**31, 10**15, 2.5, "10", None])
def test_an_impossible_k_is_refused_before_memory_is_asked_for(k):
    searcher, row = small(), SparseVectors.from_rows([{1: 1.0}], 3)
    with pytest.raises(DataError, match="it must be a whole number"):
        searcher.search_vectors(row, k=k)
    with pytest.raises(DataError, match="it must be a whole number"):
        searcher.search_terms([1], [1.0], k=k)


def test_what_is_no_sparse_matrix_is_refused():
    with pytest.raises(DataError, match="expected SparseVectors or a scipy sparse matrix, not ndarray"):
        small().search_vectors(np.zeros((1, 3), np.float32))
    with pytest.raises(DataError, match="equal lengths"):
        small().search_terms(np.ones((1, 2), np.uint32), np.ones((1, 2), np.float32))


def test_engines_that_are_not_there_are_refused_by_the_library():
    searcher = searcher_of([], num_terms=3)
    assert searcher.search_terms([1], [1.0], k=2).ordinals.tolist() == [-1, -1]


def test_an_open_searcher_survives_an_overwrite(tmp_path):
    """Its queries go through the table it was opened with, though another index's is there now, or none."""
    from tokenizers import Tokenizer, models

    def make(words, overwrite, **options):
        tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="?"))
        QueryTable(tokenizer, np.ones(3, np.float32)).save(tmp_path / "side")
        vectors = SparseVectors.from_rows([{0: 1.0}, {1: 1.0}, {2: 1.0}], 3)
        build_index(tmp_path / "i", vectors, overwrite=overwrite, **options)

    make(["?", "cat", "dog"], False, query_side=tmp_path / "side")
    lazy = Searcher.open(tmp_path / "i")
    make(["?", "dog", "cat"], True, query_side=tmp_path / "side")
    other = Searcher.open(tmp_path / "i")
    make(["?", "dog", "cat"], True)
    assert lazy.search("cat", 1).docnos == ["1"]
    assert other.search("cat", 1).docnos == ["2"]
    with pytest.raises(SparseIRError, match="carries no query side"):
        Searcher.open(tmp_path / "i").search("cat", 1)
