"""The head on CPUs that multiply tiles of bfloat16 (AMX): products and their maxima in one kernel, logits in no memory.

There a product costs so little that to write the logits and read them again for the maximum takes longer, and so does asking
with 8-bit products first which terms can be active, as `screen` does for other processors.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from indexer.native.tiles import DEPTH, TOKENS, TiledTerms, tiles_usable
from sparseir.models.head.groups import token_groups

_TOKENS = 1024
"""Tokens that pass by a block of terms: 1024 of 384 numbers are 768 KiB, in the second-level cache."""


def multiplies_tiles(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether products of this dtype are for this module."""
    return dtype == torch.bfloat16 and device.type == "cpu" and tiles_usable()


def tiled_terms(weight: Tensor) -> TiledTerms:
    """A vocabulary (V, H), bfloat16 on the CPU, in the kernel's order."""
    return TiledTerms(_bits(weight.detach().contiguous()))


def largest_products(
    packed: Tensor, spans: Sequence[tuple[int, int]], terms: TiledTerms, *, places: bool
) -> tuple[Tensor, Tensor | None]:
    """Of each text, max over its tokens of h · w, and the first token that attains it.

    Parameters
    ----------
    packed : bfloat16 (T, H), tokens of the texts. spans : per text its first and last + 1 row of them.

    Returns
    -------
    float32 (texts, V), −inf for an empty span, and int32 (texts, V), counted from the text's first token, or None.
    """
    rows, text, first = [], [], []
    for i, (begin, end) in enumerate(spans):
        for start in range(begin, end, TOKENS):
            rows.append(np.minimum(np.arange(start, start + TOKENS), end - 1))  # the last token again: no new maximum
            text.append(i)
            first.append(start - begin)
    places_of = np.concatenate(rows) if rows else np.zeros(0, np.int64)
    tokens = packed.detach()[torch.from_numpy(places_of)]
    tokens = torch.nn.functional.pad(tokens, (0, -tokens.shape[1] % DEPTH)).contiguous()
    best, token = terms.largest_products(
        _bits(tokens),
        np.array(text, np.uint32),
        np.array(first, np.uint32),
        len(spans),
        places=places,
        num_threads=torch.get_num_threads(),
    )
    return torch.from_numpy(best), None if token is None else torch.from_numpy(token)


class VocabularyTiles:
    """`max_logits` for frozen weights, without gradients; logits are sums in float32, not rounded to bfloat16.

    Parameters
    ----------
    weight, bias : (V, H) bfloat16 and (V,) of the projection, on the CPU; they must not change afterwards.
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self._terms, self._bias = tiled_terms(weight), bias.detach().float()

    def max_logits(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """As `fused.max_logits`: (B, V) float32 ≥ 0."""
        states = hidden.flatten(0, 1).to(torch.bfloat16)
        top = torch.empty(len(hidden), len(self._bias), dtype=torch.float32)
        for group in token_groups(mask, _TOKENS):
            best, _ = largest_products(states[group.places], group.spans, self._terms, places=False)
            torch.add(best, self._bias, out=top[group.first_text : group.first_text + len(group.spans)])
        return top.relu_()


def _bits(values: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.uint16]]:
    """The numbers of a contiguous bfloat16 tensor as numpy's, which knows no such type."""
    return values.view(torch.int16).numpy().view(np.uint16)
