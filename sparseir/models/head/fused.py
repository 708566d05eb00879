"""Vocabulary projection and maximum over tokens in one step, in B×V memory.

The plain formula makes logits of B×L×V before the maximum leaves B×V of them: 4 GB at B=128, L=256. Here the logits of
a few texts exist for one piece of the vocabulary at a time, in the processor's cache, and the backward pass touches
only the arg-max token of each active term, since nothing else receives a gradient.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sparseir.models.head.groups import TokenGroup, token_groups
from sparseir.models.head.tiles import largest_products, multiplies_tiles, tiled_terms

_TOKENS = 512
"""Tokens of a group of texts whose logits are computed together: a piece of the vocabulary is read once for them."""

_TERMS = 2048
"""Terms of a piece of the vocabulary: 512 × 2048 logits in bfloat16 are 2 MiB. Measured: 15–25% faster than whole rows."""

_CELLS = 128
"""Pairs of a token and a term, most of them empty, in a product of matrices that take as long as one pair gathered, weighed and
added by itself. Measured with 2,000 terms, all of them active: 2 to 4 times faster in bfloat16, 1 to 2.5 in float32."""

_SPARSE_SHARE = 0.5
"""Share of the vocabulary beyond which a sparse gradient of its matrix would save nothing."""


def max_logits(hidden: Tensor, mask: Tensor, weight: Tensor, bias: Tensor, *, sparse_gradient: bool = False) -> Tensor:
    """relu(max_t (hidden[b, t] · weight[v]) + bias[v]) over the tokens t with mask[b, t] = 1.

    Equals relu of the maximum of the plain logits: the bias is the same for all tokens and rounding is monotone. On
    ties the gradient goes to the FIRST token that attains the maximum. A text without tokens gives zeros.

    Parameters
    ----------
    hidden : (B, L, H); its dtype is the dtype of the products (autocast's, where autocast is on).
    mask : (B, L), non-zero where a token counts.
    weight, bias : (V, H) and (V,).
    sparse_gradient : on a CPU, let the gradient of `weight` be a sparse tensor of the active terms' rows while those are
        few. For callers that add others to it and make the sum dense once; see `dense_gradient`.

    Returns
    -------
    Tensor (B, V) float32, ≥ 0.
    """
    device = hidden.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
    # Inside a Function needs_input_grad is True under no_grad too: what only a backward pass needs is asked for here.
    needs_grad = torch.is_grad_enabled() and any(t.requires_grad for t in (hidden, weight, bias))
    with torch.autocast(device, enabled=False):
        if device == "cuda" and _has_triton():
            from sparseir.models.head.triton import TritonMaxLogits

            fused: Tensor = TritonMaxLogits.apply(hidden, mask, weight, bias, dtype, needs_grad)
            return fused
        options = _Options(dtype, needs_grad, sparse_gradient)
        result: Tensor = _MaxLogits.apply(hidden, mask, weight, bias, options)
    return result


@functools.cache
def _has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None


def dense_gradient(weight: Tensor) -> Tensor:
    """The same values; their gradient, sums of dense and sparse ones, arrives at `weight` dense.

    A vocabulary's gradient is 47 MB for 30,522 terms of 384 numbers: one is made where each use would make its own.
    """
    dense: Tensor = _DenseGradient.apply(weight)
    return dense


class _DenseGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor) -> Tensor:
        return weight.view_as(weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0].to_dense()


@dataclass(frozen=True, slots=True)
class _Options:
    dtype: torch.dtype
    needs_grad: bool
    sparse_gradient: bool


@dataclass(frozen=True, slots=True)
class _Found:
    """What the forward pass finds, of every text of a batch.

    top : float32 (B, V), the largest logit. terms, tokens : int32, in pieces: terms whose logit is above 0 and the tokens, counted
    from the text's first, that attain it.
    """

    top: Tensor
    terms: list[list[Tensor]]
    tokens: list[list[Tensor]]

    @classmethod
    def none(cls, batch: int, num_terms: int, device: torch.device) -> _Found:
        top = torch.zeros(batch, num_terms, dtype=torch.float32, device=device)
        return cls(top, [[] for _ in range(batch)], [[] for _ in range(batch)])


_Groups = Sequence[tuple[TokenGroup, Tensor]]


def _by_pieces(groups: _Groups, weight: Tensor, bias: Tensor, found: _Found, needs_grad: bool) -> None:
    """A piece of the vocabulary is converted and read once, while the states, which are smaller, pass by."""
    for low in range(0, len(weight), _TERMS) if groups else ():
        high = min(low + _TERMS, len(weight))
        piece = weight[low:high].to(groups[0][1].dtype).t()
        for group, packed in groups:
            logits = packed @ piece
            for b, (begin, end) in enumerate(group.spans, start=group.first_text):
                if begin == end:
                    continue
                own = logits[begin:end]
                torch.add(own.amax(0).float(), bias[low:high], out=found.top[b, low:high])
                if needs_grad:
                    active = (found.top[b, low:high] > 0).nonzero().squeeze(1)
                    found.terms[b].append((active + low).int())
                    found.tokens[b].append(own[:, active].argmax(0).int())


def _by_tiles(groups: _Groups, weight: Tensor, bias: Tensor, found: _Found, needs_grad: bool) -> None:
    table = tiled_terms(weight.to(torch.bfloat16))
    for group, packed in groups:
        best, first = largest_products(packed, group.spans, table, places=needs_grad)
        top = found.top[group.first_text : group.first_text + len(group.spans)]
        torch.add(best, bias, out=top)
        if first is not None:
            for b, own in enumerate(top):
                active = (own > 0).nonzero().squeeze(1)
                found.terms[group.first_text + b].append(active.int())
                found.tokens[group.first_text + b].append(first[b, active])


class _MaxLogits(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, mask: Tensor, weight: Tensor, bias: Tensor, options: _Options) -> Tensor:
        dtype, needs_grad = options.dtype, options.needs_grad
        batch, num_terms = hidden.shape[0], weight.shape[0]
        groups = [(g, _filled(hidden.flatten(0, 1)[g.places].to(dtype))) for g in token_groups(mask, _TOKENS)]
        largest = _by_tiles if multiplies_tiles(dtype, hidden.device) else _by_pieces
        found = _Found.none(batch, num_terms, hidden.device)
        largest(groups, weight, bias.detach().float(), found, needs_grad)
        top = found.top.relu_()
        if needs_grad:
            none = torch.zeros(0, dtype=torch.int32, device=hidden.device)
            ctx.save_for_backward(
                weight,
                *(packed for _, packed in groups),
                *(torch.cat(t or [none]) for t in found.terms),
                *(torch.cat(t or [none]) for t in found.tokens),
            )
            ctx.groups, ctx.like = [group for group, _ in groups], (hidden.shape, hidden.dtype, bias.dtype)
            ctx.sparse_gradient = options.sparse_gradient
        return top

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, None, Tensor | None, Tensor | None, None]:
        weight, *rest = ctx.saved_tensors
        shape, hidden_dtype, bias_dtype = ctx.like
        grad, batch, count = grads[0], shape[0], len(ctx.groups)
        terms, tokens = rest[count : count + batch], rest[count + batch :]
        grad_hidden = torch.zeros(shape, dtype=hidden_dtype, device=weight.device)
        flat = grad_hidden.view(-1, shape[-1])
        grad_weight = _RowSums(weight, terms if ctx.sparse_gradient else None)
        grad_bias = torch.zeros(weight.shape[0], dtype=torch.float32, device=weight.device)
        table: Tensor | None = None
        for group, packed in zip(ctx.groups, rest[:count], strict=True):
            texts = range(group.first_text, group.first_text + len(group.spans))
            pairs = sum(len(terms[b]) for b in texts)
            if _CELLS * pairs >= len(packed) * len(weight):
                onto = torch.zeros(len(packed), len(weight), dtype=packed.dtype, device=weight.device)
                for b, (begin, _) in zip(texts, group.spans, strict=True):
                    active = terms[b].long()
                    g = grad[b, active]
                    grad_bias[active] += g
                    onto[begin + tokens[b].long(), active] = g.to(packed.dtype)
                table = weight.to(packed.dtype) if table is None else table
                flat[group.places] = (onto @ table)[: len(group.places)].to(hidden_dtype)
                grad_weight.add_all((onto.t() @ packed).float())
                continue
            for b, (begin, end) in enumerate(group.spans, start=group.first_text):
                active, own = terms[b].long(), tokens[b].long()
                if not len(active):
                    continue
                g = grad[b, active]
                grad_bias[active] += g
                grad_weight.add(active, g[:, None] * packed[begin:end][own].float())
                # One non-zero a column: the scatter onto tokens as a product, which keeps it in matrix arithmetic.
                onto = torch.zeros(end - begin, len(active), dtype=packed.dtype, device=weight.device)
                onto[own, torch.arange(len(active), device=weight.device)] = g.to(packed.dtype)
                flat[group.places[begin:end]] = (onto @ weight[active].to(packed.dtype)).to(hidden_dtype)
        return grad_hidden, None, grad_weight.total().to(weight.dtype), grad_bias.to(bias_dtype), None


def _filled(packed: Tensor) -> Tensor:
    """Rows of zeros up to a multiple of 64 where oneDNN makes code for every shape of a product, some milliseconds each."""
    if packed.device.type != "cpu" or packed.dtype != torch.bfloat16:
        return packed
    return torch.nn.functional.pad(packed, (0, 0, 0, -len(packed) % 64))


class _RowSums:
    """A float32 matrix like `weight` to which rows are added: dense, or sparse where `terms` names few of its rows."""

    def __init__(self, weight: Tensor, terms: Sequence[Tensor] | None) -> None:
        self._shape, self._rows = weight.shape, None
        if terms is not None:
            rows = torch.cat(list(terms)).unique().long()
            self._rows = rows if len(rows) < _SPARSE_SHARE * len(weight) else None
        height = len(weight) if self._rows is None else len(self._rows)
        self._sums = torch.zeros(height, weight.shape[1], dtype=torch.float32, device=weight.device)

    def add(self, rows: Tensor, values: Tensor) -> None:
        """Add to rows, none of them named twice."""
        self._sums[rows if self._rows is None else torch.searchsorted(self._rows, rows)] += values

    def add_all(self, values: Tensor) -> None:
        """Add a matrix like `weight`, zero in rows that are not kept."""
        self._sums += values if self._rows is None else values[self._rows]

    def total(self) -> Tensor:
        if self._rows is None:
            return self._sums
        return torch.sparse_coo_tensor(
            self._rows[None], self._sums, self._shape, check_invariants=False, is_coalesced=True
        )
