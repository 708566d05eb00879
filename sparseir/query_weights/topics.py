"""Parts of judged queries that are about different things."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

TOPICS = 4
"""Parts, a power of 2."""

_ITERATIONS = 50
"""Of the search for a direction; halves of a cloud need no more digits."""


def topic_parts(documents: csr_matrix, *, seed: int) -> list[NDArray[np.int64]]:
    """Queries in `TOPICS` parts of one size by what a relevant document of each says: halves of halves.

    Each time along the direction in which documents differ most, the first principal component of their vectors, cut at
    the median (Boley 1998, Principal direction divisive partitioning). A term counts by ln(L / df) among the L documents,
    and each document with length 1.

    Parameters
    ----------
    documents : (L, terms) by rows: the weights of one relevant document for each query.
    seed : of the search for directions.

    Returns
    -------
    list of int64 arrays : numbers of the queries, ascending in each.
    """
    from scipy.sparse import diags

    count, width = documents.shape
    df = np.bincount(documents.indices, minlength=width)
    vectors = documents.astype(np.float64) @ diags(np.log(count / np.maximum(df, 1)))
    lengths = np.sqrt(np.asarray(vectors.multiply(vectors).sum(axis=1)).ravel())
    vectors = (diags(1 / np.where(lengths > 0, lengths, 1.0)) @ vectors).tocsr()
    rng, parts = np.random.default_rng(seed), [np.arange(count)]
    while len(parts) < TOPICS:
        parts = [half for part in parts for half in _halves(vectors[part], part, rng)]
    return parts


def _halves(vectors: csr_matrix, part: NDArray[np.int64], rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """One part in two, by power iteration on the covariance, which is never made."""
    mean = np.asarray(vectors.mean(axis=0)).ravel()
    direction, along = rng.normal(size=vectors.shape[1]), np.zeros(len(part))
    for _ in range(_ITERATIONS):
        along = vectors @ direction - mean @ direction
        direction = vectors.T @ along - mean * along.sum()
        length = float(np.linalg.norm(direction))
        if not length:  # all are alike
            break
        direction /= length
    order, middle = np.argsort(along, kind="stable"), len(part) // 2
    return [np.sort(part[order[:middle]]), np.sort(part[order[middle:]])]
