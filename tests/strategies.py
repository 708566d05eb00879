"""Hypothesis strategies shared by property tests: collections and queries with the awkward cases always in reach."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st


@dataclass(frozen=True)
class Collection:
    """Documents as CSR with integer impacts, and one query with integer weights."""

    indptr: np.ndarray
    term_ids: np.ndarray
    impacts: np.ndarray
    num_terms: int
    query_terms: np.ndarray
    query_weights: np.ndarray

    @property
    def num_docs(self):
        return len(self.indptr) - 1


def random_collection(rng, *, num_docs, num_terms, density, impact_levels, query_terms):
    """A collection drawn with numpy from a hypothesis-chosen seed and shape, so that large ones stay cheap to draw.

    Term frequencies fall with the term's rank; documents may be empty; impact_levels = 1 makes every score tie.
    """
    share = density / (1 + rng.permutation(num_terms)) ** rng.choice([0.0, 0.5, 1.0])
    present = rng.random((num_docs, num_terms)) < share
    if num_docs:
        present[rng.random(num_docs) < 0.05] = False
    rows, term_ids = np.nonzero(present)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=num_docs))]).astype(np.int64)
    levels = np.unique(rng.integers(1, 256, impact_levels)) if rng.random() < 0.8 else np.array([255])
    impacts = rng.choice(levels, len(term_ids)).astype(np.uint8)
    size = min(query_terms, num_terms)
    terms = np.sort(rng.choice(num_terms, size, replace=False)).astype(np.uint32)
    weights = rng.integers(1, 4096, size) if rng.random() < 0.7 else np.full(size, rng.choice([1, 4095]))
    return Collection(indptr, term_ids.astype(np.uint32), impacts, num_terms, terms, weights.astype(np.uint32))


@st.composite
def collections(draw, max_docs=400, max_terms=40):
    """Collections of 0..max_docs documents: empty rows, ties everywhere, one-term lists, maximal weights."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return random_collection(
        rng,
        num_docs=draw(st.one_of(st.integers(0, 70), st.integers(0, max_docs))),
        num_terms=draw(st.integers(1, max_terms)),
        density=draw(st.sampled_from([0.02, 0.2, 0.6, 1.0])),
        impact_levels=draw(st.sampled_from([1, 2, 5, 255])),
        query_terms=draw(st.integers(1, max_terms)),
    )
