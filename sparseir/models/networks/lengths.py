"""Lengths of batches on CPUs."""

from __future__ import annotations


def padded_length(tokens: int) -> int:
    """The next of a few lengths: a multiple of 8 up to 64 tokens, of 16 up to 256, of 32 beyond.

    oneDNN generates code for every shape of a bfloat16 product and keeps it: 0.7 MB and some milliseconds each, measured on
    one core, for 512 lengths, as many batch sizes and half a dozen layers. Lengths in steps make both few.
    """
    step = 8 if tokens <= 64 else 16 if tokens <= 256 else 32
    return -(-tokens // step) * step
