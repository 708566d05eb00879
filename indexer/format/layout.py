"""What the layouts of a segment are: sizes of blocks and cells, which terms have which tables, and the term record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_DOCS = 2**31 - 1
"""Documents of a segment, at most."""
WEIGHT_TYPES: dict[str, np.dtype[Any]] = {"f16": np.dtype("<f2"), "f32": np.dtype("<f4")}
"""Types of stored weights, by the names of IndexConfig.stored_weights."""
BLOCK_SHIFT = 5
SUPERBLOCK_BLOCKS = 64
NO_ROW = 0xFFFFFFFF
LADDER_RANKS = tuple(2**i for i in range(15))
"""The ranks whose impacts LADD holds: 1, 2, 4 … 16,384."""
SPARSE = 255
"""cell_shift of a term whose directory lists windows."""

TERM_RECORD = np.dtype(
    [
        ("postings_start", "<u8"),
        ("df", "<u4"),
        ("directory_start", "<u4"),
        ("bound_row", "<u4"),
        ("num_windows", "<u4"),
        ("cell_shift", "u1"),
        ("list_max", "u1"),
        ("reserved", "u1", (2,)),
        ("bits_row", "<u4"),
    ]
)
"""One entry of TREC, 32 bytes."""

SUPERBLOCK_DOCS = SUPERBLOCK_BLOCKS << BLOCK_SHIFT
"""A segment no larger than one superblock needs neither bounds nor bitmaps."""

BUCKET_SHIFT = 8
"""Packed doc_ids keep their lowest byte, beside how many fall into each bucket of 256 documents."""

_SPARSE_BELOW = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class LayoutRules:
    """Where the layouts of a segment differ; docs/index-format.md.

    Parameters
    ----------
    flags : of the segment's header.
    smallest_cell : log2 of the documents of a cell, at least.
    mean_cell : postings of a cell, on average at most.
    bits_over : a term has a bitmap when df > N / bits_over.
    bounds_over : a term has a bound row when df > N / bounds_over.
    """

    flags: int
    smallest_cell: int
    mean_cell: int
    bits_over: int
    bounds_over: int = 192

    @property
    def packed(self) -> bool:
        """Whether doc_ids are packed."""
        return bool(self.flags & _FLAG_PACKED)

    @property
    def has_blocks(self) -> bool:
        """Whether blocks have maxima."""
        return not self.flags & _FLAG_NO_BLOCKS


_FLAG_PACKED, _FLAG_NO_BLOCKS = 1, 2
STANDARD = LayoutRules(flags=0, smallest_cell=BLOCK_SHIFT, mean_cell=32, bits_over=32)
COMPACT = LayoutRules(flags=_FLAG_PACKED | _FLAG_NO_BLOCKS, smallest_cell=BUCKET_SHIFT, mean_cell=128, bits_over=16)
PACKED = LayoutRules(flags=_FLAG_PACKED, smallest_cell=BUCKET_SHIFT, mean_cell=128, bits_over=16, bounds_over=176)
LAYOUT_RULES = {"standard": STANDARD, "packed": PACKED, "compact": COMPACT}
"""By the names of IndexConfig.layout."""
RULES_OF_FLAGS = {rules.flags: rules for rules in LAYOUT_RULES.values()}
"""By the flags of a segment's header; others are refused."""


def num_blocks(num_docs: int) -> int:
    return -(-num_docs >> BLOCK_SHIFT)


def num_superblocks(num_docs: int) -> int:
    return -(-num_blocks(num_docs) // SUPERBLOCK_BLOCKS)


def cell_shifts(df: NDArray[np.uint64], num_docs: int, rules: LayoutRules = STANDARD) -> NDArray[np.uint8]:
    """cell_shift of each term: SPARSE below 16 postings a window, else the largest up to 16 with no more than the mean."""
    windows = -(-num_docs >> 16)
    shifts = np.full(len(df), rules.smallest_cell, np.uint8)
    for shift in range(rules.smallest_cell + 1, 17):
        cells = -(-num_docs >> shift)
        shifts[df <= np.uint64(rules.mean_cell * cells)] = shift
    shifts[df < np.uint64(_SPARSE_BELOW * windows)] = SPARSE
    return shifts


def bound_rows(df: NDArray[np.uint64], num_docs: int, rules: LayoutRules = STANDARD) -> NDArray[np.uint32]:
    """Row of each term in the bounds, NO_ROW for the terms too rare to be worth one."""
    return _numbered((df > np.uint64(num_docs // rules.bounds_over)) & (num_docs > SUPERBLOCK_DOCS))


def bits_rows(
    df: NDArray[np.uint64], shifts: NDArray[np.uint8], num_docs: int, rules: LayoutRules = STANDARD
) -> NDArray[np.uint32]:
    """Row of each term in the bitmaps, NO_ROW for all but the most frequent."""
    frequent = (df > np.uint64(num_docs // rules.bits_over)) & (num_docs > SUPERBLOCK_DOCS)
    return _numbered(frequent & (shifts != SPARSE))


def packed_words(
    df: NDArray[np.uint64], shifts: NDArray[np.uint8], bits: NDArray[np.uint32], num_docs: int
) -> NDArray[np.uint64]:
    """uint64: words of DOCB each term takes where doc_ids are packed."""
    buckets = np.uint64(-(-num_docs >> BUCKET_SHIFT))
    heights = (df + buckets + np.uint64(63)) // np.uint64(64)
    words = heights + (df + np.uint64(7)) // np.uint64(8)
    words[bits != NO_ROW] = 0
    rare = shifts == SPARSE
    words[rare] = (df[rare] + np.uint64(3)) // np.uint64(4)
    return words


def _numbered(has: NDArray[np.bool_]) -> NDArray[np.uint32]:
    return np.where(has, np.cumsum(has) - 1, NO_ROW).astype(np.uint32)
