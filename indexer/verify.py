"""Checking a whole index: every checksum, and every invariant that searching relies on, each by its name."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from indexer.errors import IndexFormatError
from indexer.format.layout import BLOCK_SHIFT, NO_ROW, SPARSE, cell_shifts
from indexer.format.segment import HEADER
from indexer.format.stored import GROUP, column_kinds, read_column, read_group
from indexer.format.term_lists import TermLists, pieces, read_lists
from indexer.index import Index, Segment, open_index
from indexer.inversion.invert import Postings
from indexer.inversion.tables import TermTables, describe
from indexer.native import builder
from indexer.progress import Progress, silent

_CHUNK_POSTINGS = 8 << 20
_CHUNK_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was checked, all of it found sound.

    Parameters
    ----------
    generation : the commit that was checked.
    segments, documents, postings, bytes : how much.
    checks : names of the invariants, as docs/index-format.md lists them.
    """

    generation: int
    segments: int
    documents: int
    postings: int
    bytes: int
    checks: tuple[str, ...]


def verify_index(path: str | Path, *, progress: Progress = silent) -> VerifyReport:
    """Read a whole index and check it.

    Raises
    ------
    IndexFormatError : the first broken invariant, with segment, section and its name.
    """
    index = open_index(path)
    for number, segment in enumerate(index.segments):
        progress("verifying", number, len(index.segments))
        for check in _CHECKS.values():
            check(index, segment)
    _check_across(index)
    progress("verifying", len(index.segments), len(index.segments))
    return VerifyReport(
        index.generation,
        len(index.segments),
        index.num_docs,
        index.num_postings,
        sum(s.entry.bytes for s in index.segments),
        (*_CHECKS, "ordinals-differ", "names-differ"),
    )


def _refuse(segment: Segment, what: str, invariant: str, section: str | None = None) -> IndexFormatError:
    return IndexFormatError(
        f"segment '{segment.path}': {what}; restore or rebuild it", section=section, invariant=invariant
    )


def _check_checksums(index: Index, segment: Segment) -> None:
    for name, entry in segment.sections.items():
        crc = 0
        for at in range(entry.offset, entry.offset + entry.bytes, _CHUNK_BYTES):
            crc = zlib.crc32(segment.data[at : min(at + _CHUNK_BYTES, entry.offset + entry.bytes)].data, crc)
        if crc != entry.crc32:
            raise _refuse(segment, f"section {name} is damaged (its checksum differs)", "section-crc", name)


def _check_padding(index: Index, segment: Segment) -> None:
    ends = sorted(entry.offset + entry.bytes for entry in segment.sections.values()) or [HEADER.size]
    starts = sorted(entry.offset for entry in segment.sections.values())[1:]
    for end, start in zip(ends, [*starts, len(segment.data)], strict=True):
        if start - end > 128 or segment.data[end:start].any():
            raise _refuse(segment, "bytes between sections are not zero", "padding-zero")


def _check_terms(index: Index, segment: Segment) -> None:
    terms, records = segment.section("TERM"), segment.section("TREC")
    if len(terms) and (int(terms[-1]) >= index.num_terms or (terms[1:] <= terms[:-1]).any()):
        raise _refuse(segment, "term ids do not ascend below the vocabulary's size", "terms-ascend", "TERM")
    if int(records["df"].sum(dtype=np.uint64)) != segment.header.num_postings:
        raise _refuse(segment, "lengths of posting lists do not add up", "lists-adjoin", "TREC")
    if segment.entry.num_postings != segment.header.num_postings:
        raise _refuse(segment, "the manifest gives another number of postings", "segment-identity")
    df = records["df"].astype(np.uint64)
    if not np.array_equal(records["cell_shift"], cell_shifts(df, segment.num_docs, segment.header.rules)):
        raise _refuse(segment, "a directory is not of the kind its list's length asks for", "cell-shift", "TREC")


def _check_postings(index: Index, segment: Segment) -> None:
    """Lists ascend inside the segment; everything derived from them is what the builder would derive."""
    places = _Places(segment)
    for begin, end in pieces(segment.section("TREC")["df"], _CHUNK_POSTINGS):
        lists = read_lists(segment, begin, end)
        tables = describe(_as_postings(segment, lists), bounds=places.has_bounds, rules=places.rules)
        places.compare(begin, end, tables)
        if lists.weights is not None:
            span = slice(int(lists.start[0]), int(lists.start[-1]))
            weights = lists.weights[span].astype(np.float32)
            if not (np.isfinite(weights).all() and (weights >= 0).all()):
                raise _refuse(segment, "a stored weight is negative, infinite or no number", "weights-finite", "FWGT")
    places.finish()


def _as_postings(segment: Segment, lists: TermLists) -> Postings:
    span = slice(int(lists.start[0]), int(lists.start[-1]))
    return Postings(
        segment.num_docs,
        lists.term_ids,
        lists.start - lists.start[0],
        lists.docs[span],
        lists.impacts[span],
        None,
        lists.window_begin,
        lists.window,
        lists.window_first - lists.start[0],
        0,
    )


class _Places:
    """Walks through the derived sections beside the terms and compares them with what they should hold."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        names = ("DOCO", "DOCB", "CELL", "WNID", "WNST", "LADD", "BMAX", "BLEV", "SMAX", "BITS")
        self._at = dict.fromkeys(names, 0)
        self._rows = {"bound_row": 0, "bits_row": 0}
        self.rules = segment.header.rules
        self.has_bounds = self.rules.packed or bool(len(segment.section("BLEV")) or len(segment.section("BITS")))

    def compare(self, begin: int, end: int, tables: TermTables) -> None:
        stored = self._segment.section("TREC")[begin:end]
        made = tables.trec
        if not np.array_equal(stored["list_max"], made["list_max"]):
            raise _refuse(self._segment, "a list's maximum is wrong", "list-max", "TREC")
        sparse = stored["cell_shift"] == SPARSE
        made["directory_start"] += np.where(sparse, self._at["WNID"], self._at["CELL"]).astype(np.uint32)
        dense_windows = ~sparse & (stored["num_windows"] == 0)
        if not (np.array_equal(stored["directory_start"], made["directory_start"]) and (sparse | dense_windows).all()):
            raise _refuse(self._segment, "directories do not follow each other", "directories-adjoin", "TREC")
        for name, rule in (("bound_row", "bounds-rows"), ("bits_row", "bits-rows")):
            has = made[name] != NO_ROW
            made[name][has] += np.uint32(self._rows[name])
            if not np.array_equal(stored[name], made[name]):
                raise _refuse(self._segment, f"{name} is not the one the list's length asks for", rule, "TREC")
            self._rows[name] += int(has.sum())
        tables.doco[:] += np.uint64(self._at["DOCB"])
        for name, at in self._at.items():
            flat = getattr(tables, name.lower()).reshape(-1)
            if not np.array_equal(self._segment.section(name)[at : at + len(flat)], flat):
                raise _refuse(self._segment, f"section {name} does not follow from the postings", "derived", name)
            self._at[name] = at + len(flat)

    def finish(self) -> None:
        for name, at in self._at.items():
            if at != len(self._segment.section(name)):
                raise _refuse(self._segment, f"section {name} is longer than its terms need", "section-size", name)


def _check_documents(index: Index, segment: Segment) -> None:
    relative, smallest = segment.section("ORDN"), segment.section("BORD")
    if len(relative):
        if len(np.unique(relative)) != len(relative):
            raise _refuse(segment, "two documents have one ordinal", "ordinals-differ", "ORDN")
        if not np.array_equal(smallest, np.minimum.reduceat(relative, np.arange(0, len(relative), 1 << BLOCK_SHIFT))):
            raise _refuse(segment, "smallest ordinals of blocks are wrong", "block-ordinals", "BORD")
    elif len(smallest):
        raise _refuse(segment, "BORD without ORDN", "block-ordinals", "BORD")
    if segment.ordinal_range[1] > index.manifest.next_ordinal:
        raise _refuse(segment, "an ordinal is not below the next one", "ordinals-below-next", "ORDN")


def _check_deletes(index: Index, segment: Segment) -> None:
    if segment.deleted is None:
        return
    bits = np.unpackbits(segment.deleted, bitorder="little")
    if int(bits.sum()) != segment.num_deleted or bits[segment.num_docs :].any():
        raise _refuse(segment, "its deletions are not as many as the manifest says", "deletes-count")


def _check_names(index: Index, segment: Segment) -> None:
    offsets, blob = segment.section("NAMO"), segment.section("NAMB")
    hashes, ids = segment.section("NAMH"), segment.section("NAMI")
    if len(offsets) == 0:
        if len(blob) or len(hashes) or len(ids):
            raise _refuse(segment, "parts of names without offsets", "names-whole", "NAMO")
        return
    if int(offsets[0]) or int(offsets[-1]) != len(blob) or (offsets[1:] < offsets[:-1]).any():
        raise _refuse(segment, "offsets of names do not describe their bytes", "names-whole", "NAMO")
    if len(hashes) != segment.num_docs or len(ids) != segment.num_docs:
        raise _refuse(segment, "names cannot be looked up", "names-whole", "NAMH")
    if (hashes[1:] < hashes[:-1]).any() or not np.array_equal(np.sort(ids), np.arange(len(ids))):
        raise _refuse(segment, "hashes of names do not ascend, or miss a document", "name-hashes", "NAMH")
    if not np.array_equal(builder.hash_names(blob, offsets)[ids], hashes):
        raise _refuse(segment, "hashes of names are wrong", "name-hashes", "NAMH")
    try:
        blob.tobytes().decode()
    except UnicodeDecodeError:
        raise _refuse(segment, "names are not UTF-8", "names-utf8", "NAMB") from None
    inner = offsets[1:-1][offsets[1:-1] < len(blob)].astype(np.int64)
    if (blob[inner] & 0xC0 == 0x80).any():
        raise _refuse(segment, "a name begins inside a character", "names-utf8", "NAMO")


def _check_fields(index: Index, segment: Segment) -> None:
    if len(segment.section("FLDO")):
        if len(segment.section("FLDO")) != -(-segment.num_docs // GROUP) + 1:
            raise _refuse(segment, "stored fields do not cover the documents", "fields-group", "FLDO")
        for group in range(-(-segment.num_docs // GROUP)):
            read_group(segment, group)
    for name, kind in column_kinds(segment).items():
        read_column(segment, name)
        if name not in index.field_kinds or not (kind == index.field_kinds[name] or kind == "int"):
            raise _refuse(
                segment, f"metadata field {name!r} is not of the kind the manifest says", "metadata-column", "META"
            )


def _check_across(index: Index) -> None:
    """No ordinal twice, and no live name twice, in the whole index."""
    if _ordinals_meet(index.segments):
        raise IndexFormatError(
            f"index '{index.path}': two documents have one ordinal; rebuild", invariant="ordinals-differ"
        )
    live = [(s.section("NAMH"), s.section("NAMI"), s) for s in index.segments if s.names.present]
    hashes = np.concatenate([np.zeros(0, np.uint64), *(h[s.is_live(i)] for h, i, s in live)])
    values, counts = np.unique(hashes, return_counts=True)
    for value in values[counts > 1].tolist():
        seen = [
            s.names.name(int(i[at]))
            for h, i, s in live
            for at in range(
                int(np.searchsorted(h, np.uint64(value))), int(np.searchsorted(h, np.uint64(value), side="right"))
            )
            if s.is_live(i[at : at + 1])[0]
        ]
        if len(set(seen)) != len(seen):
            raise IndexFormatError(
                f"index '{index.path}': two live documents are called {seen[0]!r}", invariant="names-differ"
            )


def _ordinals_meet(segments: tuple[Segment, ...]) -> bool:
    """Whether an ordinal occurs in two segments. Disjoint ranges, the usual case, need no list of ordinals."""
    ordered = sorted((s for s in segments if s.num_docs), key=lambda s: s.ordinal_range)
    for i, segment in enumerate(ordered):
        for other in ordered[i + 1 :]:
            if other.ordinal_range[0] >= segment.ordinal_range[1]:
                break
            if len(other.section("ORDN")) == 0:
                segment, other = other, segment
            if len(other.section("ORDN")) == 0:
                return True  # two unbroken ranges that overlap
            if (segment.doc_ids(other.ordinals) >= 0).any():
                return True
    return False


_CHECKS: dict[str, Callable[[Index, Segment], None]] = {
    "section-crc": _check_checksums,
    "padding-zero": _check_padding,
    "terms": _check_terms,
    "postings": _check_postings,
    "documents": _check_documents,
    "deletes-count": _check_deletes,
    "names": _check_names,
    "fields": _check_fields,
}
