from __future__ import annotations

import math

import numpy as np
import pytest

from indexer import SparseVectors
from sparseir.encode.activity import Activity
from sparseir.encode.stream import IdfCount
from sparseir.models.query_table import QueryTable
from tests.unit.test_query_table import make_tokenizer


def count(vectors: SparseVectors) -> Activity:
    activity = Activity()
    activity.add(vectors)
    return activity


def test_flops_by_hand():
    """Term 0 is in half the queries and all documents, term 1 in all queries and half the documents: ½ + ½ = 1."""
    queries = count(SparseVectors.from_rows([{0: 1, 1: 1}, {1: 1}], 3))
    documents = count(SparseVectors.from_rows([{0: 1}, {0: 2, 1: 5}], 4))
    assert queries.flops(documents) == pytest.approx(1.0)
    assert documents.flops(queries) == pytest.approx(1.0)
    assert Activity().flops(documents) == 0.0


def test_batches_count_like_one():
    rows = SparseVectors.from_rows([{0: 1}, {}, {0: 2, 1: 5}], 4)
    activity = Activity()
    for i in range(3):
        activity.add(rows.slice(i, i + 1))
    assert activity.mean_terms == pytest.approx(1.0)
    assert activity.per_term.tolist() == count(rows).per_term.tolist() == [2, 1, 0, 0]


def test_corpus_idf_counts_presence_and_empty_texts(tmp_path):
    """'the' in 2 of 3 documents: ln(1 + 1.5/2.5); 'what' in 1: ln(1 + 2.5/1.5); unseen terms 1."""
    table = QueryTable(make_tokenizer(), np.ones(8, np.float32))
    count = IdfCount(table, tmp_path)
    count.add(["the the what", ""], SparseVectors.empty(2, 8))
    count.add(["the"], SparseVectors.empty(1, 8))
    count.write()
    weights = QueryTable.load(tmp_path).weights
    assert weights[5] == pytest.approx(math.log(1 + 1.5 / 2.5))
    assert weights[3] == pytest.approx(math.log(1 + 2.5 / 1.5))
    assert weights[4] == 1.0
