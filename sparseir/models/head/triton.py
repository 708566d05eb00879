"""The fused head on a GPU: projection and maximum over tokens in one kernel, a backward pass over active terms alone.

Memory is B×V, never B×L×V. No atomics, so that every run gives the same bits. Without a GPU the kernels run in Triton's
interpreter (TRITON_INTERPRET=1 before its first import).
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

_TERMS, _MAX_TOKENS, _GROUP = 128, 128, 8
_ROWS, _COLUMNS = 16, 256


@triton.jit
def _max_over_tokens(
    states: tl.tensor,
    counted: tl.tensor,
    lengths: tl.tensor,
    table: tl.tensor,
    bias: tl.tensor,
    top: tl.tensor,
    token: tl.tensor,
    batch: tl.tensor,
    length: tl.tensor,
    width: tl.tensor,
    num_terms: tl.tensor,
    TOKENS: tl.constexpr,
    TERMS: tl.constexpr,
    DEPTH: tl.constexpr,
    GROUP: tl.constexpr,
    PRECISION: tl.constexpr,
    ARGMAX: tl.constexpr,
) -> None:
    """top[b, v] = relu(max over counted tokens of states[b, t] · table[v] + bias[v]), token[b, v] the first that attains it.

    A program takes one text and one tile of the vocabulary. GROUP texts take turns on a tile, so that programs that run at
    once share tiles of both operands in L2.
    """
    tiles = tl.cdiv(num_terms, TERMS)
    program, per_group = tl.program_id(0), GROUP * tiles
    first_text = program // per_group * GROUP
    texts = tl.minimum(batch - first_text, GROUP)
    text = (first_text + program % per_group % texts).to(tl.int64)
    term = (program % per_group // texts * TERMS + tl.arange(0, TERMS)).to(tl.int64)
    known = term < num_terms
    best = tl.full((TERMS,), float("-inf"), tl.float32)
    place = tl.zeros((TERMS,), tl.int32)
    end = tl.load(lengths + text)
    for begin in range(0, end, TOKENS):
        at = begin + tl.arange(0, TOKENS)
        inside = at < end
        row = states + (text * length + at)[:, None] * width
        logits = tl.zeros((TOKENS, TERMS), tl.float32)
        for depth in range(0, width, DEPTH):
            column = depth + tl.arange(0, DEPTH)
            here = column < width
            left = tl.load(row + column[None, :], mask=inside[:, None] & here[None, :], other=0.0)
            right = tl.load(
                table + term[None, :] * width + column[:, None], mask=known[None, :] & here[:, None], other=0.0
            )
            logits = tl.dot(left, right, logits, input_precision=PRECISION)
        counts = tl.load(counted + text * length + at, mask=inside, other=0) != 0
        logits = tl.where(logits == logits, logits, float("inf"))  # a maximum drops NaN, and a broken step must show
        logits = tl.where(counts[:, None], logits, float("-inf"))
        highest = tl.max(logits, axis=0)
        if ARGMAX:
            first = tl.min(tl.where(logits == highest[None, :], at[:, None], length), axis=0)
            place = tl.where(highest > best, first, place)
        best = tl.maximum(best, highest)
    value = tl.maximum(best + tl.load(bias + term, mask=known, other=0.0), 0.0)
    tl.store(top + text * num_terms + term, value, mask=known)
    if ARGMAX:
        tl.store(token + text * num_terms + term, place, mask=known)


@triton.jit
def _segment_sum(
    starts: tl.tensor,
    rows: tl.tensor,
    gains: tl.tensor,
    table: tl.tensor,
    out: tl.tensor,
    width: tl.tensor,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
) -> None:
    """out[s] = Σ gains[i] · table[rows[i]] over starts[s] ≤ i < starts[s + 1], in that order; program (s, columns)."""
    segment = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = column < width
    total = tl.zeros((COLUMNS,), tl.float32)
    end = tl.load(starts + segment + 1)
    for begin in range(tl.load(starts + segment), end, ROWS):
        at = begin + tl.arange(0, ROWS)
        present = at < end
        row = tl.load(rows + at, mask=present, other=0)
        gain = tl.load(gains + at, mask=present, other=0.0)
        found = tl.load(
            table + row[:, None] * width + column[None, :], mask=present[:, None] & inside[None, :], other=0.0
        )
        total += tl.sum(gain[:, None] * found.to(tl.float32), axis=0)
    tl.store(out + segment * width + column, total, mask=inside)


def segment_sum(keys: Tensor, out_shape: tuple[int, int], rows: Tensor, gains: Tensor, table: Tensor) -> Tensor:
    """float32 `out_shape`: out[s] = Σ gains[i] · table[rows[i]] over the i with keys[i] = s, in their order; keys ascend."""
    num_segments, width = out_shape
    borders = torch.arange(num_segments + 1, device=keys.device)
    out = torch.empty(out_shape, dtype=torch.float32, device=table.device)
    if out.numel():
        starts = torch.searchsorted(keys, borders)
        grid = (num_segments, triton.cdiv(width, _COLUMNS))
        sizes = {"ROWS": _ROWS, "COLUMNS": _COLUMNS, "enable_fp_fusion": True}
        _segment_sum[grid](starts, rows, gains, table.contiguous(), out, width, **sizes)
    return out


def max_over_tokens(
    states: Tensor, mask: Tensor, table: Tensor, bias: Tensor, *, argmax: bool
) -> tuple[Tensor, Tensor]:
    """(relu of the largest logit of each text and term, the first token that attains it).

    Parameters
    ----------
    states : (B, L, H) and table : (V, H), of one dtype. mask : (B, L). bias : (V,).
    argmax : whether the tokens are wanted.

    Returns
    -------
    top : float32 (B, V). token : int32 (B, V), or (0, V) where not wanted; without meaning where top is 0.
    """
    (batch, length, width), num_terms = states.shape, table.shape[0]
    top = torch.zeros(batch, num_terms, dtype=torch.float32, device=states.device)
    token = torch.empty_like(top if argmax else top[:0], dtype=torch.int32)
    if top.numel() == 0 or length == 0:
        return top, token.zero_()
    if states.device.type == "cpu" and states.dtype == torch.bfloat16:
        states, table = states.float(), table.float()  # the interpreter multiplies bfloat16 as if it were integers
    counted = mask != 0
    lengths = (counted * torch.arange(1, length + 1, device=mask.device, dtype=torch.int32)).amax(1)
    single = states.dtype == torch.float32
    exact = single and torch.get_float32_matmul_precision() == "highest"
    tokens = min(_MAX_TOKENS, max(16, triton.next_power_of_2(length)))
    _max_over_tokens[(batch * triton.cdiv(num_terms, _TERMS),)](
        states.contiguous(),
        counted.to(torch.uint8),
        lengths,
        table.contiguous(),
        bias.float().contiguous(),
        top,
        token,
        batch,
        length,
        width,
        num_terms,
        TOKENS=tokens,
        TERMS=_TERMS,
        DEPTH=32 if single else 64,
        GROUP=_GROUP,
        PRECISION="ieee" if exact else "tf32",
        ARGMAX=argmax,
        num_warps=8 if tokens > 32 else 4,
        num_stages=3,
        enable_fp_fusion=True,  # the default of Triton changes with 3.10, and 3.9 warns of it
    )
    return top, token


class TritonMaxLogits(torch.autograd.Function):
    """`fused.max_logits` by Triton: apply(hidden, mask, weight, bias, dtype, needs_grad) -> (B, V) float32.

    Products of `dtype` operands are summed in float32; a product of float32 operands is as exact as
    torch.get_float32_matmul_precision() asks.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, mask: Tensor, weight: Tensor, bias: Tensor, dtype: torch.dtype, needs_grad: bool
    ) -> Tensor:
        top, token = max_over_tokens(hidden.to(dtype), mask, weight.to(dtype), bias, argmax=needs_grad)
        if needs_grad:
            ctx.save_for_backward(hidden, weight, top, token)
            ctx.bias_dtype = bias.dtype
        return top

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, None, Tensor | None, Tensor | None, None, None]:
        """Only the arg-max token of an active term receives a gradient, and both scatters are sums over sorted segments."""
        hidden, weight, top, token = ctx.saved_tensors
        batch, length, width = hidden.shape
        active = top > 0
        term, text = active.t().nonzero(as_tuple=True)  # by term, then text
        gains = grads[0][text, term]
        place = text * length + token[text, term]
        for_hidden = for_weight = for_bias = None
        if ctx.needs_input_grad[0]:
            by_place, order = place.sort(stable=True)
            flat = segment_sum(by_place, (batch * length, width), term[order], gains[order], weight)
            for_hidden = flat.to(hidden.dtype).view(hidden.shape)
        if ctx.needs_input_grad[2]:
            for_weight = segment_sum(term, (len(weight), width), place, gains, hidden.flatten(0, 1)).to(weight.dtype)
        if ctx.needs_input_grad[3]:
            for_bias = (grads[0] * active).sum(0).to(ctx.bias_dtype)
        return for_hidden, None, for_weight, for_bias, None, None
