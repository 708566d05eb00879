"""Bounds, bits and sort keys of a batch on its way to the device and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from indexer.native.queries import QueryBatch

ORDINAL_MASK = 0xFFFF_FFFF
"""The low half of a sort key holds the complement of the ordinal, so that larger keys are better hits."""


def score_bounds(rows: QueryBatch, list_max: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Σ q_t · list_max_t per query: no document scores more."""
    products = rows.weights.astype(np.int64) * list_max[rows.ids]
    total = np.concatenate([[0], np.cumsum(products)])
    return total[rows.indptr[1:]] - total[rows.indptr[:-1]]


def bin_shifts(bounds: NDArray[np.int64], bins: int) -> NDArray[np.int32]:
    """How far to shift the scores of each query to the right so that none reaches `bins`, a power of two."""
    bits = np.frexp(bounds.astype(np.float64))[1]  # bit lengths: bounds are below 2^31
    return np.maximum(bits - (bins.bit_length() - 1), 0)


def pack_bits(flags: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """Bit d mod 32 of word d div 32 is flag d."""
    padded = np.zeros(-(-len(flags) // 32) * 32, np.bool_)
    padded[: len(flags)] = flags
    return np.packbits(padded, bitorder="little").view("<u4").astype(np.uint32)


def decode_keys(keys: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(ordinals relative to the segment, scores) of sort keys; key 0 is padding: (-1, 0)."""
    scores = (keys >> np.uint64(32)).astype(np.int64)
    ordinals = (~keys & np.uint64(ORDINAL_MASK)).astype(np.int64)
    ordinals[scores == 0] = -1
    return ordinals, scores
