"""What the gpu engine asks of the C library: postings regrouped by window, and a batch handed to the driver in one call."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.native.header import DeviceBatch, DeviceLaunch, DeviceLayout, Error, PostingRuns
from indexer.native.library import check, library

LAUNCH = np.dtype(DeviceLaunch)
"""sir_device_launch, as an array holds it."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RunArrays:
    """Postings of a segment as runs of one term in 65,536 documents; see sir_posting_runs for order and ranges.

    Parameters
    ----------
    docs : uint16 (postings,). impacts : uint8 (postings,).
    run_row, run_base : uint32 (runs,). run_start, run_end : uint64 (runs,).
    num_docs : documents of the segment.
    """

    docs: NDArray[np.uint16]
    impacts: NDArray[np.uint8]
    run_row: NDArray[np.uint32]
    run_base: NDArray[np.uint32]
    run_start: NDArray[np.uint64]
    run_end: NDArray[np.uint64]
    num_docs: int


class WindowArrays:
    """Arrays of a device layout: how large they are is counted when this is made, `fill` makes them. See sir_device_layout.

    Parameters
    ----------
    runs : the postings. window_shift : a window is 2^window_shift documents, 5..16.
    group : 1 or 4, what lists are padded to a multiple of.

    Raises
    ------
    IndexFormatError : a posting names a document the segment does not have.
    """

    def __init__(self, runs: RunArrays, *, window_shift: int, group: int) -> None:
        num_windows = (runs.num_docs + (1 << window_shift) - 1) >> window_shift
        self.window_entry = np.zeros(num_windows + 1, np.uint64)
        self.window_posting = np.zeros(num_windows + 1, np.uint64)
        arrays = (runs.docs, runs.impacts, runs.run_row, runs.run_base, runs.run_start, runs.run_end)
        self._inputs = [np.ascontiguousarray(array) for array in arrays]
        addresses = (array.ctypes.data for array in self._inputs)
        self._runs = PostingRuns(*addresses, len(runs.run_row), runs.num_docs, window_shift, group, 0)
        self._call(library.sir_device_layout_measure)

    @property
    def nbytes(self) -> int:
        """Bytes of the filled arrays."""
        entries, stored = int(self.window_entry[-1]), int(self.window_posting[-1])
        return 8 * entries + 3 * stored + 20 * len(self.window_entry)

    def fill(self) -> dict[str, NDArray[Any]]:
        """All arrays by their names in sir_device_layout."""
        entries, stored = int(self.window_entry[-1]), int(self.window_posting[-1])
        arrays: dict[str, NDArray[Any]] = {
            "entry_row": np.empty(entries, np.uint32),
            "entry_start": np.empty(entries + len(self.window_entry) - 1, np.uint32),
            "local": np.empty(stored, np.uint16),
            "impact": np.empty(stored, np.uint8),
        }
        self._call(library.sir_device_layout_fill, **{name: array.ctypes.data for name, array in arrays.items()})
        return {"window_entry": self.window_entry, "window_posting": self.window_posting, **arrays}

    def _call(self, function: Any, **addresses: int) -> None:
        out = DeviceLayout(self.window_entry.ctypes.data, self.window_posting.ctypes.data, **addresses)
        error = Error()
        check(function(ctypes.byref(self._runs), ctypes.byref(out), ctypes.byref(error)), error)


def submit(calls: ctypes.Array[ctypes.c_void_p], batch: DeviceBatch) -> int:
    """Hand a batch to the driver's functions, the four of sir_device_calls; returns the first status that is not 0."""
    return int(library.sir_device_submit(calls, ctypes.byref(batch)))
