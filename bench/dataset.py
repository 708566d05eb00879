"""Vectors to compare on, and what the right answers are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """Files of document and query vectors. The name keys everything cached about it."""

    docs: Path
    queries: Path
    name: str

    @classmethod
    def at(cls, folder: Path) -> Dataset:
        """A folder that holds docs.* and queries.* in one of the formats `read` knows."""
        found = []
        for stem in ("docs", "queries"):
            files = sorted(folder.glob(f"{stem}.*"))
            if not files:
                raise SystemExit(f"{folder}: no {stem}.npz (or .jsonl, .jsonl.gz, .csr); see bench/README.md")
            found.append(files[0])
        return cls(docs=found[0], queries=found[1], name=folder.resolve().name)


def read(path: Path, num_terms: int | None = None) -> Any:
    """Vectors as scipy CSR, float32, rows sorted. `.npz` is read here, other formats by the project's importers."""
    if path.suffix == ".npz":
        with np.load(path) as file:
            parts = (file["data"], file["indices"], file["indptr"])
            shape = tuple(int(n) for n in file["shape"])
        matrix = csr_matrix((shape[0], num_terms or shape[1]), dtype=np.float32)
        # Assigned rather than constructed: scipy would widen the column numbers of more than 2^31 postings.
        matrix.data, matrix.indices, matrix.indptr = parts
        return matrix
    from indexer import SparseVectors
    from indexer.interchange import read_vectors

    vectors = SparseVectors.concatenate([batch.vectors for batch in read_vectors(path)])
    matrix = vectors.to_scipy()
    matrix.resize((matrix.shape[0], num_terms or matrix.shape[1]))
    return csr_matrix(matrix)


def rows(matrix: Any, limit: int) -> list[tuple[NDArray[np.int32], NDArray[np.float32]]]:
    """The first rows as (term ids, weights)."""
    bounds = matrix.indptr[: min(limit, matrix.shape[0]) + 1]
    return [
        (matrix.indices[lo:hi].astype(np.int32), matrix.data[lo:hi].astype(np.float32)) for lo, hi in pairwise(bounds)
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Truth:
    """Per query the documents a perfect answer may hold: all that score at least the k-th score, ties included.

    `wanted` is how many of them an answer of k has room for: min(k, documents with a positive score).
    """

    indptr: NDArray[np.int64]
    ids: NDArray[np.int64]
    wanted: NDArray[np.int64]

    def recall(self, query: int, answer: NDArray[np.int64]) -> float:
        """Share of the wanted documents that the answer holds; 1 for a query that matches nothing."""
        wanted = int(self.wanted[query])
        if wanted == 0:
            return 1.0
        right = self.ids[self.indptr[query] : self.indptr[query + 1]]
        return min(int(np.isin(np.unique(answer), right, assume_unique=True).sum()), wanted) / wanted


def truth(dataset: Dataset, num_queries: int, k: int, cache: Path) -> Truth:
    """Exact answers over the float32 weights, sums in float64; computed once and kept in `cache`."""
    digest = hashlib.sha256(f"{dataset.docs.stat().st_size} {dataset.queries.stat().st_size}".encode()).hexdigest()[:8]
    file = cache / f"truth-{digest}-q{num_queries}-k{k}.npz"
    if not file.exists():
        docs = read(dataset.docs)
        queries = rows(read(dataset.queries), num_queries)
        cache.mkdir(parents=True, exist_ok=True)
        _write_truth(file, docs.tocsc(), queries, k)
    with np.load(file) as saved:
        return Truth(indptr=saved["indptr"], ids=saved["ids"], wanted=saved["wanted"])


def _write_truth(file: Path, lists: Any, queries: list[tuple[Any, Any]], k: int) -> None:
    score = np.zeros(lists.shape[0], np.float64)
    parts, wanted = [], []
    for terms, weights in queries:
        score[:] = 0
        for term, weight in zip(terms, weights.astype(np.float64), strict=True):
            at = slice(lists.indptr[term], lists.indptr[term + 1])
            score[lists.indices[at]] += weight * lists.data[at]  # a list names a document once
        positive = int(np.count_nonzero(score))
        wanted.append(min(k, positive))
        kth = np.partition(score, len(score) - wanted[-1])[len(score) - wanted[-1]] if positive else np.inf
        parts.append(np.flatnonzero(score >= kth))
    np.savez(
        file,
        indptr=np.concatenate([[0], np.cumsum([len(p) for p in parts])]),
        ids=np.concatenate(parts),
        wanted=np.array(wanted),
    )
