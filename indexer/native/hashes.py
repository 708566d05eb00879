"""Binding of the hash of names, which searching needs as well as building."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from indexer.native.library import library


def hash_names(blob: NDArray[np.uint8], offsets: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """FNV-1a of each name."""
    out = np.empty(len(offsets) - 1, np.uint64)
    assert blob.flags.c_contiguous
    assert offsets.flags.c_contiguous
    library.sir_hash_names(blob.ctypes.data, offsets.ctypes.data, len(out), out.ctypes.data)
    return out
