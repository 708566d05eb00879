"""A segment in memory of some documents of an index, as a view of a filter that is searched again and again.

The lists of all segments are cut down to the documents, which keep their order; nothing is scored or rounded again. What is
found in the view, its ordinals and its integer scores, is thus what a search of the index would find among them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.errors import IndexFormatError
from indexer.format.layout import STANDARD
from indexer.format.segment import DTYPES, SegmentHeader
from indexer.format.segment_writer import segment_in_memory
from indexer.format.term_lists import ranges
from indexer.index import Index
from indexer.inversion.invert import Postings, run_parallel
from indexer.inversion.segment_write import ordinal_sections, posting_sections, relative_ordinals
from indexer.inversion.tables import describe, term_spans
from indexer.native.engine import NativeIndex
from indexer.segment import Segment

_Lists = tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.uint32], NDArray[np.uint8]]
"""Term ids, postings of each, and their new doc_ids and impacts one list after the other."""


def subset_segment(
    index: Index, native: NativeIndex, allowed: Sequence[NDArray[np.uint64]], num_threads: int = 1
) -> NDArray[np.uint8]:
    """Bytes of a segment of the standard layout with the documents of some bitmaps: postings and ordinals, no names.

    Cost: a pass over the index's postings; memory of about 2.6 times the result while it is made.

    Parameters
    ----------
    native : the index's segments, opened.
    allowed : a bitmap a segment: bit d mod 64 of word d // 64 set where doc_id d is in; deleted documents have none.
    num_threads : threads; each takes a share of the terms with about equal postings.

    Raises
    ------
    IndexFormatError : lists that do not ascend.
    """
    kept = [_members(segment, bitmap) for segment, bitmap in zip(index.segments, allowed, strict=True)]
    bases = np.cumsum([0, *map(len, kept)]).tolist()
    postings = _postings(
        _joined(
            [
                _lists(segment, partial(native.subset_postings, number, allowed[number], bases[number]), num_threads)
                for number, segment in enumerate(index.segments)
                if len(kept[number])
            ]
        ),
        bases[-1],
    )
    located = [segment.ordinals_of(ids) for segment, ids in zip(index.segments, kept, strict=True)]
    base, relative = relative_ordinals(np.concatenate([np.zeros(0, np.int64), *located]))
    header = SegmentHeader(
        num_docs=bases[-1],
        num_terms=len(postings.term_ids),
        num_postings=len(postings.impacts),
        ordinal_base=base,
    )
    sections = posting_sections(postings, describe(postings, num_threads), STANDARD) | ordinal_sections(relative)
    return segment_in_memory(header, {name: sections[name] for name in DTYPES if name in sections})


def _members(segment: Segment, bitmap: NDArray[np.uint64]) -> NDArray[np.int64]:
    """doc_ids of a bitmap."""
    return np.flatnonzero(np.unpackbits(bitmap.view(np.uint8), count=segment.num_docs, bitorder="little"))


def _lists(segment: Segment, read: Callable[..., Iterable[Any]], num_threads: int) -> _Lists:
    """Lists of one segment cut down, those without a posting left out."""
    terms, df = segment.section("TERM"), segment.section("TREC")["df"]
    start = np.concatenate([[0], np.cumsum(df, dtype=np.uint64)]).astype(np.uint64)
    parts = run_parallel(lambda span: list(read(df, span)), term_spans(start, num_threads))
    counts, doc_ids, impacts = _stacked([part for parts_of_span in parts for part in parts_of_span], ("u4", "u4", "u1"))
    held = counts > 0
    return terms[held], counts[held].astype(np.int64), doc_ids, impacts


def _joined(parts: Sequence[_Lists]) -> _Lists:
    """Lists of all segments; those of a term follow each other in the order of the segments, as their doc_ids do."""
    if len(parts) == 1:
        return parts[0]
    terms, counts, doc_ids, impacts = _stacked(parts, ("u4", "i8", "u4", "u1"))
    order = np.argsort(terms, kind="stable")
    begins = np.cumsum(counts) - counts
    places = ranges(begins[order], counts[order])
    found, first = np.unique(terms[order], return_index=True)
    totals = np.add.reduceat(counts[order], first) if len(found) else counts
    return found, totals, doc_ids[places], impacts[places]


def _stacked(parts: Sequence[tuple[NDArray[Any], ...]], dtypes: Sequence[str]) -> tuple[NDArray[Any], ...]:
    """First arrays of all parts end to end, second arrays, and so on; empty ones where there are no parts."""
    columns = zip(*parts, strict=True) if parts else [()] * len(dtypes)
    return tuple(np.concatenate([np.zeros(0, dtype), *column]) for dtype, column in zip(dtypes, columns, strict=True))


def _postings(lists: _Lists, num_docs: int) -> Postings:
    """The lists with their windows."""
    terms, counts, doc_ids, impacts = lists
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.uint64)
    begins = start[:-1].astype(np.int64)
    windows = doc_ids >> 16
    ascends, enters = np.ones(len(doc_ids), bool), np.ones(len(doc_ids), bool)
    np.greater(doc_ids[1:], doc_ids[:-1], out=ascends[1:])
    np.not_equal(windows[1:], windows[:-1], out=enters[1:])
    ascends[begins] = enters[begins] = True
    if not ascends.all():
        raise IndexFormatError(
            "posting lists of the index do not ascend; restore or rebuild it",
            section="DOCS",
            invariant="postings-ascend",
        )
    first = np.flatnonzero(enters)
    return Postings(
        num_docs,
        terms,
        start,
        doc_ids.astype(np.uint16),
        impacts,
        None,
        np.searchsorted(first, start).astype(np.uint64),
        windows[first].astype(np.uint16),
        first.astype(np.uint64),
        0,
    )
