"""The windowed algorithm in plain torch operations: the reference of the other backends, on any device torch has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from indexer.native.queries import QueryBatch
from sparseir.search.gpu.tensor_search import TensorBackend
from sparseir.search.gpu.windows import plan_groups

if TYPE_CHECKING:
    from sparseir.search.gpu.layout import DeviceLayout
    from sparseir.search.gpu.postings import SegmentPostings

_BYTES_PER_POSTING, _BYTES_PER_ENTRY = 3, 24


class TorchBackend(TensorBackend):
    """Exact top-k over one device layout. Integer additions commute, so index_add_ in any order gives the same bits.

    Parameters
    ----------
    layout, postings : the segment. device : a torch device.
    memory : bytes for the scores of one step. The layout may take twice as many; a larger one goes through the device in
        groups of windows of at most `memory` bytes, the next copied from page-locked memory while one is used.
    """

    def __init__(
        self, layout: DeviceLayout, postings: SegmentPostings, *, device: str = "cpu", memory: int = 1 << 30
    ) -> None:
        super().__init__(layout.num_docs, layout.window_docs, postings.ordinals, device=device, memory=memory)
        self._num_rows = len(postings.term_ids)
        ends = _BYTES_PER_POSTING * layout.window_posting.astype(np.int64)
        ends += _BYTES_PER_ENTRY * layout.window_entry.astype(np.int64)
        window_bytes = ends[1:] - ends[:-1]
        whole = int(window_bytes.sum()) <= 2 * memory
        self._groups = [(0, layout.num_windows)] if whole else plan_groups(window_bytes, memory)
        self._parts = [self._part(layout, *group) for group in self._groups]
        self._copies = torch.cuda.Stream(self._device) if self._device.type == "cuda" and not whole else None
        if whole:
            self._parts = [tuple(t.to(self._device) for t in self._parts[0])]
        elif self._copies is not None:
            self._parts = [tuple(t.pin_memory() for t in part) for part in self._parts]

    def _part(self, layout: DeviceLayout, first: int, stop: int) -> tuple[torch.Tensor, ...]:
        """Keys, starts and lengths of the lists of a group of windows, their documents and their impacts, on the host."""
        border = layout.window_entry.astype(np.int64)[first : stop + 1]
        windows = np.repeat(np.arange(first, stop), np.diff(border))
        entries = np.arange(border[0], border[-1]) + windows
        places = layout.window_posting.astype(np.int64)
        start = layout.entry_start[entries].astype(np.int64)
        key = windows * self._num_rows + layout.entry_row[border[0] : border[-1]].astype(np.int64)
        inside = slice(int(places[first]), int(places[stop]))
        arrays: tuple[NDArray[np.generic], ...] = (
            key,
            places[windows] - places[first] + start,
            layout.entry_start[entries + 1].astype(np.int64) - start,
            layout.local[inside].view(np.int16),  # torch can index with int16 on every device, but not with uint16
            layout.impact[inside],
        )
        return tuple(torch.from_numpy(np.require(a, requirements=["C", "W"])) for a in arrays)

    def _fetch(self, number: int) -> tuple[torch.Tensor, ...]:
        """Start the copy of a group."""
        with torch.cuda.stream(self._copies):  # does nothing without a stream
            return tuple(t.to(self._device, non_blocking=True) for t in self._parts[number])

    def _spans(self, docs: int) -> Iterator[tuple[int, int]]:
        ahead = self._fetch(0)
        for number, (first, stop) in enumerate(self._groups):
            self._lists = ahead
            if self._copies is not None:
                torch.cuda.current_stream(self._device).wait_stream(self._copies)
                for tensor in ahead:
                    tensor.record_stream(torch.cuda.current_stream(self._device))
            if number + 1 < len(self._groups):
                ahead = self._fetch(number + 1)
            for begin in range(first * self._unit, stop * self._unit, docs):
                yield begin, min(begin + docs, stop * self._unit)

    def _load_queries(self, rows: QueryBatch) -> None:
        self._num_queries = len(rows)
        self._query = self._put(np.repeat(np.arange(len(rows)), np.diff(rows.indptr)))
        self._row, self._weight = self._put(rows.ids.astype(np.int64)), self._put(rows.weights)

    def _scores(self, first: int, end: int) -> torch.Tensor:
        docs, num_terms = self._unit, len(self._row)
        entry_key, entry_start, entry_length, local, impact = self._lists
        first_window, count = first // docs, (end - first) // docs
        scores = torch.zeros(self._num_queries * count * docs, dtype=torch.int32, device=self._device)
        if len(entry_key) and num_terms:
            windows = torch.arange(count, device=self._device)
            wanted = ((first_window + windows)[:, None] * self._num_rows + self._row[None, :]).reshape(-1)
            entry = torch.searchsorted(entry_key, wanted).clamp_(max=len(entry_key) - 1)
            found = torch.nonzero(entry_key[entry] == wanted).squeeze(1)
            entry, term = entry[found], found % num_terms
            length = entry_length[entry]
            place = (self._query[term] * count + found // num_terms) * docs
            ends = torch.cumsum(length, 0)
            total = int(ends[-1]) if len(ends) else 0
            inside = torch.arange(total, device=self._device) - torch.repeat_interleave(ends - length, length)
            at = torch.repeat_interleave(entry_start[entry], length) + inside
            target = torch.repeat_interleave(place, length) + (local[at].long() & 0xFFFF)
            gain = impact[at].int() * torch.repeat_interleave(self._weight[term], length)
            scores.index_add_(0, target, gain)
        return scores.view(self._num_queries, -1)
