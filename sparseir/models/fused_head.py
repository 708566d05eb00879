"""Vocabulary projection and maximum over tokens in one step, in B×V memory.

The plain formula makes logits of B×L×V before the maximum leaves B×V of them: 4 GB at B=128, L=256. Here each
document's logits exist only for the moment of its maximum, and the backward pass touches only the arg-max token of
each active term, since nothing else receives a gradient.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def max_logits(hidden: Tensor, mask: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """relu(max_t (hidden[b, t] · weight[v]) + bias[v]) over the tokens t with mask[b, t] = 1.

    Equals relu of the maximum of the plain logits: the bias is the same for all tokens and rounding is monotone. On
    ties the gradient goes to the FIRST token that attains the maximum. A text without tokens gives zeros.

    Parameters
    ----------
    hidden : (B, L, H); its dtype is the dtype of the products (autocast's, where autocast is on).
    mask : (B, L), non-zero where a token counts.
    weight, bias : (V, H) and (V,).

    Returns
    -------
    Tensor (B, V) float32, ≥ 0.
    """
    device = hidden.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
    result: Tensor = _MaxLogits.apply(hidden.to(dtype), mask, weight.to(dtype), bias)
    return result


class _MaxLogits(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, mask: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        needs_grad = any(ctx.needs_input_grad)
        batch, num_terms = hidden.shape[0], weight.shape[0]
        top = torch.zeros(batch, num_terms, dtype=torch.float32, device=hidden.device)
        bias32 = bias.float()
        terms: list[Tensor] = []
        tokens: list[Tensor] = []
        for b in range(batch):
            positions = mask[b].nonzero().squeeze(1)
            if not len(positions):
                terms.append(positions)
                tokens.append(positions)
                continue
            logits = hidden[b, positions] @ weight.t()
            torch.add(logits.amax(0).float(), bias32, out=top[b])
            if needs_grad:
                active = (top[b] > 0).nonzero().squeeze(1)
                terms.append(active)
                tokens.append(positions[logits[:, active].argmax(0)])
        top.relu_()
        if needs_grad:
            ctx.save_for_backward(hidden, weight, *terms, *tokens)
            ctx.bias_dtype = bias.dtype
        return top

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, None, Tensor | None, Tensor | None]:
        hidden, weight, *rest = ctx.saved_tensors
        grad, batch = grads[0], hidden.shape[0]
        terms, tokens = rest[:batch], rest[batch:]
        grad_hidden = torch.zeros_like(hidden)
        grad_weight = torch.zeros(weight.shape, dtype=torch.float32, device=weight.device)
        grad_bias = torch.zeros(weight.shape[0], dtype=torch.float32, device=weight.device)
        for b in range(batch):
            active = terms[b]
            if not len(active):
                continue
            g = grad[b, active]
            grad_bias[active] += g
            grad_weight[active] += g[:, None] * hidden[b, tokens[b]].float()
            # One non-zero a column: the scatter onto tokens as a product, which keeps it in matrix arithmetic.
            onto = torch.zeros(hidden.shape[1], len(active), dtype=weight.dtype, device=weight.device)
            onto[tokens[b], torch.arange(len(active), device=weight.device)] = g.to(weight.dtype)
            grad_hidden[b] = onto @ weight[active]
        return grad_hidden, None, grad_weight.to(weight.dtype), grad_bias.to(ctx.bias_dtype)
