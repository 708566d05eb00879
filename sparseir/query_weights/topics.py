"""Halves of judged queries that are about different things."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_ITERATIONS = 50
"""Of the search for a direction; halves of a cloud need no more digits."""

_NOTHING = 1e-9
"""Below this, numbers of documents of length 1 differ by rounding."""


def topic_halves(documents: csr_matrix, *, seed: int) -> list[NDArray[np.int64]]:
    """Queries in two parts, of one size or nearly, by what a relevant document of each says.

    They are cut along the direction in which these documents differ most, the first principal component of their vectors
    (Boley 1998, Principal direction divisive partitioning), at the gap nearest to the median: queries for one document stay
    together. A term counts by ln(L / df) among the L documents, and each document with length 1.

    Parameters
    ----------
    documents : (L, terms) by rows: the weights of one relevant document for each query.
    seed : of the search for the direction, whose result does not depend on it but for digits.

    Returns
    -------
    list of int64 arrays : numbers of the queries, ascending in each; one where all documents are alike.
    """
    from scipy.sparse import diags

    count, width = documents.shape
    df = np.bincount(documents.indices, minlength=width)
    vectors = documents.astype(np.float64) @ diags(np.log(count / np.maximum(df, 1)))
    lengths = np.sqrt(np.asarray(vectors.multiply(vectors).sum(axis=1)).ravel())
    vectors = (diags(1 / np.where(lengths > 0, lengths, 1.0)) @ vectors).tocsr()
    mean = np.asarray(vectors.mean(axis=0)).ravel()
    direction, along = np.random.default_rng(seed).normal(size=width), np.zeros(count)
    for _ in range(_ITERATIONS):  # on the covariance, which is never made
        along = vectors @ direction - mean @ direction
        direction = vectors.T @ along - mean * along.sum()
        length = float(np.linalg.norm(direction))
        if length < _NOTHING:  # all are alike
            return [np.arange(count)]
        direction /= length
    if direction[np.argmax(np.abs(direction))] < 0:
        along = -along
    order = np.argsort(along, kind="stable")
    gaps = 1 + np.flatnonzero(np.diff(along[order]) > _NOTHING)
    if not len(gaps):
        return [np.arange(count)]
    middle = gaps[np.argmin(np.abs(gaps - count / 2))]
    return [np.sort(order[:middle]), np.sort(order[middle:])]
