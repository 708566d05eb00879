"""Gradients for terms that a text's logits put below zero.

relu passes no gradient there: a term that the first steps of training switch off for all texts never comes back, however
much the loss wants it. Learning SPLADE's vectors, of 42 terms a text a fresh head was left with 9, its own words.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sparseir.models.head.fused import max_logits

_DEPTH = 64.0
"""How far below zero logits are told apart. The float32 sum keeps them to 4e-6."""


def lowest_logits(hidden: Tensor, mask: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """As `fused.max_logits` without its relu, down to −64: (B, V) float32.

    Every term then has a gradient and its row in the backward pass: for a few thousand terms, not for a vocabulary.
    """
    return max_logits(hidden, mask, weight, bias + _DEPTH) - _DEPTH


def reviving_relu(values: Tensor) -> Tensor:
    """relu whose gradient below zero is that of exp, where the loss wants a larger value; elsewhere relu's.

    A term that should be there is lifted, the more the nearer it is to zero; one that should not stays where it is.
    """
    result: Tensor = _RevivingRelu.apply(values)
    return result


class _RevivingRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        ctx.save_for_backward(values)
        return torch.relu(values)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (values,), grad = ctx.saved_tensors, grads[0]
        below = grad.clamp(max=0) * torch.exp(values.clamp(max=0))
        return torch.where(values > 0, grad, below)
