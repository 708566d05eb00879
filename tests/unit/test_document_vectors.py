"""Whole documents out of posting lists: by a look at all postings, and list by list."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from indexer import IndexConfig, SparseVectors, build_index, open_index
from sparseir.search.cpu import open_native

DOCS, TERMS = 66_000, 40
"""Two windows of 65,536 documents: equal low halves of doc_ids meet in one list."""

TWINS = np.array([3, 65_539])
"""Of one low half; some terms are of one, some of both."""


@pytest.fixture(scope="module")
def matrix() -> csr_matrix:
    """Lists of one document to most documents; a twentieth of the documents is empty."""
    rng = np.random.default_rng(7)
    sizes = np.unique(np.geomspace(1, 0.7 * DOCS, TERMS).astype(int))
    rows = np.concatenate(
        [rng.choice(DOCS - DOCS // 20, size, replace=False) for size in sizes] + [np.repeat(TWINS, 3)]
    )
    columns = np.concatenate([np.repeat(np.arange(len(sizes)), sizes), [0, 9, 30, 1, 9, 30]])
    made = csr_matrix((np.ones(len(rows)), (rows, columns)), (DOCS, len(sizes)))
    made.data[:] = rng.integers(1, 256, made.nnz)
    made.sort_indices()
    return made


@pytest.fixture(scope="module", params=["standard", "packed"])
def path(request: pytest.FixtureRequest, matrix: csr_matrix, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("documents") / "index"
    indptr, terms, weights = matrix.indptr.astype(np.int64), matrix.indices.astype(np.uint32), matrix.data
    vectors = SparseVectors(indptr, terms, weights.astype(np.float32), matrix.shape[1])
    build_index(where, vectors, config=IndexConfig(layout=request.param, doc_scale=1.0, order="input"))
    return where


@pytest.mark.parametrize("how_many", [1, 2, 3, 4, 5, 130])
def test_they_are_what_was_indexed(path: Path, matrix: csr_matrix, how_many: int) -> None:
    rng = np.random.default_rng(how_many)
    index = open_index(path)
    native = open_native(index)
    present = index.segments[0].section("TERM").astype(np.int64)
    everything = np.arange(len(present), dtype=np.uint32)
    for places in (None, everything, everything[::2], everything[-1:], everything[:9], everything[:0]):
        documents = rng.choice(DOCS, how_many, replace=False)
        documents[: len(TWINS)] = TWINS[:how_many]
        looked_at = present if places is None else present[places]
        numbers, terms, impacts = native.document_vectors(0, documents.astype(np.uint32), places)
        for number, document in enumerate(documents.tolist()):
            row = matrix[document]
            expected = [(int(t), int(w)) for t, w in zip(row.indices, row.data, strict=True) if t in looked_at]
            mine = numbers == number
            assert list(zip(terms[mine].tolist(), impacts[mine].tolist(), strict=True)) == expected
        assert len(numbers) == int((matrix[documents][:, looked_at] > 0).sum())
