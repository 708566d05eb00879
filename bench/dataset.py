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
    def at(cls, folder: Path, cache: Path) -> Dataset:
        """A folder that holds docs.* and queries.*."""
        found = []
        for stem in ("docs", "queries"):
            files = sorted(folder.glob(f"{stem}.*"))
            if not files:
                raise SystemExit(f"{folder}: no {stem}.npz (or .jsonl, .jsonl.gz, .csr); see bench/README.md")
            found.append(files[0])
        return cls.of(*found, name=folder.resolve().name, cache=cache)

    @classmethod
    def of(cls, docs: Path, queries: Path, *, name: str, cache: Path) -> Dataset:
        """Two files; formats other than npz are read by the project's importers and kept as npz in the cache."""
        if docs.suffix == queries.suffix == ".npz":
            return cls(docs=docs, queries=queries, name=name)
        converted = [cache / name / f"{stem}.npz" for stem in ("docs", "queries")]
        if not all(file.exists() for file in converted):
            _convert((docs, queries), converted)
        return cls(docs=converted[0], queries=converted[1], name=name)


def _convert(sources: tuple[Path, Path], targets: list[Path]) -> None:
    """Both files over one vocabulary: term strings take ids as they are first seen, documents first."""
    from indexer import SparseVectors
    from indexer.interchange import Vocabulary, open_vectors

    vocabulary = Vocabulary.growing()
    read_rows = []
    for path in sources:
        named = path.name.endswith((".jsonl", ".json", ".jsonl.gz", ".json.gz"))
        source = open_vectors(path, vocabulary=vocabulary if named else None)
        read_rows.append(SparseVectors.concatenate([batch.vectors for batch in source]))
    num_terms = max(vectors.num_terms for vectors in read_rows)
    for vectors, target in zip(read_rows, targets, strict=True):
        target.parent.mkdir(parents=True, exist_ok=True)
        shape = np.array([len(vectors), num_terms])
        parts = {"indptr": vectors.indptr, "indices": vectors.term_ids.astype(np.int32), "data": vectors.weights}
        np.savez(target, **parts, shape=shape)


def read(path: Path) -> Any:
    """An npz as scipy CSR, float32, rows sorted."""
    with np.load(path) as file:
        parts = (file["data"], file["indices"], file["indptr"])
        matrix = csr_matrix(tuple(int(n) for n in file["shape"]), dtype=np.float32)
    # Assigned rather than constructed: scipy would check, and copy where it widens the column numbers.
    matrix.data, matrix.indices, matrix.indptr = parts
    return matrix


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
    longer = [
        f for f in cache.glob(f"truth-{digest}-q*-k{k}.npz") if int(f.name.split("-q")[1].split("-")[0]) >= num_queries
    ]
    if longer:
        file = longer[0]
    else:
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
