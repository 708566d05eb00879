"""Integer query weights, as every engine has them."""

from __future__ import annotations

import ctypes

import numpy as np
from numpy.typing import NDArray

from indexer import SparseVectors
from indexer.native.library import library

_pointer = ctypes.c_void_p
library.sir_quantize_queries.restype = None
library.sir_quantize_queries.argtypes = (_pointer, _pointer, ctypes.c_uint64, _pointer, _pointer)


def integer_weights(vectors: SparseVectors) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Integer weight of each term of each query, and the scale of each query.

    weight = clip(floor(w / scale + 1/2), 1, limit), scale = max(w) / limit in float64; limit = 4,095, coarsened to
    floor((2^31 - 1) / (255 · terms)) where the sum of weight · 255 would reach 2^31. An empty query has scale 0.
    """
    indptr = np.ascontiguousarray(vectors.indptr, np.int64)
    given = np.ascontiguousarray(vectors.weights, np.float32)
    weights, scale = np.empty(len(given), np.int32), np.empty(len(indptr) - 1)
    library.sir_quantize_queries(
        indptr.ctypes.data, given.ctypes.data, len(scale), weights.ctypes.data, scale.ctypes.data
    )
    return weights, scale
