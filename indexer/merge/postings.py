"""Merging segments: posting lists are joined a range of terms at a time, so that memory stays within a budget.

Compaction and the building of indexes larger than memory are the same merge: of segments, or of the runs a build spilled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.config import WriteOptions
from indexer.errors import IndexFormatError
from indexer.format.layout import NO_ROW, SPARSE, STANDARD, LayoutRules
from indexer.format.segment import SegmentFile
from indexer.format.term_lists import pieces, read_lists
from indexer.inversion.invert import Postings
from indexer.inversion.segment_write import posting_sections
from indexer.inversion.tables import TermTables, describe
from indexer.native import builder
from indexer.native.builder import InvertedArrays, KeyLists, Renumbering

BYTES_PER_POSTING = 40
"""Working memory of a merge: keys, scratch, payloads, outputs and tables of one posting, with room to spare."""

_SMALLEST_CHUNK = 1 << 16
_LARGEST_CHUNK = 1 << 32
"""Postings of a chunk are numbered in 32 bits."""


@dataclass(frozen=True, slots=True, eq=False)
class MergeSource:
    """A segment or run that goes into a merge.

    Parameters
    ----------
    segment : the file.
    doc_ids : uint32 (num_docs,), new doc_id of each document, DROPPED for those left out.
    """

    segment: SegmentFile
    doc_ids: NDArray[np.uint32]


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeShape:
    """What a merge makes.

    Parameters
    ----------
    num_docs : documents of the merged segment.
    scale : doc_scale, where impacts are made from stored weights; 0 where impacts travel.
    stored_weights : as IndexConfig.
    options : threads and progress.
    memory : bytes the merge may work in.
    rules : of the merged segment's layout.
    cap : most postings of a term, its heaviest by stored weight, ties by smaller row; 0 keeps all. Sources must then
        come in input order.
    """

    num_docs: int
    scale: float = 0.0
    stored_weights: str = "none"
    options: WriteOptions
    memory: int = 256 << 20
    rules: LayoutRules = STANDARD
    cap: int = 0

    @property
    def keeps_weights(self) -> bool:
        """Whether the weights themselves are stored."""
        return self.stored_weights != "none"


class PostingMerge:
    """One pass over the terms of all sources, yielding finished sections piece by piece.

    Parameters
    ----------
    sources : in any order; their new doc_ids do not overlap.
    shape : of the result.

    Attributes
    ----------
    num_terms, num_postings, num_clipped : totals, right once the pass is over.
    """

    def __init__(self, sources: Sequence[MergeSource], shape: MergeShape) -> None:
        self._sources = sources
        self._shape = shape
        self._terms, self._df = _union_of_terms(sources)
        self._base = np.zeros(1, [(n, np.int64) for n in ("postings", "cells", "windows", "bounds", "bits", "words")])[
            0
        ]
        self.num_terms = self.num_postings = self.num_clipped = 0

    def __iter__(self) -> Iterator[dict[str, NDArray[Any]]]:
        limit = min(_LARGEST_CHUNK, max(_SMALLEST_CHUNK, self._shape.memory // BYTES_PER_POSTING))
        progress, done, total = self._shape.options.progress, 0, int(self._df.sum())
        for begin, end in pieces(self._df, limit):
            progress("merging", done, total)
            postings = self._join(begin, end)
            if len(postings.term_ids):
                yield self._sections(postings)
            done += int(self._df[begin:end].sum())
        if total:
            progress("merging", total, total)

    def _join(self, begin: int, end: int) -> Postings:
        """Posting lists of merged terms begin..end."""
        terms = self._terms[begin:end]
        room = np.concatenate([[0], np.cumsum(self._df[begin:end])]).astype(np.uint64)
        keys, cursor = np.empty(int(room[-1]), np.uint64), room[:-1].copy()
        impacts, weights, placed = [], [], 0
        for source in self._sources:
            held = source.segment.section("TERM")
            low, high = np.searchsorted(held, [terms[0], terms[-1]], side="left")
            high += int(high < len(held) and held[high] == terms[-1])
            if low == high:
                continue
            lists = read_lists(source.segment, int(low), int(high))
            slots = np.searchsorted(terms, lists.term_ids).astype(np.uint32)
            builder.place_lists(lists.arrays(), Renumbering(source.doc_ids, slots, placed, cursor), keys)
            span = slice(int(lists.start[0]), int(lists.start[-1]))
            if not self._shape.scale:
                impacts.append(lists.impacts[span])
            if self._shape.scale or self._shape.keeps_weights:
                if lists.weights is None:
                    raise IndexFormatError(
                        f"segment '{source.segment.path}' lacks the weights that the index's config stores; rebuild",
                        section="FWGT",
                        invariant="weights-stored",
                    )
                weights.append(lists.weights[span].astype(np.float32, copy=False))
            placed += span.stop - span.start
        if self._shape.cap:
            _cap_lists(keys, room[:-1], cursor, np.concatenate(weights), self._shape.cap)
        lists_of_keys = KeyLists(
            keys,
            room[:-1],
            cursor,
            np.concatenate(impacts) if impacts else None,
            np.concatenate(weights) if weights else None,
            self._shape.scale,
            self._shape.num_docs,
        )
        return self._finish(terms, lists_of_keys)

    def _finish(self, terms: NDArray[np.uint32], keys: KeyLists) -> Postings:
        kept = int((keys.end - keys.begin).sum())
        entries = min(kept, len(terms) * -(-self._shape.num_docs >> 16))
        out = InvertedArrays(
            np.empty(kept, np.uint16),
            np.empty(kept, np.uint8),
            np.empty(kept, np.float32) if self._shape.keeps_weights else None,
            np.empty(entries, np.uint16),
            np.empty(entries, np.uint64),
        )
        start, window_begin = np.empty(len(terms) + 1, np.uint64), np.empty(len(terms) + 1, np.uint64)
        clipped = builder.finish_lists(keys, out, start, window_begin)
        self.num_clipped += clipped
        used = np.flatnonzero(np.diff(start))
        ends = np.append(used, len(terms))
        last = int(window_begin[-1])
        return Postings(
            self._shape.num_docs,
            terms[used],
            start[ends],
            out.docs,
            out.impacts,
            out.weights,
            window_begin[ends],
            out.window[:last],
            out.window_first[:last],
            clipped,
        )

    def _sections(self, postings: Postings) -> dict[str, NDArray[Any]]:
        """Sections of a chunk, with its positions moved past those of the chunks before."""
        rules = self._shape.rules
        tables = describe(postings, self._shape.options.num_threads, rules=rules)
        self._shift(tables)
        self.num_terms += len(postings.term_ids)
        self.num_postings += len(postings.impacts)
        return posting_sections(postings, tables, rules, self._shape.stored_weights)

    def _shift(self, tables: TermTables) -> None:
        record, base = tables.trec, self._base
        sparse = record["cell_shift"] == SPARSE
        record["postings_start"] += np.uint64(base["postings"])
        moved = record["directory_start"] + np.where(sparse, base["windows"], base["cells"])
        if len(moved) and int(moved.max()) >= 2**32:
            raise MemoryError("more than 2**32 directory entries in one segment; build several segments with add")
        record["directory_start"] = moved
        for name, count in (("bound_row", "bounds"), ("bits_row", "bits")):
            has = record[name] != NO_ROW
            record[name][has] += np.uint32(base[count])
        base["postings"] += int(record["df"].sum(dtype=np.int64))
        base["cells"] += len(tables.cell)
        base["windows"] += len(tables.wnid)
        base["bounds"] += len(tables.smax)
        base["bits"] += len(tables.bits)
        tables.doco[:] += np.uint64(base["words"])
        base["words"] += len(tables.docb)


def _union_of_terms(sources: Sequence[MergeSource]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """(term ids of all sources, ascending; postings of each, those to be dropped included)."""
    terms = np.zeros(0, np.uint32)
    for source in sources:
        held = source.segment.section("TERM")
        if (held[1:] <= held[:-1]).any():  # places in the key lists are searched for among them
            raise IndexFormatError(
                f"segment '{source.segment.path}': term ids do not ascend; restore or rebuild it",
                section="TERM",
                invariant="terms-ascend",
            )
        terms = np.union1d(terms, held)
    df = np.zeros(len(terms), np.int64)
    for source in sources:
        df[np.searchsorted(terms, source.segment.section("TERM"))] += source.segment.section("TREC")["df"]
    return terms, df


def _cap_lists(
    keys: NDArray[np.uint64], begin: NDArray[np.uint64], end: NDArray[np.uint64], weights: NDArray[np.float32], cap: int
) -> None:
    """Leave each key list its `cap` heaviest postings and move its end; lists are in row order, which settles ties."""
    for term in np.flatnonzero(end - begin > cap).tolist():
        first = int(begin[term])
        postings = keys[first : int(end[term])]
        heaviest = np.argsort(-weights[postings & np.uint64(0xFFFFFFFF)], kind="stable")[:cap]
        keys[first : first + cap] = postings[np.sort(heaviest)]
        end[term] = first + cap
