"""The windowed algorithm in plain torch operations: the reference of the other backends, on any device torch has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from sparseir.search.gpu.batch import QueryBatch
from sparseir.search.gpu.tensor_search import TensorBackend

if TYPE_CHECKING:
    from sparseir.search.gpu.layout import DeviceLayout
    from sparseir.search.gpu.postings import SegmentPostings


class TorchBackend(TensorBackend):
    """Exact top-k over one device layout. Integer additions commute, so index_add_ in any order gives the same bits.

    Parameters
    ----------
    layout, postings : the segment. device : a torch device. memory : bytes for the scores of one step.
    """

    def __init__(
        self, layout: DeviceLayout, postings: SegmentPostings, *, device: str = "cpu", memory: int = 1 << 30
    ) -> None:
        super().__init__(layout.num_docs, layout.window_docs, postings.ordinals, device=device, memory=memory)
        self._num_rows = len(postings.term_ids)
        first = layout.window_entry.astype(np.int64)
        windows = np.repeat(np.arange(layout.num_windows), first[1:] - first[:-1])
        entries = np.arange(len(layout.entry_row)) + windows
        base = layout.window_posting.astype(np.int64)[windows]
        start = layout.entry_start[entries].astype(np.int64)
        self._entry_key = self._put(windows * self._num_rows + layout.entry_row.astype(np.int64))
        self._entry_start = self._put(base + start)
        self._entry_length = self._put(layout.entry_start[entries + 1].astype(np.int64) - start)
        self._local = self._put(layout.local.view(np.int16))  # torch indexes int16 everywhere, uint16 not
        self._impact = self._put(layout.impact)

    def _load_queries(self, rows: QueryBatch) -> None:
        self._num_queries = len(rows)
        self._query = self._put(np.repeat(np.arange(len(rows)), np.diff(rows.indptr)))
        self._row, self._weight = self._put(rows.ids.astype(np.int64)), self._put(rows.weights)

    def _scores(self, first: int, end: int) -> torch.Tensor:
        docs, num_terms = self._unit, len(self._row)
        first_window, count = first // docs, (end - first) // docs
        scores = torch.zeros(self._num_queries * count * docs, dtype=torch.int32, device=self._device)
        if len(self._entry_key) and num_terms:
            windows = torch.arange(count, device=self._device)
            wanted = ((first_window + windows)[:, None] * self._num_rows + self._row[None, :]).reshape(-1)
            entry = torch.searchsorted(self._entry_key, wanted).clamp_(max=len(self._entry_key) - 1)
            found = torch.nonzero(self._entry_key[entry] == wanted).squeeze(1)
            entry, term = entry[found], found % num_terms
            length = self._entry_length[entry]
            place = (self._query[term] * count + found // num_terms) * docs
            ends = torch.cumsum(length, 0)
            total = int(ends[-1]) if len(ends) else 0
            inside = torch.arange(total, device=self._device) - torch.repeat_interleave(ends - length, length)
            at = torch.repeat_interleave(self._entry_start[entry], length) + inside
            target = torch.repeat_interleave(place, length) + (self._local[at].long() & 0xFFFF)
            gain = self._impact[at].int() * torch.repeat_interleave(self._weight[term], length)
            scores.index_add_(0, target, gain)
        return scores.view(self._num_queries, -1)
