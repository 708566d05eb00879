"""Posting lists of a stored segment, a range of terms at a time, whatever its layout; checked before C relies on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.errors import IndexFormatError
from indexer.format.layout import NO_ROW, SPARSE, packed_words
from indexer.format.segment import SegmentFile
from indexer.native import builder


@dataclass(frozen=True, slots=True, eq=False)
class TermLists:
    """Lists of consecutive terms of one segment.

    Parameters
    ----------
    term_ids : uint32 (T,).
    start : uint64 (T + 1,), places in the three arrays below, which hold these lists or the whole segment's.
    docs, impacts, weights : as in Postings; weights None where the segment stores none.
    window_begin, window, window_first : as in Postings; windows without a posting may occur.
    """

    term_ids: NDArray[np.uint32]
    start: NDArray[np.uint64]
    docs: NDArray[np.uint16]
    impacts: NDArray[np.uint8]
    weights: NDArray[Any] | None
    window_begin: NDArray[np.uint64]
    window: NDArray[np.uint16]
    window_first: NDArray[np.uint64]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What the C library reads, by its names."""
        names = ("docs", "impacts", "start", "window_begin", "window", "window_first")
        return {name: getattr(self, name) for name in names}

    def doc_ids(self) -> NDArray[np.uint32]:
        """uint32: doc_id of each posting."""
        begin, end = int(self.start[0]), int(self.start[-1])
        edges = np.append(self.window_first, np.uint64(end)).astype(np.int64)
        high = np.repeat(self.window.astype(np.uint32) << 16, np.diff(edges))
        return high | self.docs[begin:end]


def read_lists(segment: SegmentFile, begin: int, end: int) -> TermLists:
    """Lists of the terms at places begin..end of a segment.

    Raises
    ------
    IndexFormatError : records or directories that leave their sections, lists or term ids that do not ascend, or weights
        that are none.
    """
    term_ids = segment.section("TERM")[begin:end]
    if (term_ids[1:] <= term_ids[:-1]).any():
        raise _broken(segment, "TERM", "terms-ascend", "term ids do not ascend")
    records = segment.section("TREC")[begin:end]
    df = records["df"].astype(np.uint64)
    first = int(records["postings_start"][0]) if len(records) else 0
    start = np.concatenate([[np.uint64(first)], np.uint64(first) + np.cumsum(df, dtype=np.uint64)])
    if len(records) and not np.array_equal(start[:-1], records["postings_start"]):
        raise _broken(segment, "TREC", "lists-adjoin", "posting lists do not follow each other")
    if (
        int(start[-1]) > segment.header.num_postings
        or int(df.min(initial=1)) == 0
        or int(df.max(initial=0)) > segment.header.num_docs
    ):
        raise _broken(segment, "TREC", "lists-inside", "a posting list leaves its section")
    window_begin, window, window_first = _windows(segment, records, start)
    weights = segment.section("FWGT")
    if len(weights) and not _are_weights(weights[int(start[0]) : int(start[-1])]):
        raise _broken(segment, "FWGT", "weights-finite", "a stored weight is negative, infinite or no number")
    lists = TermLists(
        term_ids,
        start,
        segment.section("DOCS"),
        segment.section("IMPA"),
        weights if len(weights) else None,
        window_begin,
        window,
        window_first,
    )
    if segment.header.rules.packed:
        lists = _unpacked(segment, lists, begin, end)
    bad = builder.first_bad_list(lists.arrays(), segment.header.num_docs)
    if bad >= 0:
        raise _broken(
            segment,
            "DOCS",
            "postings-ascend",
            f"the list of term {lists.term_ids[bad]} does not ascend, or holds an impact of 0",
        )
    return lists


def _are_weights(weights: NDArray[Any]) -> bool:
    return len(weights) == 0 or bool(weights.min() >= 0 and weights.max() < np.inf)  # no number fails the first


def _unpacked(segment: SegmentFile, packed: TermLists, begin: int, end: int) -> TermLists:
    """The same lists with their doc_ids out of a packed segment, places counted from the first of them."""
    records, start = segment.section("TREC")[begin:end], packed.start - packed.start[:1]
    offsets, words, bits = (segment.section(name) for name in ("DOCO", "DOCB", "BITS"))
    num_docs, held = segment.header.num_docs, records["bits_row"] != NO_ROW
    need = packed_words(np.diff(start), records["cell_shift"], records["bits_row"], num_docs)
    room = np.uint64(len(words)) - np.minimum(need, np.uint64(len(words)))
    if (need > len(words)).any() or (offsets[begin:end] > room).any():
        raise _broken(segment, "DOCB", "docs-inside", "packed doc_ids leave their section")
    if (records["bits_row"][held].astype(np.int64) >= len(bits) // max(1, -(-num_docs // 64))).any():
        raise _broken(segment, "BITS", "docs-inside", "a bitmap leaves its section")
    window_first = packed.window_first - packed.start[:1]
    docs = np.empty(int(start[-1]), np.uint16)
    arrays = {
        "start": start,
        "window_begin": packed.window_begin,
        "window": packed.window,
        "window_first": window_first,
        "cell_shift": np.ascontiguousarray(records["cell_shift"]),
        "bits_row": np.ascontiguousarray(records["bits_row"]),
        "bits": bits,
        "doc_begin": offsets[begin:end],
        "doc_words": words,
    }
    bad = builder.unpack_lists(arrays, num_docs, docs)
    if bad >= 0:
        what = f"the doc_ids of term {packed.term_ids[bad]} are not where its directory says"
        raise _broken(segment, "DOCB", "docs-packed", what)
    span = slice(int(packed.start[0]), int(packed.start[-1]))
    weights = None if packed.weights is None else packed.weights[span]
    return TermLists(
        packed.term_ids, start, docs, packed.impacts[span], weights, packed.window_begin, packed.window, window_first
    )


def _windows(
    segment: SegmentFile, records: NDArray[Any], start: NDArray[np.uint64]
) -> tuple[NDArray[np.uint64], NDArray[np.uint16], NDArray[np.uint64]]:
    """Windows of each list, from its dense or sparse directory."""
    num_docs = segment.header.num_docs
    per_dense = -(-num_docs >> 16)
    sparse = records["cell_shift"] == SPARSE
    counts = np.where(sparse, records["num_windows"], per_dense).astype(np.uint64)
    window_begin = np.concatenate([[np.uint64(0)], np.cumsum(counts, dtype=np.uint64)])
    total = int(window_begin[-1])
    if (~sparse & (records["df"] < 16 * per_dense)).any():
        raise _broken(segment, "TREC", "cell-shift", "a list too short for a dense directory has one")
    if total > int(start[-1]) - int(start[0]):
        raise _broken(segment, "WNID", "windows-inside", "more windows than postings")
    window, first = np.empty(total, np.uint16), np.empty(total, np.uint64)
    for shift in np.unique(records["cell_shift"]).tolist():
        which = np.flatnonzero(records["cell_shift"] == shift)
        at = records["directory_start"][which].astype(np.int64)
        base = start[:-1][which]
        if shift == SPARSE:
            lengths = counts[which].astype(np.int64)
            source = ranges(at, lengths)
            target = ranges(window_begin[which].astype(np.int64), lengths)
            ids, places = segment.section("WNID"), segment.section("WNST")
            if len(source) and int(source.max()) >= min(len(ids), len(places)):
                raise _broken(segment, "WNID", "windows-inside", "a directory leaves its section")
            window[target] = ids[source]
            first[target] = np.repeat(base, lengths) + places[source]
            continue
        if not segment.header.rules.smallest_cell <= shift <= 16:
            raise _broken(segment, "TREC", "cell-shift", f"cell_shift {shift} is not one the layout has")
        cells, stored = -(-num_docs >> shift), segment.section("CELL")
        step = np.minimum(np.arange(per_dense) << (16 - shift), cells)
        if len(at) and int(at.max()) + cells >= len(stored):
            raise _broken(segment, "CELL", "cells-inside", "a directory leaves its section")
        target = window_begin[which].astype(np.int64)[:, None] + np.arange(per_dense)
        window[target] = np.arange(per_dense)
        first[target] = base[:, None] + stored[at[:, None] + step]
    _check_windows(segment, window_begin, first, start)
    rises = window[1:] > window[:-1]
    rises[window_begin[1:-1].astype(np.int64) - 1] = True  # a list may begin with any window
    if not rises.all():
        raise _broken(segment, "WNID", "windows-ascend", "the windows of a directory do not ascend")
    return window_begin, window, first


def _check_windows(
    segment: SegmentFile, window_begin: NDArray[np.uint64], first: NDArray[np.uint64], start: NDArray[np.uint64]
) -> None:
    """Windows begin with their list, never step back, and stay inside it."""
    edges = np.append(first, start[-1])
    begins = window_begin[:-1].astype(np.int64)
    counts = np.diff(window_begin).astype(np.int64)
    ends_of = np.repeat(start[1:], counts)
    if (
        (counts == 0).any()
        or (edges[1:] < edges[:-1]).any()
        or (first > ends_of).any()
        or (edges[begins] != start[:-1]).any()
    ):
        raise _broken(segment, "CELL", "windows-ascend", "a directory does not describe its list")


def pieces(df: NDArray[Any], most: int) -> Iterator[tuple[int, int]]:
    """Ranges of terms with at most `most` postings together; a longer list is a range of its own."""
    ends = np.cumsum(df, dtype=np.int64)
    begin = 0
    while begin < len(df):
        done = int(ends[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, done + most, side="right")))
        yield begin, end
        begin = end


def ranges(begin: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """begin[i], begin[i] + 1, … lengths[i] numbers each, one after the other."""
    total = int(lengths.sum())
    shift = np.repeat(begin - (np.cumsum(lengths) - lengths), lengths)
    return shift + np.arange(total)


def _broken(segment: SegmentFile, section: str, invariant: str, what: str) -> IndexFormatError:
    return IndexFormatError(
        f"segment '{segment.path}': {what}; restore or rebuild it", section=section, invariant=invariant
    )
