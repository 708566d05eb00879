from __future__ import annotations

import pytest

from indexer import SparseVectors
from sparseir.encode.activity import Activity


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
