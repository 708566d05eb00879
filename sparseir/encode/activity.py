"""How often terms are active: the cost side of a sparse encoder."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from indexer import SparseVectors


@dataclass(slots=True)
class Activity:
    """How often each term is active, counted while rows pass by."""

    rows: int = 0
    nnz: int = 0
    per_term: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def add(self, vectors: SparseVectors) -> None:
        """Count one batch."""
        size = max(len(self.per_term), vectors.num_terms)
        counts = np.bincount(vectors.term_ids, minlength=size)
        counts[: len(self.per_term)] += self.per_term
        self.per_term = counts
        self.rows += len(vectors)
        self.nnz += vectors.nnz

    @property
    def mean_terms(self) -> float:
        """Mean number of active terms of a row."""
        return self.nnz / self.rows if self.rows else 0.0

    def flops(self, other: Activity) -> float:
        """Expected multiply-adds to score one row of this against one of the other, Σ_v p_v·p'_v.

        p_v is the share of rows in which term v is active. Source: Paria et al. 2020, arXiv:2004.05665, as the SPLADE
        papers report it.
        """
        if not self.rows or not other.rows:
            return 0.0
        size = min(len(self.per_term), len(other.per_term))
        return float((self.per_term[:size] / self.rows) @ (other.per_term[:size] / other.rows))

    @property
    def sub_uniformity(self) -> float:
        """R_sub = Σ_v p_v² / (V · p̄²), p̄ the mean of p_v: how many times more multiply-adds a pair of rows costs than if all
        terms were active equally often; 1 at best, 0 without a row. Source: Paria et al. 2020, arXiv:2004.05665."""
        if not self.nnz:
            return 0.0
        share = self.per_term / self.rows
        return float(len(share) * (share @ share) / share.sum() ** 2)
