"""Vectors of words in four bits a number: multiples from −7 to 7 of a step of each vector, its largest number over 7.

Of numbers spread like a Gaussian some 1.5% of the square is lost, spread evenly over all; docs/lexical.md says what that costs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LEVELS = 7

_ZERO = _LEVELS + 1
"""Code of level 0."""


def packed(vectors: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """(uint8 (S, ⌈D/2⌉), float32 (S,)): codes of each row, the first of two in the lower half of a byte, and its step.

    What `unpacked` restores gives them again. *subtle:* a step has 16 bits, so that 7 steps have no more than a float32 holds,
    and no product is rounded.

    Parameters
    ----------
    vectors : float32 (S, D).
    """
    mantissa, exponent = np.frexp(np.abs(vectors).max(axis=1, initial=0) / np.float32(_LEVELS))
    steps = np.ldexp(np.rint(np.ldexp(mantissa, 16)), exponent - 16).astype(np.float32)
    levels = np.rint(vectors / np.maximum(steps, np.float32(1e-30))[:, None]).astype(np.int8)
    codes = np.full((len(vectors), bytes_a_row(vectors.shape[1]) * 2), _ZERO, np.uint8)
    codes[:, : vectors.shape[1]] = levels + _ZERO
    return codes[:, ::2] | codes[:, 1::2] << np.uint8(4), steps


def unpacked(codes: NDArray[np.uint8], steps: NDArray[np.float32], dimensions: int) -> NDArray[np.float32]:
    """float32 (S, D): what `packed` was given, in steps.

    Parameters
    ----------
    codes : uint8 (S, ⌈D/2⌉). steps : float32 (S,). dimensions : D.
    """
    levels = np.empty((len(codes), codes.shape[1] * 2), np.float32)
    levels[:, ::2], levels[:, 1::2] = codes & 15, codes >> 4
    return (levels[:, :dimensions] - _ZERO) * steps[:, None]


def bytes_a_row(dimensions: int) -> int:
    """Of a vector's codes."""
    return -(-dimensions // 2)


def from_bytes(vectors: NDArray[np.int8], steps: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 (S, D): vectors as indexes of earlier versions hold them, one byte a number in multiples of a row's step."""
    return vectors.astype(np.float32) * steps[:, None]
