"""Other ways to score a batch on a device, each at its best: the whole answer of k hits is timed, as it is for the engine."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch

from sparseir.search.gpu import QueryBatch, SegmentPostings
from sparseir.search.gpu.forward_index import ForwardIndex


class Rival(ABC):
    """Scores every document of a collection in float32, then torch.topk.

    max_cells caps documents x queries of one score matrix; larger batches go through in parts.
    """

    name: str
    max_cells = 1 << 31

    def __init__(self, postings: SegmentPostings, forward: ForwardIndex, device: str) -> None:
        self.num_docs, self.num_rows, self.device = postings.num_docs, len(postings.term_ids), device

    @abstractmethod
    def scores(self, rows: QueryBatch) -> torch.Tensor:
        """float32 (queries, documents)."""

    def search(self, rows: QueryBatch, k: int) -> torch.Tensor:
        """Scores (queries, k) of the hits."""
        parts = []
        for start, stop in rows.chunks(max(1, self.max_cells // self.num_docs)):
            parts.append(torch.topk(self.scores(rows.slice(start, stop)), min(k, self.num_docs), dim=1).values)
        return torch.cat(parts)

    def dense(self, rows: QueryBatch) -> torch.Tensor:
        """float32 (queries, term rows)."""
        table = torch.zeros((len(rows), self.num_rows), device=self.device)
        query = np.repeat(np.arange(len(rows)), np.diff(rows.indptr))
        at = (torch.from_numpy(query).to(self.device), torch.from_numpy(rows.ids.astype(np.int64)).to(self.device))
        table[at] = torch.from_numpy(rows.weights.astype(np.float32)).to(self.device)
        return table


class TorchSparse(Rival):
    """torch.sparse CSR @ dense (cuSPARSE on a device)."""

    name = "torch.sparse CSR @ dense"

    def __init__(self, postings: SegmentPostings, forward: ForwardIndex, device: str) -> None:
        super().__init__(postings, forward, device)
        index = np.int32 if len(forward.row) < 2**31 else np.int64
        self.matrix = torch.sparse_csr_tensor(
            torch.from_numpy(forward.start.astype(index)),
            torch.from_numpy(forward.row.astype(index)),
            torch.from_numpy(forward.impact.astype(np.float32)),
            size=(self.num_docs, self.num_rows),
        ).to(device)

    def scores(self, rows: QueryBatch) -> torch.Tensor:
        return (self.matrix @ self.dense(rows).T.contiguous()).T.contiguous()


class CupySparse(Rival):
    """CuPy CSR @ dense."""

    name = "CuPy CSR @ dense"

    def __init__(self, postings: SegmentPostings, forward: ForwardIndex, device: str) -> None:
        super().__init__(postings, forward, device)
        import cupy
        from cupyx.scipy.sparse import csr_matrix

        self.cupy = cupy
        parts = (forward.impact.astype(np.float32), forward.row.astype(np.int32), forward.start.astype(np.int32))
        self.matrix = csr_matrix(tuple(cupy.asarray(p) for p in parts), shape=(self.num_docs, self.num_rows))

    def scores(self, rows: QueryBatch) -> torch.Tensor:
        product = self.matrix @ self.cupy.asarray(self.dense(rows)).T
        return torch.as_tensor(self.cupy.ascontiguousarray(product.T), device=self.device)


class _Inverted(Rival):
    """Posting lists on the device, one after another: what the two scattering rivals read."""

    def __init__(self, postings: SegmentPostings, forward: ForwardIndex, device: str) -> None:
        super().__init__(postings, forward, device)
        length = (postings.run_end - postings.run_start).astype(np.int64)
        docs = postings.docs.astype(np.int32) + np.repeat(postings.run_base, length).astype(np.int32)
        df = np.bincount(postings.run_row, weights=length, minlength=self.num_rows).astype(np.int64)
        self.df, self.start = df, np.concatenate([[0], np.cumsum(df)])
        self.docs = torch.from_numpy(docs).to(device)
        self.impacts = torch.from_numpy(np.array(postings.impacts)).to(device)


class IndexAdd(_Inverted):
    """torch index_add_ of whole posting lists into one global score matrix."""

    name = "torch index_add"

    def scores(self, rows: QueryBatch) -> torch.Tensor:
        out = torch.zeros((len(rows), self.num_docs), device=self.device)
        for q in range(len(rows)):
            for at in range(int(rows.indptr[q]), int(rows.indptr[q + 1])):
                lo, hi = int(self.start[rows.ids[at]]), int(self.start[rows.ids[at] + 1])
                out[q].index_add_(0, self.docs[lo:hi], self.impacts[lo:hi].float() * float(rows.weights[at]))
        return out


class GlobalAtomics(_Inverted):
    """A Triton kernel that adds postings into a global score matrix with float atomics."""

    name = "Triton global atomics"

    def scores(self, rows: QueryBatch) -> torch.Tensor:
        from bench.gpu.atomics import add_lists

        out = torch.zeros((len(rows), self.num_docs), device=self.device)
        starts, lengths = self.start[rows.ids], self.df[rows.ids]
        query = np.repeat(np.arange(len(rows)), np.diff(rows.indptr))
        tensors = [torch.from_numpy(np.ascontiguousarray(a)).to(self.device) for a in (query, starts, lengths)]
        weights = torch.from_numpy(rows.weights.astype(np.float32)).to(self.device)
        add_lists((self.docs, self.impacts), tensors, weights, out, int(lengths.max(initial=0)))
        return out


RIVALS: tuple[type[Rival], ...] = (TorchSparse, CupySparse, GlobalAtomics, IndexAdd)
