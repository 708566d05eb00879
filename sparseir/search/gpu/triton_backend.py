"""Scoring from the forward index with Triton: portable to every device Triton compiles for, and run by its interpreter
where there is none (TRITON_INTERPRET=1 before the first import).

Triton has no scatter into shared memory, so documents gather from a dense query vector instead of lists adding into scores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import triton
import triton.language as tl

from indexer.native.queries import QueryBatch
from sparseir.errors import ConfigError
from sparseir.search.gpu.forward_index import build_forward_index
from sparseir.search.gpu.tensor_search import TensorBackend

if TYPE_CHECKING:
    from sparseir.search.gpu.postings import SegmentPostings

BLOCK_DOCS, BLOCK_TERMS = 32, 32


@triton.jit
def _score_documents(
    start: tl.tensor,
    rows: tl.tensor,
    impacts: tl.tensor,
    table: tl.tensor,
    scores: tl.tensor,
    first_doc: tl.tensor,
    num_docs: tl.tensor,
    span: tl.tensor,
    num_rows: tl.tensor,
    DOCS: tl.constexpr,
    TERMS: tl.constexpr,
) -> None:
    """scores[query, d] = Σ table[query, row] · impact over document first_doc + d; program (block of documents, query)."""
    local = tl.program_id(0) * DOCS + tl.arange(0, DOCS)
    query = tl.program_id(1).to(tl.int64)
    doc = first_doc + local
    inside = (local < span) & (doc < num_docs)
    lo = tl.load(start + doc, mask=inside, other=0)
    length = tl.load(start + doc + 1, mask=inside, other=0) - lo
    longest = tl.max(length, axis=0)
    total = tl.zeros((DOCS,), tl.int32)
    for begin in range(0, longest, TERMS):
        step = begin + tl.arange(0, TERMS)
        present = step[None, :] < length[:, None]
        at = lo[:, None] + step[None, :]  # int64: a segment may hold more than 2^31 postings
        row = tl.load(rows + at, mask=present, other=0).to(tl.int64) & 0xFFFFFFFF
        weight = tl.load(table + query * num_rows + row, mask=present, other=0)
        impact = tl.load(impacts + at, mask=present, other=0).to(tl.int32)
        total += tl.sum(weight * impact, axis=1)
    tl.store(scores + query * span + local, total, mask=local < span)


class TritonBackend(TensorBackend):
    """Exact top-k over one segment's forward index.

    Parameters
    ----------
    postings : the segment. device : 'cuda', or 'cpu' under the interpreter. memory : bytes for the scores of one step.
    """

    def __init__(self, postings: SegmentPostings, *, device: str, memory: int = 1 << 30) -> None:
        super().__init__(postings.num_docs, BLOCK_DOCS, postings.ordinals, device=device, memory=memory)
        need = 8 * postings.num_docs + (3 if len(postings.term_ids) <= 1 << 16 else 5) * postings.num_postings
        if need > 2 * memory:
            raise ConfigError(
                f"the forward index of this segment takes {need} bytes on the device and half of gpu_memory is {2 * memory}; "
                "raise --gpu-memory, or choose the cuda or torch backend, which pass a large index through in groups"
            )
        forward = build_forward_index(postings)
        self._num_rows = max(1, len(postings.term_ids))
        self._start, self._impact = self._put(forward.start), self._put(forward.impact)
        self._row: Any = self._put(forward.row)

    def _max_queries(self) -> int:
        """Dense query vectors take at most half of the memory; a grid has at most 65,535 rows."""
        return max(1, min(65_535, self._memory // 2 // (4 * self._num_rows)))

    def _load_queries(self, rows: QueryBatch) -> None:
        table = torch.zeros((len(rows), self._num_rows), dtype=torch.int32, device=self._device)
        query = self._put(np.repeat(np.arange(len(rows)), np.diff(rows.indptr)))
        table[query, self._put(rows.ids.astype(np.int64))] = self._put(rows.weights)
        self._table = table

    def _scores(self, first: int, end: int) -> torch.Tensor:
        span = end - first
        scores = torch.empty((len(self._table), span), dtype=torch.int32, device=self._device)
        _score_documents[(triton.cdiv(span, BLOCK_DOCS), len(self._table))](
            self._start,
            self._row,
            self._impact,
            self._table,
            scores,
            first,
            self._num_docs,
            span,
            self._num_rows,
            DOCS=BLOCK_DOCS,
            TERMS=BLOCK_TERMS,
            enable_fp_fusion=True,  # the kernel has integers only; Triton 3.9 warns unless this is given
        )
        return scores
