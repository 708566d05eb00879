"""An opened index: one committed state, mapped, unchanged for as long as it is held."""

from __future__ import annotations

import importlib
import re
import zlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.errors import IndexFormatError
from indexer.format import files
from indexer.format.manifest import EncoderEntry, Manifest, SegmentEntry, read_manifest
from indexer.format.names import NameTable, hash_all
from indexer.format.query_side import QueryFiles
from indexer.format.segment import SegmentFile
from indexer.format.shard_list import is_sharded
from indexer.format.stored import Column, read_column, read_fields

_ATTEMPTS = 5
_SPREAD = 4
"""Ordinals a document, up to which a table of all is kept: 16 bytes a document at worst."""


class Segment(SegmentFile):
    """One segment of an opened index.

    Attributes
    ----------
    entry : what the manifest says of it.
    deleted : uint8 bitmap by doc_id, lowest bit first, padded with zero bytes to a multiple of 8; None without deletions.
    """

    def __init__(self, folder: Path, entry: SegmentEntry) -> None:
        super().__init__(folder / entry.file)
        self.entry = entry
        if self.header_crc32 != entry.header_crc32 or self.header.num_docs != entry.num_docs:
            raise IndexFormatError(
                f"segment '{self.path}' is not the one its manifest names; restore or rebuild",
                invariant="segment-identity",
            )
        self.deleted = _read_deletes(folder, entry)
        self.names = NameTable(self)
        self._columns: dict[str, Column | None] = {}

    @property
    def num_docs(self) -> int:
        """Documents stored, deleted ones included."""
        return self.header.num_docs

    @property
    def num_deleted(self) -> int:
        return self.entry.deletes.count if self.entry.deletes else 0

    @cached_property
    def ordinals(self) -> NDArray[np.int64]:
        """int64 (num_docs,): ordinal of each doc_id."""
        return self.ordinals_of(np.arange(self.num_docs))

    def ordinals_of(self, doc_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Ordinal of some doc_ids."""
        relative = self.section("ORDN")
        inside = relative[doc_ids].astype(np.int64) if len(relative) else np.asarray(doc_ids, np.int64)
        return inside + self.header.ordinal_base

    @cached_property
    def ordinal_range(self) -> tuple[int, int]:
        """(smallest ordinal, one above the largest); (0, 0) without documents."""
        relative = self.section("ORDN")
        if self.num_docs == 0:
            return 0, 0
        low, high = (int(relative.min()), int(relative.max())) if len(relative) else (0, self.num_docs - 1)
        return low + self.header.ordinal_base, high + self.header.ordinal_base + 1

    def is_live(self, doc_ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """bool: which of these doc_ids are not deleted."""
        if self.deleted is None:
            return np.ones(len(doc_ids), bool)
        return self.deleted[doc_ids >> 3] >> (doc_ids & 7).astype(np.uint8) & 1 == 0

    @cached_property
    def live(self) -> NDArray[np.bool_]:
        """bool (num_docs,): which doc_ids are not deleted."""
        if self.deleted is None:
            return np.ones(self.num_docs, bool)
        return ~np.unpackbits(self.deleted, count=self.num_docs, bitorder="little").astype(bool)

    @cached_property
    def _by_ordinal(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        order = np.argsort(self.ordinals, kind="stable")
        return self.ordinals[order], order

    @cached_property
    def _doc_id_table(self) -> NDArray[np.int32] | None:
        """doc_id by ordinal from the smallest on, -1 in gaps; None where ordinals lie too far apart for a table."""
        low, high = self.ordinal_range
        if high - low > _SPREAD * self.num_docs:
            return None
        table = np.full(high - low, -1, np.int32)
        table[self.ordinals - low] = np.arange(self.num_docs, dtype=np.int32)
        return table

    def doc_ids(self, ordinals: NDArray[np.int64]) -> NDArray[np.int64]:
        """int64: doc_id of each ordinal, -1 where it is not here; deleted documents are found too."""
        wanted = np.asarray(ordinals, np.int64)
        if len(self.section("ORDN")) == 0:
            ids = wanted - self.header.ordinal_base
            return np.where((ids >= 0) & (ids < self.num_docs), ids, -1)
        if self._doc_id_table is not None:
            places = wanted - self.ordinal_range[0]
            inside = (places >= 0) & (places < len(self._doc_id_table))
            return np.where(inside, self._doc_id_table[np.where(inside, places, 0)], np.int64(-1))
        known, order = self._by_ordinal
        at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        return np.where(known[at] == wanted, order[at], -1)

    def docno(self, doc_id: int) -> str:
        """External name of a document."""
        return self.names.name(doc_id) if self.names.present else str(int(self.ordinals_of(np.array([doc_id]))[0]))

    def column(self, name: str) -> Column | None:
        """A metadata column by doc_id, or None where this segment lacks it; read at the first use."""
        if name not in self._columns:
            self._columns[name] = read_column(self, name)
        return self._columns[name]

    def fields(self, doc_id: int) -> dict[str, Any]:
        """Stored fields of a document."""
        return read_fields(self, doc_id)


def _read_deletes(folder: Path, entry: SegmentEntry) -> NDArray[np.uint8] | None:
    if entry.deletes is None:
        return None
    path = folder / entry.deletes.file
    size = -(-entry.num_docs // 64) * 8
    raw = np.frombuffer(files.read_regular(path, size + 1), np.uint8)
    if len(raw) != size or zlib.crc32(raw.data) != entry.deletes.crc32:
        raise IndexFormatError(f"deletions '{path}' are damaged; restore the file or rebuild", invariant="deletes-crc")
    bits = int.from_bytes(raw.data, "little")
    if bits.bit_count() != entry.deletes.count or bits.bit_length() > entry.num_docs:
        raise IndexFormatError(
            f"deletions '{path}' are not the {entry.deletes.count} of {entry.num_docs} documents that the manifest counts; "
            "restore the index or rebuild",
            invariant="deletes-count",
        )
    return raw


class Index:
    """A snapshot of an index: segments mapped, manifest read. Later commits do not touch it; `refresh` opens them.

    Attributes
    ----------
    path : the folder.
    manifest : the committed state.
    segments : tuple of Segment, by ascending ordinals of their first documents.
    notes : sentences for a person about how it was built, e.g. an order that could not be made.
    query_files : the files of the encoder's query side, or None.
    """

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        segments: tuple[Segment, ...],
        notes: tuple[str, ...] = (),
        query_files: QueryFiles | None = None,
    ) -> None:
        self.path = path
        self.manifest = manifest
        self.segments = segments
        self.notes = notes
        self.query_files = query_files

    def __repr__(self) -> str:
        return f"Index({str(self.path)!r}, num_docs={self.num_docs}, num_terms={self.num_terms}, generation={self.generation})"

    def __len__(self) -> int:
        return self.num_docs

    @property
    def num_docs(self) -> int:
        """Documents that can be found: stored and not deleted."""
        return sum(s.num_docs - s.num_deleted for s in self.segments)

    @property
    def num_stored(self) -> int:
        """Documents stored, deleted ones included until they are compacted away."""
        return sum(s.num_docs for s in self.segments)

    def document_frequencies(self, term_ids: Sequence[int]) -> list[int]:
        """Of each of term_ids, the stored documents that hold it, deleted ones included."""
        wanted, total = np.asarray(term_ids, np.uint32), np.zeros(len(term_ids), np.int64)
        for segment in self.segments:
            terms = segment.section("TERM")
            places = np.minimum(np.searchsorted(terms, wanted), max(0, len(terms) - 1))
            here = np.flatnonzero(terms[places] == wanted) if len(terms) else np.zeros(0, np.int64)
            total[here] += segment.section("TREC")["df"][places[here]]
        return total.tolist()

    @property
    def num_postings(self) -> int:
        """Postings stored, those of deleted documents included."""
        return sum(s.header.num_postings for s in self.segments)

    @property
    def num_terms(self) -> int:
        """Size of the vocabulary."""
        return self.manifest.num_terms

    @property
    def doc_scale(self) -> float:
        """Weight of one impact step; 1.0 while the index has never held a weight."""
        return 1.0 if self.manifest.doc_scale is None else self.manifest.doc_scale

    @property
    def generation(self) -> int:
        """Number of the commit, from 1 on."""
        return self.manifest.generation

    @property
    def encoder(self) -> EncoderEntry | None:
        """The model its vectors come from, as far as the builder said."""
        return self.manifest.encoder

    @property
    def query_side(self) -> Path | None:
        """Folder of the encoder's query side, or None.

        A commit that adds terms replaces it. Their ids follow those of this snapshot, so the newer one serves it too.
        """
        if self.manifest.query_side is None:
            return None
        folder = self.path / self.manifest.query_side
        if not folder.is_dir():
            newest = read_manifest(self.path)
            if newest.query_side and newest.created == self.manifest.created:
                return self.path / newest.query_side
        return folder

    def refresh(self) -> Index:
        """The newest committed state; this very object when nothing was committed since."""
        return self if read_manifest(self.path).generation == self.generation else open_index(self.path)

    def locate(self, ordinals: Sequence[int] | NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(segment number, doc_id) of each of the ordinals, -1 and -1 where no live document has it."""
        wanted = np.asarray(ordinals, np.int64).reshape(-1)
        where, ids = np.full(len(wanted), -1, np.int64), np.full(len(wanted), -1, np.int64)
        for number, segment in enumerate(self.segments):
            found = segment.doc_ids(wanted)
            here = found >= 0
            here[here] = segment.is_live(found[here])
            where[here], ids[here] = number, found[here]
        return where, ids

    def docnos(self, ordinals: Sequence[int] | NDArray[np.int64]) -> list[str | None]:
        """External name of each of the ordinals; None where no live document has it."""
        where, ids = self.locate(ordinals)
        return [None if s < 0 else self.segments[s].docno(d) for s, d in zip(where.tolist(), ids.tolist(), strict=True)]

    def ordinals(self, docnos: Sequence[str]) -> NDArray[np.int64]:
        """Ordinal of each of the docnos; -1 where no live document has it."""
        out = np.full(len(docnos), -1, np.int64)
        hashes = hash_all(docnos)
        numbers: NDArray[np.int64] | None = None
        for segment in self.segments:
            if segment.names.present:
                ids = segment.names.find(hashes, docnos)
            else:
                numbers = _as_ordinals(docnos) if numbers is None else numbers
                ids = segment.doc_ids(numbers)
            here = np.flatnonzero(ids >= 0)
            here = here[segment.is_live(ids[here])]
            out[here] = segment.ordinals_of(ids[here])
        return out

    def fields(self, ordinals: Sequence[int] | NDArray[np.int64]) -> list[dict[str, Any]]:
        """Stored fields of each of the ordinals; empty where there are none."""
        where, ids = self.locate(ordinals)
        return [{} if s < 0 else self.segments[s].fields(d) for s, d in zip(where.tolist(), ids.tolist(), strict=True)]

    @property
    def field_kinds(self) -> Mapping[str, str]:
        """Name and kind ("int", "float", "bool", "str", or "list[…]" of one) of every metadata column filters can use."""
        return self.manifest.fields


_ORDINAL = re.compile(r"0|[1-9]\d{0,17}", re.ASCII)


def _as_ordinals(names: Sequence[str]) -> NDArray[np.int64]:
    """The ordinal each name spells in decimal, -1 where it spells none: names in a segment that stores none."""
    return np.array([int(n) if _ORDINAL.fullmatch(n) else -1 for n in names], np.int64)


def open_index(path: str | Path, *, notes: tuple[str, ...] = ()) -> Index:
    """Open the last committed state of an index. Reads the manifest, headers and deletions; maps the rest.

    A folder of shards is opened as the one index they are.

    Parameters
    ----------
    path : the folder. notes : what the index has to say of how it was built.

    Raises
    ------
    IndexFormatError : no index there, another version, damage in what opening reads. Payloads are not read:
        `verify_index` does that.
    """
    folder = Path(path)
    if is_sharded(folder):
        # Loaded when it is needed, as it opens each shard by this function.
        opened: Index = importlib.import_module("indexer.shards").open_sharded(folder)
        return opened
    for attempt in range(_ATTEMPTS):
        manifest = read_manifest(folder)
        try:
            segments = tuple(Segment(folder, entry) for entry in manifest.segments)
            side = QueryFiles(folder / manifest.query_side) if manifest.query_side else None
            # A folder that a writer was emptying meanwhile shows some of its files.
            if side is None or read_manifest(folder).query_side == manifest.query_side:
                return Index(folder, manifest, segments, notes, side)
        except FileNotFoundError as error:
            # A writer may have committed and removed files between the two reads; the new manifest then names others.
            if attempt == _ATTEMPTS - 1 or read_manifest(folder).generation == manifest.generation:
                raise IndexFormatError(
                    f"index '{folder}' lacks the file '{error.filename}' its manifest names; restore or rebuild",
                    invariant="files-present",
                ) from None
    raise IndexFormatError(f"index '{folder}' was replaced {_ATTEMPTS} times while it was opened; open it again")
