"""What is checked of an index before its bytes go into anything new: a writer that believed them would seal damage.

A merge or an export checks everything it copies, once a segment. An addition or a deletion copies nothing of the segments
that are there; it checks what it looks names and ordinals up in.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import numpy as np

from indexer.errors import IndexFormatError
from indexer.format.layout import BLOCK_SHIFT, cell_shifts
from indexer.format.segment import SegmentFile
from indexer.index import Index
from indexer.segment import Segment

_CHUNK_BYTES = 8 << 20
_LOOKED_UP = ("ORDN", "NAMO", "NAMB", "NAMH", "NAMI", "META")


def refusal(segment: SegmentFile, what: str, invariant: str, section: str | None = None) -> IndexFormatError:
    """The error for a segment that breaks an invariant."""
    return IndexFormatError(
        f"segment '{segment.path}': {what}; restore or rebuild it", section=section, invariant=invariant
    )


def check_to_copy(index: Index) -> None:
    """Check all that a merge or an export copies, except what `read_lists` and `group_texts` check as they read.

    Raises
    ------
    IndexFormatError : the first broken invariant, with segment and section.
    """
    for segment in index.segments:
        check_sections(segment)
        check_terms(index, segment)
        check_documents(index, segment)
        check_names(segment)
    check_ordinals_differ(index)


def check_to_extend(index: Index) -> None:
    """Check what an addition or a deletion looks up in the segments that are there.

    Raises
    ------
    IndexFormatError : as `check_to_copy`.
    """
    for segment in index.segments:
        check_sections(segment, _LOOKED_UP)
        check_next_ordinal(index, segment)


def check_sections(segment: SegmentFile, names: Iterable[str] | None = None) -> None:
    """Compare sections with their checksums, a piece at a time; all of them, or those of `names` that are there."""
    for name in segment.sections if names is None else names:
        entry = segment.sections.get(name)
        if entry is None:
            continue
        crc, end = 0, entry.offset + entry.bytes
        for at in range(entry.offset, end, _CHUNK_BYTES):
            crc = zlib.crc32(segment.data[at : min(at + _CHUNK_BYTES, end)].data, crc)
        if crc != entry.crc32:
            raise refusal(segment, f"section {name} is damaged (its checksum differs)", "section-crc", name)


def check_terms(index: Index, segment: Segment) -> None:
    """Term ids ascend inside the vocabulary; lists fill their sections and have the directories of their lengths."""
    terms, records = segment.section("TERM"), segment.section("TREC")
    if len(terms) and (int(terms[-1]) >= index.num_terms or (terms[1:] <= terms[:-1]).any()):
        raise refusal(segment, "term ids do not ascend below the vocabulary's size", "terms-ascend", "TERM")
    if int(records["df"].sum(dtype=np.uint64)) != segment.header.num_postings:
        raise refusal(segment, "lengths of posting lists do not add up", "lists-adjoin", "TREC")
    if segment.entry.num_postings != segment.header.num_postings:
        raise refusal(segment, "the manifest gives another number of postings", "segment-identity")
    stores = index.manifest.config.get("stored_weights", "none") != "none"
    if stores and segment.header.num_postings and len(segment.section("FWGT")) == 0:
        raise refusal(segment, "the weights that the index's config stores are missing", "weights-stored", "FWGT")
    df = records["df"].astype(np.uint64)
    if not np.array_equal(records["cell_shift"], cell_shifts(df, segment.num_docs, segment.header.rules)):
        raise refusal(segment, "a directory is not of the kind its list's length asks for", "cell-shift", "TREC")


def check_documents(index: Index, segment: Segment) -> None:
    """Ordinals differ and stay below the next one; BORD holds the smallest of each block."""
    relative, smallest = segment.section("ORDN"), segment.section("BORD")
    if len(relative):
        if len(np.unique(relative)) != len(relative):
            raise refusal(segment, "two documents have one ordinal", "ordinals-differ", "ORDN")
        if not np.array_equal(smallest, np.minimum.reduceat(relative, np.arange(0, len(relative), 1 << BLOCK_SHIFT))):
            raise refusal(segment, "smallest ordinals of blocks are wrong", "block-ordinals", "BORD")
    elif len(smallest):
        raise refusal(segment, "BORD without ORDN", "block-ordinals", "BORD")
    check_next_ordinal(index, segment)


def check_next_ordinal(index: Index, segment: Segment) -> None:
    """The ordinal that the next document gets is free."""
    if segment.ordinal_range[1] > index.manifest.next_ordinal:
        raise refusal(segment, "an ordinal is not below the next one", "ordinals-below-next", "ORDN")


def check_names(segment: Segment) -> None:
    """Names are whole and UTF-8; a merge makes their hashes again."""
    offsets, blob = segment.section("NAMO"), segment.section("NAMB")
    hashes, ids = segment.section("NAMH"), segment.section("NAMI")
    if len(offsets) == 0:
        if len(blob) or len(hashes) or len(ids):
            raise refusal(segment, "parts of names without offsets", "names-whole", "NAMO")
        return
    if int(offsets[0]) or int(offsets[-1]) != len(blob) or (offsets[1:] < offsets[:-1]).any():
        raise refusal(segment, "offsets of names do not describe their bytes", "names-whole", "NAMO")
    if len(hashes) != segment.num_docs or len(ids) != segment.num_docs:
        raise refusal(segment, "names cannot be looked up", "names-whole", "NAMH")
    try:
        blob.tobytes().decode()
    except UnicodeDecodeError:
        raise refusal(segment, "names are not UTF-8", "names-utf8", "NAMB") from None
    inner = offsets[1:-1][offsets[1:-1] < len(blob)].astype(np.int64)
    if (blob[inner] & 0xC0 == 0x80).any():
        raise refusal(segment, "a name begins inside a character", "names-utf8", "NAMO")


def check_ordinals_differ(index: Index) -> None:
    """No ordinal occurs in two segments. Disjoint ranges, the usual case, need no list of ordinals."""
    ordered = sorted((s for s in index.segments if s.num_docs), key=lambda s: s.ordinal_range)
    for i, segment in enumerate(ordered):
        for other in ordered[i + 1 :]:
            if other.ordinal_range[0] >= segment.ordinal_range[1]:
                break
            if _share_an_ordinal(segment, other):
                raise IndexFormatError(
                    f"index '{index.path}': two documents have one ordinal; rebuild", invariant="ordinals-differ"
                )


def _share_an_ordinal(one: Segment, other: Segment) -> bool:
    """Whether segments whose ranges of ordinals overlap hold one twice."""
    if len(other.section("ORDN")) == 0:
        one, other = other, one
    if len(other.section("ORDN")) == 0:
        return True  # two unbroken ranges that overlap
    return bool((one.doc_ids(other.ordinals) >= 0).any())
