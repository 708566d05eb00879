"""The device layout: postings regrouped by window, so that one window's scores fit in a multiprocessor's shared memory.

docs/gpu.md draws it. Three bytes a posting (u16 document inside its window, u8 impact) and eight bytes a (window, term)
pair that occurs; nothing is stored for pairs that do not.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.native.library import SirError, check, library
from sparseir.errors import ConfigError
from sparseir.search.gpu.postings import SegmentPostings

DEFAULT_WINDOW_SHIFT = 13
"""8,192 documents: 32 KiB of int32 scores, so that a multiprocessor with 228 KiB holds several windows at once."""

GROUPS = (4, 1)
"""Postings a lane loads at once; lists are padded to a multiple of it."""

MAX_BYTES_PER_POSTING = 3.5
"""Groups of 4 are taken only where padding and directory stay below this."""


class _Runs(ctypes.Structure):
    """sir_posting_runs of native/include/sparseir.h."""

    _fields_ = (
        ("docs", ctypes.c_void_p),
        ("impacts", ctypes.c_void_p),
        ("run_row", ctypes.c_void_p),
        ("run_base", ctypes.c_void_p),
        ("run_start", ctypes.c_void_p),
        ("run_end", ctypes.c_void_p),
        ("num_runs", ctypes.c_uint64),
        ("num_docs", ctypes.c_uint32),
        ("window_shift", ctypes.c_uint32),
        ("group", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
    )


class _Layout(ctypes.Structure):
    """sir_device_layout of native/include/sparseir.h."""

    _fields_ = (
        ("window_entry", ctypes.c_void_p),
        ("window_posting", ctypes.c_void_p),
        ("entry_row", ctypes.c_void_p),
        ("entry_start", ctypes.c_void_p),
        ("local", ctypes.c_void_p),
        ("impact", ctypes.c_void_p),
    )


for _name in ("sir_device_layout_measure", "sir_device_layout_fill"):
    _function = getattr(library, _name)
    _function.restype = ctypes.c_int32
    _function.argtypes = (ctypes.POINTER(_Runs), ctypes.POINTER(_Layout), ctypes.POINTER(SirError))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DeviceLayout:
    """One segment's postings by window.

    Entry e of window w (window_entry[w] <= e < window_entry[w+1]) is term row entry_row[e]; its postings start at
    window_posting[w] + entry_start[e + w] and end at window_posting[w] + entry_start[e + w + 1].

    Parameters
    ----------
    num_docs : documents. window_shift : a window is 2^window_shift documents. group : see GROUPS.
    window_entry, window_posting : uint64 (windows + 1,).
    entry_row : uint32 (entries,). entry_start : uint32 (entries + windows,).
    local : uint16 (stored postings,), in bank order. impact : uint8, 0 where padded.
    """

    num_docs: int
    window_shift: int
    group: int
    window_entry: NDArray[np.uint64]
    window_posting: NDArray[np.uint64]
    entry_row: NDArray[np.uint32]
    entry_start: NDArray[np.uint32]
    local: NDArray[np.uint16]
    impact: NDArray[np.uint8]

    @property
    def num_windows(self) -> int:
        return len(self.window_entry) - 1

    @property
    def window_docs(self) -> int:
        return 1 << self.window_shift

    @property
    def nbytes(self) -> int:
        """Bytes on the device."""
        arrays = (self.window_entry, self.window_posting, self.entry_row, self.entry_start, self.local, self.impact)
        return sum(a.nbytes for a in arrays)


def build_layout(
    postings: SegmentPostings, *, window_shift: int = DEFAULT_WINDOW_SHIFT, group: int | None = None
) -> DeviceLayout:
    """Regroup a segment's postings by window. O(postings), about the output in memory.

    Parameters
    ----------
    window_shift : 5..16, log2 of the documents in a window.
    group : 4 or 1 postings a load; None takes 4 unless padding would lift the layout above 3.5 bytes a posting.

    Raises
    ------
    IndexFormatError
        A posting names a document the segment does not have.
    """
    if not 5 <= window_shift <= 16:
        raise ConfigError(f"a window of 2^{window_shift} documents is outside 2^5..2^16")
    if group is not None and group not in GROUPS:
        raise ConfigError(f"group is {group}; lists are padded to a multiple of 4 or of 1")
    num_windows = (postings.num_docs + (1 << window_shift) - 1) >> window_shift
    for candidate in GROUPS if group is None else (group,):
        measured = _Arrays(postings, window_shift, candidate, num_windows)
        if group is None and candidate != 1 and measured.nbytes > MAX_BYTES_PER_POSTING * postings.num_postings:
            continue
        break
    return measured.fill(postings.num_docs)


class _Arrays:
    """The arrays of one build: sized by the first pass, filled by the second."""

    def __init__(self, postings: SegmentPostings, window_shift: int, group: int, num_windows: int) -> None:
        self.window_shift, self.group = window_shift, group
        self.window_entry = np.zeros(num_windows + 1, np.uint64)
        self.window_posting = np.zeros(num_windows + 1, np.uint64)
        self.inputs = [
            np.ascontiguousarray(a)
            for a in (
                *(postings.docs, postings.impacts, postings.run_row, postings.run_base),
                *(postings.run_start, postings.run_end),
            )
        ]
        self.runs = _Runs(
            *(a.ctypes.data for a in self.inputs), len(postings.run_row), postings.num_docs, window_shift, group, 0
        )
        self._call(library.sir_device_layout_measure, _Layout(*self._window_pointers(), None, None, None, None))

    @property
    def nbytes(self) -> int:
        entries, stored = int(self.window_entry[-1]), int(self.window_posting[-1])
        return 8 * entries + 3 * stored + 20 * len(self.window_entry)

    def _window_pointers(self) -> tuple[int, int]:
        return self.window_entry.ctypes.data, self.window_posting.ctypes.data

    def _call(self, function: Any, out: _Layout) -> None:
        error = SirError()
        check(function(ctypes.byref(self.runs), ctypes.byref(out), ctypes.byref(error)), error)

    def fill(self, num_docs: int) -> DeviceLayout:
        entries, stored = int(self.window_entry[-1]), int(self.window_posting[-1])
        entry_row = np.empty(entries, np.uint32)
        entry_start = np.empty(entries + len(self.window_entry) - 1, np.uint32)
        local, impact = np.empty(stored, np.uint16), np.empty(stored, np.uint8)
        outputs = (entry_row, entry_start, local, impact)
        self._call(library.sir_device_layout_fill, _Layout(*self._window_pointers(), *(a.ctypes.data for a in outputs)))
        return DeviceLayout(
            num_docs=num_docs,
            window_shift=self.window_shift,
            group=self.group,
            window_entry=self.window_entry,
            window_posting=self.window_posting,
            entry_row=entry_row,
            entry_start=entry_start,
            local=local,
            impact=impact,
        )
