"""The device layout: postings regrouped by window, so that one window's scores fit in a multiprocessor's shared memory.

docs/gpu.md draws it. Three bytes a posting (u16 document inside its window, u8 impact) and eight bytes a (window, term)
pair that occurs; nothing is stored for pairs that do not.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from indexer.native.device import RunArrays, WindowArrays
from sparseir.errors import ConfigError
from sparseir.search.gpu.postings import SegmentPostings

DEFAULT_WINDOW_SHIFT = 13
"""8,192 documents: 32 KiB of int32 scores, so that a multiprocessor with 228 KiB holds several windows at once."""

GROUPS = (4, 1)
"""Postings a lane loads at once; lists are padded to a multiple of it."""

MAX_BYTES_PER_POSTING = 3.5
"""Groups of 4 are taken only where padding and directory stay below this."""


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
    runs = RunArrays(**{field.name: getattr(postings, field.name) for field in fields(RunArrays)})
    for candidate in GROUPS if group is None else (group,):
        arrays = WindowArrays(runs, window_shift=window_shift, group=candidate)
        if group is not None or candidate == 1 or arrays.nbytes <= MAX_BYTES_PER_POSTING * postings.num_postings:
            break
    return DeviceLayout(num_docs=postings.num_docs, window_shift=window_shift, group=candidate, **arrays.fill())
