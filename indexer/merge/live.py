"""Merging the live documents of segments into one segment: of all, as compaction does, or of small ones, as an addition does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from indexer.config import IndexConfig
from indexer.format.manifest import SegmentEntry
from indexer.format.term_lists import read_lists
from indexer.inversion.invert import TABLE_TERMS
from indexer.inversion.reorder import (
    BUDGET_WIDTH,
    ForwardRows,
    inverse_frequency,
    offer_lists,
    order_rows,
    wanted_order,
)
from indexer.merge.postings import MergeShape, MergeSource
from indexer.merge.segment_merge import write_merged
from indexer.native.builder import DROPPED
from indexer.segment import Segment

TERMS_AT_ONCE = 256
"""Lists that are looked at together."""
_NARROWEST = 8


def merge_live(
    folder: Path, segments: Sequence[Segment], config: IndexConfig, shape: MergeShape, num_terms: int
) -> SegmentEntry:
    """Write the live documents of segments as one more segment of the folder, durably; its line in the manifest.

    Ordinals and names stay; documents are clustered together where the config orders them. The segments must have been
    checked (`indexer.soundness.check_to_copy`) and hold a live document.

    Parameters
    ----------
    shape : of the result. num_terms : size of the index's vocabulary.

    Raises
    ------
    IndexFormatError : damage in their lists, weights or fields.
    """
    sources = _renumbered(segments)
    _reorder(sources, config, shape, num_terms)
    return write_merged(folder, sources, shape)


def _renumbered(segments: Sequence[Segment]) -> list[MergeSource]:
    """Live documents of the segments, one segment's after the other's."""
    sources, base = [], 0
    for segment in segments:
        doc_ids = np.full(segment.num_docs, DROPPED, np.uint32)
        live = segment.live
        doc_ids[live] = base + np.arange(int(live.sum()), dtype=np.uint32)
        base += int(live.sum())
        sources.append(MergeSource(segment, doc_ids))
    return sources


def _reorder(sources: Sequence[MergeSource], config: IndexConfig, shape: MergeShape, num_terms: int) -> None:
    """Cluster all documents together where the config asks for it: segments clustered apart are not one order."""
    kind, _ = wanted_order(config.order, shape.num_docs)
    width = min(BUDGET_WIDTH, shape.memory // (4 * shape.num_docs))
    if kind == "input" or num_terms > TABLE_TERMS or width < _NARROWEST:
        return
    shape.options.progress("ordering", 0, None)
    rows = ForwardRows.allocate(shape.num_docs, num_terms, width)
    counts = np.zeros(shape.num_docs, np.int64)
    df = np.zeros(num_terms, np.int64)
    for source in sources:
        df[source.segment.section("TERM")] += source.segment.section("TREC")["df"]
    idf = inverse_frequency(df, int(df.max(initial=0)))
    for source in sources:
        new = np.where(source.doc_ids == DROPPED, -1, source.doc_ids.astype(np.int64))
        held = source.segment.section("TERM")
        for begin in range(0, len(held), TERMS_AT_ONCE):
            offer_lists(
                rows, read_lists(source.segment, begin, min(begin + TERMS_AT_ONCE, len(held))), new, idf, counts
            )
    order = order_rows(rows, kind, shape.options.num_threads)
    place = np.empty(shape.num_docs, np.uint32)
    place[order] = np.arange(shape.num_docs, dtype=np.uint32)
    for source in sources:
        kept = source.doc_ids != DROPPED
        source.doc_ids[kept] = place[source.doc_ids[kept]]
