"""The windowed algorithm in plain torch operations: the reference of the other backends, on any device torch has.

Integer additions commute, so index_add_ in any order gives the same bits; sort keys are distinct, so topk's unspecified
order of ties cannot show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from sparseir.search.gpu.batch import ORDINAL_MASK, QueryBatch

if TYPE_CHECKING:
    from sparseir.search.gpu.layout import DeviceLayout

BYTES_PER_SCORE = 32
"""Working memory of one (query, document) cell: the score, its key, masks, and what topk copies."""


class TorchBackend:
    """Exact top-k over one device layout.

    Parameters
    ----------
    layout : the segment's postings. ordinals : uint32 (N,) or None for position = ordinal.
    num_rows : term rows of the segment. device : a torch device. memory : bytes for the scores of one step.
    """

    def __init__(
        self,
        layout: DeviceLayout,
        ordinals: NDArray[np.uint32] | None,
        num_rows: int,
        *,
        device: str = "cpu",
        memory: int = 1 << 30,
    ) -> None:
        self._device, self._memory = torch.device(device), memory
        self._layout, self._num_rows = layout, num_rows
        first = layout.window_entry.astype(np.int64)
        windows = np.repeat(np.arange(layout.num_windows), first[1:] - first[:-1])
        entries = np.arange(len(layout.entry_row)) + windows
        base = layout.window_posting.astype(np.int64)[windows]
        self._entry_key = self._put(windows * num_rows + layout.entry_row.astype(np.int64))
        self._entry_start = self._put(base + layout.entry_start[entries])
        self._entry_length = self._put(
            layout.entry_start[entries + 1].astype(np.int64) - layout.entry_start[entries].astype(np.int64)
        )
        self._local = self._put(layout.local.view(np.int16))  # torch indexes int16 everywhere, uint16 not
        self._impact = self._put(layout.impact)
        span = layout.num_windows * layout.window_docs
        complement = np.zeros(span, np.int64)
        complement[: layout.num_docs] = ORDINAL_MASK - (
            np.arange(layout.num_docs) if ordinals is None else ordinals.astype(np.int64)
        )
        self._complement = self._put(complement)

    def _put(self, array: NDArray[np.generic]) -> torch.Tensor:
        writable = np.require(array, requirements=["C", "W"])  # torch shares no memory it may not write
        return torch.from_numpy(writable).to(self._device)

    def search(
        self, rows: QueryBatch, k: int, thresholds: NDArray[np.int32], live: NDArray[np.bool_] | None
    ) -> NDArray[np.uint64]:
        """Sort keys (Q, k) of the best documents, best first, 0 where there are no more.

        Parameters
        ----------
        rows : queries over term rows. thresholds : int32 (Q,) ≥ 1, scores below are of no interest.
        live : bool (N,), the documents that may be found; None for all.
        """
        window_docs = self._layout.window_docs
        per_step = max(1, self._memory // BYTES_PER_SCORE // window_docs)
        keys = np.zeros((len(rows), k), np.uint64)
        alive = None
        if live is not None:
            padded = np.zeros(self._layout.num_windows * window_docs, np.bool_)
            padded[: len(live)] = live
            alive = self._put(padded)
        for start, stop in rows.chunks(per_step):
            part = self._search_chunk(rows.slice(start, stop), k, thresholds[start:stop], alive, per_step)
            keys[start:stop] = part.cpu().numpy().view(np.uint64)
        return keys

    def _search_chunk(
        self,
        rows: QueryBatch,
        k: int,
        thresholds: NDArray[np.int32],
        alive: torch.Tensor | None,
        cells: int,
    ) -> torch.Tensor:
        best = torch.zeros((len(rows), k), dtype=torch.int64, device=self._device)
        threshold = self._put(thresholds.astype(np.int64))[:, None]
        query = self._put(np.repeat(np.arange(len(rows)), np.diff(rows.indptr)))
        row, weight = self._put(rows.ids.astype(np.int64)), self._put(rows.weights)
        windows_per_step = max(1, cells // max(1, len(rows)))
        docs = self._layout.window_docs
        for first in range(0, self._layout.num_windows, windows_per_step):
            count = min(windows_per_step, self._layout.num_windows - first)
            scores = self._score(query, row, weight, len(rows), first, count)
            span = slice(first * docs, (first + count) * docs)
            hit = scores >= threshold
            if alive is not None:
                hit &= alive[span]
            keys = torch.where(hit, (scores.long() << 32) | self._complement[span], 0)
            kept = torch.topk(keys, min(k, keys.shape[1]), dim=1).values
            best = torch.topk(torch.cat([best, kept], dim=1), k, dim=1).values
            threshold = torch.maximum(threshold, best[:, k - 1 :] >> 32)  # a tie with the k-th still enters
        return best

    def _score(
        self, query: torch.Tensor, row: torch.Tensor, weight: torch.Tensor, num_queries: int, first: int, count: int
    ) -> torch.Tensor:
        """int32 scores (queries, count · window documents) of the windows first .. first + count."""
        docs = self._layout.window_docs
        scores = torch.zeros(num_queries * count * docs, dtype=torch.int32, device=self._device)
        if len(self._entry_key) and len(row):
            windows = torch.arange(count, device=self._device)
            wanted = ((first + windows)[:, None] * self._num_rows + row[None, :]).reshape(-1)
            entry = torch.searchsorted(self._entry_key, wanted).clamp_(max=len(self._entry_key) - 1)
            found = torch.nonzero(self._entry_key[entry] == wanted).squeeze(1)
            entry = entry[found]
            length = self._entry_length[entry]
            place = (query[found % len(row)] * count + found // len(row)) * docs
            ends = torch.cumsum(length, 0)
            total = int(ends[-1]) if len(ends) else 0
            inside = torch.arange(total, device=self._device) - torch.repeat_interleave(ends - length, length)
            at = torch.repeat_interleave(self._entry_start[entry], length) + inside
            target = torch.repeat_interleave(place, length) + (self._local[at].long() & 0xFFFF)
            gain = self._impact[at].int() * torch.repeat_interleave(weight[found % len(row)], length)
            scores.index_add_(0, target, gain)
        return scores.view(num_queries, -1)
