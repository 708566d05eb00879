"""Static pruning: the lightest postings are left out. It changes results by intent, and is off by default."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from indexer.config import IndexConfig
from indexer.documents import Documents
from indexer.inversion.weights import WeightTally
from indexer.vectors import SparseVectors

_ROWS = 1 << 16


def pruned(documents: Documents, config: IndexConfig, tally: WeightTally) -> Documents:
    """The same documents with their vectors cut as the config says, once: a second cut would take more of the mass.

    Weights are counted between the two cuts: which postings the cap of a term leaves depends on the batches.
    """
    vectors = prune_rows(documents.vectors, config)
    tally.add(vectors)
    return replace(documents, vectors=prune_lists(vectors, config))


def prune_rows(vectors: SparseVectors, config: IndexConfig) -> SparseVectors:
    """Rows cut to the mass share and the number of terms of a document; ties are kept by smaller term id."""
    if config.prune_mass < 1 or config.prune_terms:
        return _kept(vectors, _keep_in_rows(vectors, config.prune_mass, config.prune_terms))
    return vectors


def prune_lists(vectors: SparseVectors, config: IndexConfig) -> SparseVectors:
    """Rows without the postings that exceed the cap of a term; ties are kept by smaller row."""
    if config.prune_postings:
        return _kept(vectors, _keep_in_lists(vectors, config.prune_postings))
    return vectors


def _keep_in_rows(vectors: SparseVectors, mass: float, terms: int) -> NDArray[np.bool_]:
    """Per row the heaviest terms: the fewest that hold `mass` of its sum, at most `terms` of them (0: any number)."""
    keep = np.ones(vectors.nnz, bool)
    for begin in range(0, len(vectors), _ROWS):
        part = vectors.slice(begin, min(begin + _ROWS, len(vectors)))
        lengths = np.diff(part.indptr)
        rows = np.repeat(np.arange(len(part)), lengths)
        order = np.lexsort((part.term_ids, -part.weights, rows))
        weights = part.weights[order].astype(np.float64)
        rank = np.arange(len(order)) - np.repeat(part.indptr[:-1], lengths)
        running = np.concatenate([[0.0], np.cumsum(weights)])
        before = running[:-1] - np.repeat(running[part.indptr[:-1]], lengths)
        total = np.repeat(running[part.indptr[1:]] - running[part.indptr[:-1]], lengths)
        # A term is kept while the heavier terms do not yet hold the share; rounding of floats must not keep one more.
        good = (before < mass * total * (1 - 1e-12)) | (rank == 0)
        if terms:
            good &= rank < terms
        at = int(vectors.indptr[begin] - vectors.indptr[0])
        keep[at + order] = good
    return keep


def _keep_in_lists(vectors: SparseVectors, cap: int) -> NDArray[np.bool_]:
    """Per term its `cap` heaviest postings."""
    order = np.lexsort((-vectors.weights, vectors.term_ids))  # stable: equal weights stay in row order
    terms = vectors.term_ids[order]
    first = np.flatnonzero(np.concatenate([[True], terms[1:] != terms[:-1]])) if len(terms) else np.zeros(0, np.int64)
    rank = np.arange(len(terms)) - np.repeat(first, np.diff(np.append(first, len(terms))))
    keep = np.empty(len(terms), bool)
    keep[order] = rank < cap
    return keep


def _kept(vectors: SparseVectors, keep: NDArray[np.bool_]) -> SparseVectors:
    counts = np.concatenate([[0], np.cumsum(keep)])
    base = vectors.indptr - vectors.indptr[0]
    return SparseVectors(
        counts[base].astype(np.int64), vectors.term_ids[keep], vectors.weights[keep], vectors.num_terms
    )
