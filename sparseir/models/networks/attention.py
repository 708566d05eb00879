"""Attention for CPUs: one long text or a few short ones at a time, so that their scores stay in the second-level cache.

Twelve heads of 128 × 128 scores in float32 are 786 KB. Measured on one core (bfloat16, AVX-512), a layer and a text of 128
tokens: 0.30 ms against 0.49 ms of torch's fused attention; its backward pass takes a third of that one's time. Where the
processor multiplies tiles (AMX) the fused one is faster forwards, 0.6 ms against 1.5 on a busy core, and not backwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from indexer.native.tiles import tiles_usable

_NAME = "text_by_text"

_SCORES = 98_304
"""Most scores of texts that are taken together: a call for each short text costs more than its arithmetic."""


def attend_text_by_text(module: nn.Module) -> None:
    """Let every transformers model within a module attend this way; those without a switch stay as they are."""
    try:
        from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
        from transformers.masking_utils import sdpa_mask
    except ImportError:  # transformers before 4.53
        return
    AttentionInterface.register(_NAME, _forward)
    AttentionMaskInterface.register(_NAME, sdpa_mask)
    for part in module.modules():
        if isinstance(part, PreTrainedModel):
            part.set_attn_implementation(_NAME)


def attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float) -> Tensor:
    """softmax(query keyᵀ · scaling) value, with weights and their sums in float32.

    Keeps query, key and value for the backward pass, no scores.

    Parameters
    ----------
    query, key, value : (B, heads, L, d).
    mask : bool (B or 1, heads or 1, L, L), True where a query may see a key; or numbers to add to the scores; or None.

    Returns
    -------
    Tensor (B, L, heads, d).
    """
    device = query.device.type
    with torch.autocast(device, enabled=False):
        result: Tensor = _Attention.apply(query, key, value, mask, scaling)
    return result


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float) -> Tensor:
        ctx.save_for_backward(query, key, value, mask)
        ctx.scaling = scaling
        if query.dtype == torch.bfloat16 and tiles_usable():
            fused = nn.functional.scaled_dot_product_attention(query, key, value, mask, scale=scaling)
            return fused.transpose(1, 2)
        batch, heads, length, _ = query.shape
        out = value.new_empty(batch, length, heads, value.shape[-1])
        for texts in _groups(query):
            weights = _weights(query[texts], key[texts], _of(mask, texts), scaling)
            out[texts] = torch.matmul(weights.to(value.dtype), value[texts]).transpose(1, 2)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        query, key, value, mask = ctx.saved_tensors
        grad, dtype = grads[0].transpose(1, 2), query.dtype
        gradients = [torch.empty_like(t, memory_format=torch.preserve_format) for t in (query, key, value)]
        for texts in _groups(query):
            weights = _weights(query[texts], key[texts], _of(mask, texts), ctx.scaling)
            own = grad[texts]
            gradients[2][texts] = torch.matmul(weights.to(dtype).transpose(-1, -2), own)
            inner = torch.matmul(own, value[texts].transpose(-1, -2)).float()
            scores = torch._softmax_backward_data(inner, weights, -1, torch.float32).mul_(ctx.scaling).to(dtype)
            gradients[0][texts] = torch.matmul(scores, key[texts])
            gradients[1][texts] = torch.matmul(scores.transpose(-1, -2), query[texts])
        return gradients[0], gradients[1], gradients[2], None, None


def _groups(query: Tensor) -> Iterator[slice]:
    """Texts whose scores stay in the cache together."""
    batch, heads, length, _ = query.shape
    size = max(1, _SCORES // (heads * length * length))
    return (slice(first, first + size) for first in range(0, batch, size))


def _of(mask: Tensor | None, texts: slice) -> Tensor | None:
    return mask if mask is None or len(mask) == 1 else mask[texts]


def _weights(query: Tensor, key: Tensor, mask: Tensor | None, scaling: float) -> Tensor:
    """Attention weights of some texts, float32 (B, heads, L, L)."""
    scores = torch.matmul(query, key.transpose(-1, -2)).float().mul_(scaling)
    if mask is not None and mask.dtype == torch.bool:
        scores.masked_fill_(~mask, torch.finfo(torch.float32).min)
    elif mask is not None:
        scores += mask
    return torch.softmax(scores, -1)


def _forward(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *args: Any,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """transformers' attention interface; what goes beyond the plain formula goes to torch's fused attention."""
    if dropout or query.shape != key.shape or getattr(module, "is_causal", False):
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        output, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask, *args, dropout=dropout, scaling=scaling, **kwargs
        )
        return output, None
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    return attention(query, key, value, attention_mask, scale), None
