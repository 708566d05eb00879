"""What an index consists of, in numbers for a person. Reads every posting once; changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.format.manifest import EncoderEntry
from indexer.format.term_lists import read_lists
from indexer.index import Index
from indexer.opening import open_index
from indexer.progress import Progress, silent
from indexer.segment import Segment

_CHUNK_TERMS = 512


@dataclass(frozen=True, slots=True)
class SegmentReport:
    """One segment.

    Parameters
    ----------
    file : its name.
    documents, deleted, terms, postings, clipped : counts; clipped impacts were cut to 255.
    bytes : of the file.
    reordered : whether documents are stored in another order than that of their ordinals.
    """

    file: str
    documents: int
    deleted: int
    terms: int
    postings: int
    clipped: int
    bytes: int
    reordered: bool


@dataclass(frozen=True, slots=True)
class InspectReport:
    """An index.

    Parameters
    ----------
    path, generation, created, sparseir_version : which index, which commit, made when and by which version.
    documents, deleted, num_terms, postings, clipped : counts; documents are the live ones.
    doc_scale : weight of one impact step.
    bytes : of all segment files.
    bits_per_posting : 8 · bytes / postings.
    section_bytes : bytes of each section, over all segments.
    query_side_bytes : bytes of each file of the query side.
    encoder, source, query_side, fields, config : what made its vectors, or what they were read from; what travels with it.
    segments : one report each.
    terms_per_document, postings_per_term : (lower bound, count): how many have at least that many and fewer than the next.
    impacts : (lower bound, count), sixteen equal steps of 1..255.
    """

    path: str
    generation: int
    created: str
    sparseir_version: str
    documents: int
    deleted: int
    num_terms: int
    postings: int
    clipped: int
    doc_scale: float
    bytes: int
    bits_per_posting: float
    section_bytes: dict[str, int]
    query_side_bytes: dict[str, int]
    encoder: EncoderEntry | None
    source: str | None
    query_side: str | None
    fields: dict[str, str]
    config: dict[str, Any]
    segments: tuple[SegmentReport, ...]
    terms_per_document: tuple[tuple[int, int], ...]
    postings_per_term: tuple[tuple[int, int], ...]
    impacts: tuple[tuple[int, int], ...]


def inspect_index(path: str | Path, *, progress: Progress = silent) -> InspectReport:
    """Sizes, histograms and origin of an index.

    Raises
    ------
    IndexFormatError : no index there, or damage in what is read.
    """
    index = open_index(path)
    sections: dict[str, int] = {}
    for segment in index.segments:
        for name, entry in segment.sections.items():
            sections[name] = sections.get(name, 0) + entry.bytes
    counts = _Counts()
    for number, segment in enumerate(index.segments):
        progress("inspecting", number, len(index.segments))
        counts.add(segment)
    progress("inspecting", len(index.segments), len(index.segments))
    manifest, size = index.manifest, sum(s.entry.bytes for s in index.segments)
    return InspectReport(
        path=str(index.path),
        generation=index.generation,
        created=manifest.created,
        sparseir_version=manifest.sparseir_version,
        documents=index.num_docs,
        deleted=sum(s.num_deleted for s in index.segments),
        num_terms=index.num_terms,
        postings=index.num_postings,
        clipped=sum(s.entry.num_clipped for s in index.segments),
        doc_scale=index.doc_scale,
        bytes=size,
        bits_per_posting=8 * size / index.num_postings if index.num_postings else 0.0,
        section_bytes=sections,
        query_side_bytes={} if index.query_side is None else _file_bytes(index.query_side),
        encoder=manifest.encoder,
        source=manifest.source,
        query_side=manifest.query_side,
        fields=dict(manifest.fields),
        config=dict(manifest.config),
        segments=_segments(index),
        terms_per_document=_doubling(counts.document_lengths),
        postings_per_term=_doubling(counts.list_lengths),
        impacts=tuple((max(1, 16 * i), int(counts.impacts[16 * i : 16 * i + 16].sum())) for i in range(16)),
    )


def _segments(index: Index) -> tuple[SegmentReport, ...]:
    return tuple(
        SegmentReport(
            file=s.entry.file,
            documents=s.num_docs,
            deleted=s.num_deleted,
            terms=s.header.num_terms,
            postings=s.header.num_postings,
            clipped=s.entry.num_clipped,
            bytes=s.entry.bytes,
            reordered="ORDN" in s.sections,
        )
        for s in index.segments
    )


def _file_bytes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.is_file()}


class _Counts:
    """Sums histograms over segments; deleted documents count as long as they take space."""

    def __init__(self) -> None:
        self.impacts = np.zeros(256, np.int64)
        self.document_lengths: dict[int, int] = {}
        self.list_lengths: dict[int, int] = {}

    def add(self, segment: Segment) -> None:
        lengths = np.zeros(segment.num_docs, np.int64)
        num_terms = segment.header.num_terms
        for begin in range(0, num_terms, _CHUNK_TERMS):
            lists = read_lists(segment, begin, min(begin + _CHUNK_TERMS, num_terms))
            lengths += np.bincount(lists.doc_ids(), minlength=segment.num_docs)
            self.impacts += np.bincount(lists.impacts[int(lists.start[0]) : int(lists.start[-1])], minlength=256)
        _tally(self.document_lengths, lengths)
        _tally(self.list_lengths, segment.section("TREC")["df"])


def _tally(into: dict[int, int], values: NDArray[Any]) -> None:
    """Count values by their power of two: 0, 1, 2..3, 4..7, …"""
    steps = np.where(values > 0, np.log2(np.maximum(values, 1)).astype(np.int64) + 1, 0)
    for step, count in enumerate(np.bincount(steps, minlength=1).tolist()):
        into[step] = into.get(step, 0) + count


def _doubling(tally: dict[int, int]) -> tuple[tuple[int, int], ...]:
    return tuple((0 if step == 0 else 1 << (step - 1), count) for step, count in sorted(tally.items()) if count)
