"""The usual Triton kernel of this field: one program a stretch of a posting list, float atomics into global memory."""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

BLOCK = 1024


@triton.jit
def _add_lists(
    docs: tl.tensor,
    impacts: tl.tensor,
    query: tl.tensor,
    start: tl.tensor,
    length: tl.tensor,
    weights: tl.tensor,
    out: tl.tensor,
    num_docs: tl.tensor,
    BLOCK: tl.constexpr,
) -> None:
    """Program (term of the batch, stretch of its list)."""
    term = tl.program_id(0)
    inside = tl.program_id(1).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    present = inside < tl.load(length + term)
    at = tl.load(start + term) + inside
    doc = tl.load(docs + at, mask=present, other=0)
    gain = tl.load(impacts + at, mask=present, other=0).to(tl.float32) * tl.load(weights + term)
    tl.atomic_add(out + tl.load(query + term) * num_docs + doc, gain, mask=present)


def add_lists(lists: tuple[Any, Any], terms: list[Any], weights: Any, out: Any, longest: int) -> None:
    """out[query, doc] += weight · impact over every list of every query term."""
    grid = (len(weights), max(1, triton.cdiv(longest, BLOCK)))
    _add_lists[grid](*lists, *terms, weights, out, out.shape[1], BLOCK=BLOCK, enable_fp_fusion=True)
