"""What of an index with damaged segments is sound, and what must be left behind.

A checksum covers a section, so where one differs nothing in that section is believed, unless something else vouches for a
part of it:

- postings, term ids, stored weights, ordinals, deletions, the header: the segment is left behind whole. A document with
  some postings of doubtful weight would be found at a wrong rank and pass for sound.
- names: each is compared with its 64-bit hash in NAMH; documents whose name differs are left behind, all of them where the
  hashes are damaged as well.
- stored fields: each group of documents carries a checksum of its own (zlib); documents of damaged groups lose their fields.
- metadata columns: made again from the stored fields; documents whose fields are lost, or that have none, lose theirs.
- what a merge makes anew (ladders, maxima of blocks, hashes of names, smallest ordinals, bitmaps beside lists): nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.config import IndexConfig
from indexer.errors import DataError, IndexFormatError
from indexer.format.manifest import Manifest, SegmentEntry
from indexer.format.stored import (
    GROUP,
    column_kinds,
    group_texts,
    metadata_section,
    packed_fields,
    read_column,
    read_group,
)
from indexer.format.term_lists import pieces, read_lists
from indexer.index import Index
from indexer.native.hashes import hash_names
from indexer.segment import Segment
from indexer.soundness import check_documents, check_names, check_sections, check_terms

_VOUCHED_BY_NOTHING = ("TERM", "TREC", "DOCS", "DOCO", "DOCB", "IMPA", "CELL", "WNID", "WNST", "FWGT", "ORDN")
_POSTINGS_AT_ONCE = 8 << 20


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """Something of a damaged segment that the salvaged index lacks.

    Parameters
    ----------
    segment : its file.
    section : the damaged section; None where the file as a whole, or its deletions, cannot be believed.
    what : "documents"; or "fields" or "metadata" of documents that are kept.
    documents : how many live documents.
    names : theirs, where they can be read and believed.
    reason : what was found.
    """

    segment: str
    section: str | None
    what: str
    documents: int
    names: tuple[str, ...]
    reason: str


class SalvagedSegment(Segment):
    """A segment with sections made again in place of damaged ones, and without the documents that are left behind."""

    def __init__(self, folder: Path, entry: SegmentEntry) -> None:
        self.instead: dict[str, NDArray[Any]] = {}
        super().__init__(folder, entry)

    def section(self, name: str) -> NDArray[Any]:
        return self.instead[name] if name in self.instead else super().section(name)

    def leave(self, gone: NDArray[np.bool_]) -> None:
        """Count documents as deleted."""
        self.__dict__["live"] = self.live & ~gone

    def live_names(self, which: NDArray[np.bool_]) -> tuple[str, ...]:
        """Names of the live documents among `which`, bool by doc_id."""
        return tuple(self.docno(i) for i in np.flatnonzero(which & self.live).tolist())


@dataclass(frozen=True, slots=True)
class Salvage:
    """What `examine` found.

    Parameters
    ----------
    segments : what can be merged; some lack documents or sections of their files.
    damaged : entries of all segments in which anything is damaged.
    left : what the segments above lack.
    """

    segments: tuple[SalvagedSegment, ...]
    damaged: tuple[SegmentEntry, ...]
    left: tuple[LeftBehind, ...]


def examine(folder: Path, manifest: Manifest, config: IndexConfig) -> Salvage:
    """Read all segments and tell what of them is sound."""
    kept, damaged, left = [], [], []
    for entry in manifest.segments:
        try:
            segment = SalvagedSegment(folder, entry)
        except (IndexFormatError, FileNotFoundError) as error:
            count = entry.num_docs - (entry.deletes.count if entry.deletes else 0)
            left.append(LeftBehind(entry.file, getattr(error, "section", None), "documents", count, (), str(error)))
            damaged.append(entry)
            continue
        bad = _bad_sections(segment)
        index = Index(folder, manifest, (segment,))
        whole = _why_whole(index, segment, bad)
        if whole is not None:
            left.append(_left_whole(index, segment, bad, *whole))
            damaged.append(entry)
            continue
        found = [
            *_leave_unnamed(segment, bad),
            *_leave_fields(segment, bad),
            *_leave_metadata(segment, bad, config.metadata),
        ]
        left += found
        if bad or found:
            damaged.append(entry)
        if segment.live.any():
            kept.append(segment)
    return Salvage(tuple(kept), tuple(damaged), tuple(left))


def _bad_sections(segment: Segment) -> dict[str, str]:
    """What is wrong with each section whose checksum differs."""
    bad = {}
    for name in segment.sections:
        try:
            check_sections(segment, [name])
        except IndexFormatError as error:
            bad[name] = str(error)
    return bad


def _left_whole(
    index: Index, segment: SalvagedSegment, bad: dict[str, str], section: str | None, reason: str
) -> LeftBehind:
    """A segment of which nothing is believed, with its names where those can be."""
    doubtful = {"NAMO", "NAMB", "NAMH", "ORDN"}
    # A header may claim billions of documents, which nothing is made for.
    real = segment.names.present or segment.num_docs <= index.manifest.next_ordinal
    readable = real and not doubtful & bad.keys() and section not in doubtful
    names = segment.live_names(np.ones(segment.num_docs, bool)) if readable else ()
    count = segment.num_docs - segment.num_deleted
    return LeftBehind(segment.entry.file, section, "documents", count, names, reason)


def _why_whole(index: Index, segment: SalvagedSegment, bad: dict[str, str]) -> tuple[str | None, str] | None:
    """(section, reason) why nothing of a segment can be believed; None where something can."""
    fatal = (*_VOUCHED_BY_NOTHING, "BITS") if segment.header.rules.packed else _VOUCHED_BY_NOTHING
    for name in fatal:
        if name in bad:
            return name, bad[name]
    names_bad = [name for name in ("NAMO", "NAMB") if name in bad]
    if names_bad and ("NAMH" in bad or "NAMI" in bad):
        return names_bad[0], bad[names_bad[0]]
    if names_bad and not np.array_equal(np.sort(segment.section("NAMI")), np.arange(segment.num_docs)):
        return names_bad[0], bad[names_bad[0]]
    try:
        check_terms(index, segment)
        if "BORD" not in bad:
            check_documents(index, segment)
        for begin, end in pieces(segment.section("TREC")["df"], _POSTINGS_AT_ONCE):
            read_lists(segment, begin, end)
        if not names_bad:
            check_names(segment)
    except IndexFormatError as error:
        return error.section, str(error)
    return None


def _leave_unnamed(segment: SalvagedSegment, bad: dict[str, str]) -> list[LeftBehind]:
    """Leave documents whose names are not those that were hashed."""
    section = next((name for name in ("NAMO", "NAMB") if name in bad), None)
    if section is None:
        return []
    offsets, blob = segment.section("NAMO"), segment.section("NAMB")
    expected = np.empty(segment.num_docs, np.uint64)
    expected[segment.section("NAMI")] = segment.section("NAMH")
    wrong = np.ones(segment.num_docs, bool)
    for doc_id, (begin, end) in enumerate(zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)):
        if begin <= end <= len(blob):
            name = blob[begin:end]
            wrong[doc_id] = hash_names(name, np.array([0, end - begin], np.uint64))[0] != expected[doc_id]
    count = int((wrong & segment.live).sum())
    segment.leave(wrong)
    return [LeftBehind(segment.entry.file, section, "documents", count, (), bad[section])] if count else []


def _leave_fields(segment: SalvagedSegment, bad: dict[str, str]) -> list[LeftBehind]:
    """Leave the fields of groups that are damaged; those documents have none from now on."""
    if len(segment.section("FLDO")) == 0:
        return []
    lost, texts, reason = np.zeros(segment.num_docs, bool), [], ""
    for first in range(0, segment.num_docs, GROUP):
        try:
            if "FLDO" in bad or "FLDB" in bad:
                _check_group(segment, first // GROUP)
            texts += [text.decode() for text in group_texts(segment, first // GROUP)]
        except IndexFormatError as error:
            size = min(GROUP, segment.num_docs - first)
            lost[first : first + size] = True
            texts += ["{}"] * size
            reason = reason or str(error)
    if lost.any():
        made = packed_fields(texts)
        segment.instead |= {name: np.concatenate(list(made[name])) for name in ("FLDB", "FLDO")}
    section = "FLDO" if "FLDO" in bad else "FLDB"
    return _left(segment, section, "fields", lost, bad.get(section, reason))


def _check_group(segment: Segment, group: int) -> None:
    """The place of a group holds one whole zlib stream: a wrong offset could lead to that of other documents."""
    offsets, blob = segment.section("FLDO"), segment.section("FLDB")
    lo, hi = int(offsets[group]), int(offsets[group + 1])
    unpacker = zlib.decompressobj()
    try:
        unpacker.decompress(bytes(blob[lo:hi]), 1 << 28)
        if unpacker.eof and not unpacker.unused_data and lo <= hi:
            return
        what = "no single whole stream"
    except zlib.error as error:
        what = str(error)
    raise IndexFormatError(f"stored fields of documents {group * GROUP} and following: {what}", section="FLDB")


def _leave_metadata(segment: SalvagedSegment, bad: dict[str, str], metadata: Sequence[str]) -> list[LeftBehind]:
    """Make damaged metadata columns again from the stored fields that are left."""
    try:
        if "META" not in bad:
            for name in column_kinds(segment):
                read_column(segment, name)
            return []
        reason = bad["META"]
    except IndexFormatError as error:
        reason = str(error)
    lost = np.ones(segment.num_docs, bool)
    segment.instead["META"] = np.zeros(0, np.uint8)
    if len(segment.section("FLDO")):
        rows = [row for group in range(-(-segment.num_docs // GROUP)) for row in read_group(segment, group)]
        try:
            segment.instead |= metadata_section(rows, metadata)
            lost = np.array([not row for row in rows], bool) if "FLDB" in segment.instead else ~lost
        except DataError as error:
            reason = f"{reason}; and the stored fields do not give them again ({error})"
    return _left(segment, "META", "metadata", lost, reason)


def _left(segment: SalvagedSegment, section: str, what: str, lost: NDArray[np.bool_], reason: str) -> list[LeftBehind]:
    names = segment.live_names(lost)
    return [LeftBehind(segment.entry.file, section, what, len(names), names, reason)] if names else []
