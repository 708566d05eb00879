"""Vectors that a benchmark takes whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from indexer import SparseVectors


def load(path: Path) -> SparseVectors:
    """Rows of a scipy CSR .npz."""
    with np.load(path) as arrays:
        return SparseVectors.from_arrays(arrays["indptr"], arrays["indices"], arrays["data"], int(arrays["shape"][1]))
