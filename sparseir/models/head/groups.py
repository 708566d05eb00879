"""Texts of a batch packed without their padding, a few at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class TokenGroup:
    """The counted tokens of some consecutive texts, packed without padding.

    places : int64 (T,), rows of the flattened (B·L, H) hidden states.
    spans : per text, its first and last + 1 place in `places`.
    """

    first_text: int
    places: Tensor
    spans: list[tuple[int, int]]


def token_groups(mask: Tensor, size_limit: int) -> Iterator[TokenGroup]:
    """Texts in groups of at most `size_limit` tokens, or one longer text; texts without tokens have an empty span."""
    counts = (mask != 0).sum(1).tolist()
    flat = (mask != 0).flatten().nonzero().squeeze(1)
    start = text = 0
    while text < len(counts):
        spans: list[tuple[int, int]] = []
        size, first = 0, text
        while text < len(counts) and (not spans or size + counts[text] <= size_limit):
            spans.append((size, size + counts[text]))
            size += counts[text]
            text += 1
        yield TokenGroup(first, flat[start : start + size], spans)
        start += size
