"""Vectors of words in two bits a number.

A number of a vector v is stored as one of four levels, ±3 or ±10 times a step s of the vector, the outer ones where
|v_i| > max(.982 · r, .31 · max_j |v_j|), r the root mean square: the levels and the threshold that lose least of numbers spread
like a Gaussian (Max 1960; Lloyd 1982: ±.453 r and ±1.510 r), in whole numbers. The step is the one that keeps the product of v
with itself, s = ⟨v, v⟩ / ⟨v, k⟩ with k the levels, so that products with embeddings are neither raised nor lowered on average.
An eighth of the square of a vector is lost, spread over all its numbers; docs/lexical.md says what that costs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LEVELS = np.array([3, 10, -3, -10], np.float32)
"""Of the codes 0 to 3: the lower bit says whether a number is large, the upper one whether it is negative."""

_LARGE, _LARGE_BESIDE = 0.982, 0.31
"""What is stored as ±10, in root mean squares, and as a share of the largest: more than 3 of 10."""

_A_BYTE = 4
"""Codes in a byte, the first in its lowest bits."""


def packed(vectors: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """(uint8 (S, ⌈D/4⌉), float32 (S,)): codes of each row, and its step. What `unpacked` restores gives them again.

    *subtle:* a step has 16 bits, so that 10 steps have no more than a float32 holds, and no product is rounded. The largest
    number of a vector is always stored as 10 steps, so that 3 steps of a restored one are below the threshold again.

    Parameters
    ----------
    vectors : float32 (S, D).
    """
    count, dimensions = vectors.shape
    squares = np.square(vectors, dtype=np.float64).sum(axis=1)
    sizes = np.abs(vectors)
    threshold = np.maximum(_LARGE * np.sqrt(squares / max(1, dimensions)), _LARGE_BESIDE * sizes.max(axis=1, initial=0))
    codes = (sizes > threshold[:, None]).astype(np.uint8) | (vectors < 0).astype(np.uint8) << 1
    products = (vectors * _LEVELS[codes]).sum(axis=1, dtype=np.float64)
    steps = _short(squares / np.maximum(products, 1e-300))
    bytes_a_row = -(-dimensions // _A_BYTE)
    padded = np.zeros((count, bytes_a_row * _A_BYTE), np.uint8)
    padded[:, :dimensions] = codes
    fours = padded.reshape(count, bytes_a_row, _A_BYTE)
    return np.bitwise_or.reduce(fours << np.arange(0, 8, 2, dtype=np.uint8), axis=2), steps


def unpacked(codes: NDArray[np.uint8], steps: NDArray[np.float32], dimensions: int) -> NDArray[np.float32]:
    """float32 (S, D): what `packed` was given, to two bits.

    Parameters
    ----------
    codes : uint8 (S, ⌈D/4⌉). steps : float32 (S,). dimensions : D.
    """
    table = _LEVELS[np.arange(256)[:, None] >> np.arange(0, 8, 2) & 3]
    return table[codes].reshape(len(codes), codes.shape[1] * _A_BYTE)[:, :dimensions] * steps[:, None]


def from_bytes(vectors: NDArray[np.int8], steps: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 (S, D): vectors as indexes of earlier versions hold them, one byte a number in multiples of a row's step."""
    return vectors.astype(np.float32) * steps[:, None]


def _short(steps: NDArray[np.float64]) -> NDArray[np.float32]:
    mantissa, exponent = np.frexp(steps)
    return np.ldexp(np.rint(np.ldexp(mantissa, 16)), exponent - 16).astype(np.float32)
