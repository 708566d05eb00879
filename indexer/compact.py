"""Compaction: all segments into one, space of deleted documents back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from indexer.config import IndexConfig, WriteOptions
from indexer.format.folder import field_kinds, publish, writing
from indexer.format.layout import LAYOUT_RULES
from indexer.format.manifest import SegmentEntry, read_manifest
from indexer.format.term_lists import read_lists
from indexer.index import Index, open_index
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
from indexer.progress import Progress, silent
from indexer.soundness import check_to_copy

_DEFAULT_MEMORY = 256 << 20
_NARROWEST = 8
_CHUNK_TERMS = 256


@dataclass(frozen=True, slots=True)
class CompactReport:
    """What a compaction did.

    Parameters
    ----------
    segments_before, bytes_before, bytes_after : of all segment files.
    documents_dropped : deleted documents whose space came back.
    """

    segments_before: int
    bytes_before: int
    bytes_after: int
    documents_dropped: int


def compact_index(
    path: str | Path,
    *,
    layout: str | None = None,
    num_threads: int = 1,
    memory_budget: int = 0,
    progress: Progress = silent,
) -> CompactReport:
    """Merge all segments into one and drop deleted documents, as one commit. Ordinals and names stay; documents are
    clustered again where the index's config orders them.

    Nothing is done where one segment of the wanted layout, without deletions, is all there is.

    Parameters
    ----------
    path : the index.
    layout : one of IndexConfig's, which it has from then on; None keeps the one it has.
    num_threads, memory_budget, progress : as for `build_index`.

    Raises
    ------
    ConfigError : no such layout.
    IndexFormatError : damage found in what is merged.
    LockedError : another writer holds the index.
    """
    options, folder = WriteOptions(num_threads=num_threads, progress=progress), Path(path)
    read_manifest(folder)
    with writing(folder):
        index = open_index(folder)
        before = sum(s.entry.bytes for s in index.segments)
        dropped = sum(s.num_deleted for s in index.segments)
        config = IndexConfig.from_dict(index.manifest.config)
        config = config if layout is None else replace(config, layout=layout)
        rules = LAYOUT_RULES[config.layout]
        kept = config.as_dict() == index.manifest.config and all(s.header.rules == rules for s in index.segments)
        if len(index.segments) < 2 and not dropped and kept:
            return CompactReport(len(index.segments), before, before, 0)
        shape = MergeShape(
            num_docs=index.num_docs,
            stored_weights=config.stored_weights,
            options=options,
            memory=memory_budget or _DEFAULT_MEMORY,
            rules=rules,
        )
        segments: tuple[SegmentEntry, ...] = ()
        check_to_copy(index)
        if index.num_docs:
            clipped = sum(s.entry.num_clipped for s in index.segments)
            sources = _renumbered(index)
            _reorder(sources, config, shape, index.num_terms)
            segments = (replace(write_merged(folder, sources, shape), num_clipped=clipped),)
        publish(
            folder,
            replace(
                index.manifest,
                generation=index.generation + 1,
                segments=segments,
                config=config.as_dict(),
                fields=field_kinds(folder, segments),
            ),
        )
    after = sum(s.bytes for s in segments)
    return CompactReport(len(index.segments), before, after, dropped)


def _renumbered(index: Index) -> list[MergeSource]:
    """Live documents of all segments, one segment's after the other's."""
    sources, base = [], 0
    for segment in index.segments:
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
        for begin in range(0, len(held), _CHUNK_TERMS):
            offer_lists(rows, read_lists(source.segment, begin, min(begin + _CHUNK_TERMS, len(held))), new, idf, counts)
    order = order_rows(rows, kind, shape.options.num_threads)
    place = np.empty(shape.num_docs, np.uint32)
    place[order] = np.arange(shape.num_docs, dtype=np.uint32)
    for source in sources:
        kept = source.doc_ids != DROPPED
        source.doc_ids[kept] = place[source.doc_ids[kept]]
