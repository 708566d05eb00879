"""Numbers as other engines hold them: what a float32 weight is after it was stored."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_LUCENE_SHIFT = np.uint32(15)


def nine_bits(values: Floats) -> Floats:
    """Weights as Lucene's FeatureField holds them: the sign, the exponent and 8 bits of the fraction are kept.

    bits(w') = (bits(w) >> 15) << 15: truncated, so that w (1 − 2⁻⁸) < w' ≤ w; whole numbers up to 512 are unchanged.
    float32 in, float32 out, of the same shape. Source: org.apache.lucene.document.FeatureField.
    """
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return (bits >> _LUCENE_SHIFT << _LUCENE_SHIFT).view(np.float32)


def bytes_under(values: Floats, ceiling: float) -> Floats:
    """Weights as bytes under a ceiling: floor(min(w, ceiling) · 255 / ceiling + ½), 0..255 as float32.

    Source: ByteQuantizer of OpenSearch's neural-search plugin (float32 arithmetic, Java's Math.round).
    """
    cut = np.minimum(np.asarray(values, np.float32), np.float32(ceiling))
    steps = cut * np.float32(255) / np.float32(ceiling)
    return np.floor(steps.astype(np.float64) + 0.5).astype(np.float32)


def halves(values: Floats) -> Floats:
    """Weights as IEEE half floats (11 significant bits, rounded to nearest even), as float32 again.

    Whole numbers up to 2,048 are unchanged. Above 65,504 the result is infinite.
    """
    with np.errstate(over="ignore"):
        return np.asarray(values, np.float32).astype(np.float16).astype(np.float32)


def same(values: Floats) -> Floats:
    """float32 weights, held as they are."""
    return np.asarray(values, np.float32)
