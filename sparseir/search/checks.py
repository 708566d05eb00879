"""Checking what a searcher is asked: the number of hits, and vectors of queries."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer import SparseVectors
from sparseir.errors import DataError

MAX_K = 2**30


def checked_k(k: Any) -> int:
    """The number of hits, 1 to `MAX_K`.

    Raises
    ------
    DataError
    """
    try:
        number = operator.index(k)
    except TypeError:
        number = 0
    if not 1 <= number <= MAX_K:
        raise DataError(f"k is {k!r}; it must be a whole number, 1..{MAX_K}")
    return number


def checked_terms(term_ids: Any, weights: Any, num_terms: int) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """Term ids and weights of one query; num_terms is the size of the index's vocabulary.

    Raises
    ------
    DataError : shapes that differ, ids that are no integers of the vocabulary.
    """
    terms, values = np.asarray(term_ids), np.asarray(weights, np.float32)
    if terms.ndim != 1 or terms.shape != values.shape:
        raise DataError(
            f"query: term ids have shape {terms.shape}, weights {values.shape}; expected two arrays of equal lengths"
        )
    if len(terms) and terms.dtype.kind not in "iu":
        raise DataError(f"query: term ids must be integers, not {terms.dtype}")
    if len(terms) and not (int(terms.min()) >= 0 and int(terms.max()) < num_terms):
        raise DataError(f"query: term ids must lie in the vocabulary 0..{num_terms - 1}")
    return terms.astype(np.uint32), values


def checked_vectors(queries: Any, num_terms: int) -> SparseVectors:
    """Many queries; num_terms is the size of the index's vocabulary.

    Raises
    ------
    DataError : no sparse vectors, a row that cannot be used, a term id outside the vocabulary.
    """
    if not isinstance(queries, SparseVectors) and not hasattr(queries, "tocsr"):
        raise DataError(f"queries: expected SparseVectors or a scipy sparse matrix, not {type(queries).__name__}")
    vectors = queries if isinstance(queries, SparseVectors) else SparseVectors.from_scipy(queries, source="queries")
    if vectors.num_terms > num_terms and len(vectors.term_ids):
        largest = int(vectors.term_ids.max())
        if largest >= num_terms:
            raise DataError(f"queries: term id {largest} is outside the index's vocabulary 0..{num_terms - 1}")
    return vectors
