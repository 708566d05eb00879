"""Checking a whole index: every checksum, and every invariant that searching relies on, each by its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from indexer.errors import IndexFormatError
from indexer.format.folder import BESIDE, SNAPSHOT_FILE, orphans
from indexer.format.kinds import common_kind
from indexer.format.layout import NO_ROW, SPARSE
from indexer.format.lock import LOCK_FILE
from indexer.format.partial import abandoned
from indexer.format.segment import HEADER
from indexer.format.shard_list import SHARDS_FILE, is_shard_name
from indexer.format.stored import GROUP, column_kinds, group_texts, read_column
from indexer.format.term_lists import TermLists, pieces, read_lists
from indexer.index import Index
from indexer.inversion.invert import Postings
from indexer.inversion.tables import TermTables, describe
from indexer.native.hashes import hash_names
from indexer.opening import open_index
from indexer.progress import Progress, silent
from indexer.segment import Segment
from indexer.shards import ShardedIndex
from indexer.soundness import check_documents, check_names, check_ordinals_differ, check_sections, check_terms, refusal

_CHUNK_POSTINGS = 8 << 20


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was checked, all of it found sound.

    Parameters
    ----------
    generation : the commit that was checked.
    segments, documents, postings, bytes : how much.
    checks : names of the invariants, as docs/index-format.md lists them.
    leftovers : files in the folder of writers that were stopped, or of one at work; the next writer removes them.
    foreign : files in the folder that are nothing of an index; nobody removes them.
    beside : what killed writers of this index spooled beside its folder; the next writer removes it.
    """

    generation: int
    segments: int
    documents: int
    postings: int
    bytes: int
    checks: tuple[str, ...]
    leftovers: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()


def verify_index(path: str | Path, *, progress: Progress = silent) -> VerifyReport:
    """Read a whole index and check it.

    Parameters
    ----------
    path : the folder. progress : called with a stage, what is done of it and all of it.

    Raises
    ------
    IndexFormatError : the first broken invariant, with segment, section and its name.
    """
    index = open_index(path)
    for number, segment in enumerate(index.segments):
        progress("verifying", number, len(index.segments))
        for check in _CHECKS.values():
            check(index, segment)
    check_ordinals_differ(index)
    _check_names_differ(index)
    progress("verifying", len(index.segments), len(index.segments))
    leftovers, foreign = _strangers(index)
    return VerifyReport(
        index.generation,
        len(index.segments),
        index.num_docs,
        index.num_postings,
        sum(s.entry.bytes for s in index.segments),
        (*_CHECKS, "deletes-count", "ordinals-differ", "names-differ"),
        tuple(leftovers),
        tuple(foreign),
        tuple(path.name for path in abandoned(index.path)),
    )


def _strangers(index: Index) -> tuple[list[str], list[str]]:
    """As `orphans`, of a folder of shards too, whose own files are those of its shards and their list."""
    if not isinstance(index, ShardedIndex):
        return orphans(index.path, index.manifest)
    known = {*(shard.path.name for shard in index.shards), SHARDS_FILE, LOCK_FILE, SNAPSHOT_FILE}
    known |= {BESIDE} if (index.path / SNAPSHOT_FILE).exists() else set()
    found = sorted(p.name for p in index.path.iterdir() if p.name not in known)
    leftovers = [name for name in found if is_shard_name(name) or name == f"{SHARDS_FILE}.new"]
    foreign = [name for name in found if name not in leftovers]
    for shard in index.shards:
        ours, others = orphans(shard.path, shard.manifest)
        leftovers += [f"{shard.path.name}/{name}" for name in ours]
        foreign += [f"{shard.path.name}/{name}" for name in others]
    return leftovers, foreign


def _check_padding(index: Index, segment: Segment) -> None:
    ends = sorted(entry.offset + entry.bytes for entry in segment.sections.values()) or [HEADER.size]
    starts = sorted(entry.offset for entry in segment.sections.values())[1:]
    for end, start in zip(ends, [*starts, len(segment.data)], strict=True):
        if start - end > 128 or segment.data[end:start].any():
            raise refusal(segment, "bytes between sections are not zero", "padding-zero")


def _check_postings(index: Index, segment: Segment) -> None:
    """Lists ascend inside the segment; everything derived from them is what the builder would derive."""
    places = _Places(segment)
    for begin, end in pieces(segment.section("TREC")["df"], _CHUNK_POSTINGS):
        lists = read_lists(segment, begin, end)
        tables = describe(_as_postings(segment, lists), bounds=places.has_bounds, rules=places.rules)
        places.compare(begin, end, tables)
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
            raise refusal(self._segment, "a list's maximum is wrong", "list-max", "TREC")
        sparse = stored["cell_shift"] == SPARSE
        made["directory_start"] += np.where(sparse, self._at["WNID"], self._at["CELL"]).astype(np.uint32)
        dense_windows = ~sparse & (stored["num_windows"] == 0)
        if not (np.array_equal(stored["directory_start"], made["directory_start"]) and (sparse | dense_windows).all()):
            raise refusal(self._segment, "directories do not follow each other", "directories-adjoin", "TREC")
        for name, rule in (("bound_row", "bounds-rows"), ("bits_row", "bits-rows")):
            has = made[name] != NO_ROW
            made[name][has] += np.uint32(self._rows[name])
            if not np.array_equal(stored[name], made[name]):
                raise refusal(self._segment, f"{name} is not the one the list's length asks for", rule, "TREC")
            self._rows[name] += int(has.sum())
        tables.doco[:] += np.uint64(self._at["DOCB"])
        for name, at in self._at.items():
            flat = getattr(tables, name.lower()).reshape(-1)
            if not np.array_equal(self._segment.section(name)[at : at + len(flat)], flat):
                raise refusal(self._segment, f"section {name} does not follow from the postings", "derived", name)
            self._at[name] = at + len(flat)

    def finish(self) -> None:
        for name, at in self._at.items():
            if at != len(self._segment.section(name)):
                raise refusal(self._segment, f"section {name} is longer than its terms need", "section-size", name)


def _check_fields(index: Index, segment: Segment) -> None:
    if len(segment.section("FLDO")):
        if len(segment.section("FLDO")) != -(-segment.num_docs // GROUP) + 1:
            raise refusal(segment, "stored fields do not cover the documents", "fields-group", "FLDO")
        for group in range(-(-segment.num_docs // GROUP)):
            group_texts(segment, group)
    for name, kind in column_kinds(segment).items():
        read_column(segment, name)
        told = index.field_kinds.get(name)
        if told is None or common_kind((kind, told)) != told:
            raise refusal(
                segment, f"metadata field {name!r} is not of the kind the manifest says", "metadata-column", "META"
            )


def _check_name_hashes(index: Index, segment: Segment) -> None:
    """Names are found by their hashes."""
    check_names(segment)
    hashes, ids = segment.section("NAMH"), segment.section("NAMI")
    if not segment.names.present:
        return
    if (hashes[1:] < hashes[:-1]).any() or not np.array_equal(np.sort(ids), np.arange(len(ids))):
        raise refusal(segment, "hashes of names do not ascend, or miss a document", "name-hashes", "NAMH")
    if not np.array_equal(hash_names(segment.section("NAMB"), segment.section("NAMO"))[ids], hashes):
        raise refusal(segment, "hashes of names are wrong", "name-hashes", "NAMH")


def _check_names_differ(index: Index) -> None:
    """No live name twice in the whole index."""
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


_CHECKS: dict[str, Callable[[Index, Segment], None]] = {
    "section-crc": lambda index, segment: check_sections(segment),
    "padding-zero": _check_padding,
    "terms": check_terms,
    "postings": _check_postings,
    "documents": check_documents,
    "names": _check_name_hashes,
    "fields": _check_fields,
}
