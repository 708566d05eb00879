"""An opened segment: a segment's file, mapped, with the deletions its manifest names."""

from __future__ import annotations

import zlib
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.errors import IndexFormatError
from indexer.format import files
from indexer.format.manifest import SegmentEntry
from indexer.format.names import NameTable
from indexer.format.segment import SegmentFile
from indexer.format.stored import Column, read_column, read_fields

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
            found = self._doc_id_table.take(places, mode="clip").astype(np.int64)
            found[(places < 0) | (places >= len(self._doc_id_table))] = -1
            return found
        known, order = self._by_ordinal
        at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        return np.where(known[at] == wanted, order[at], -1)

    def docno(self, doc_id: int) -> str:
        """External name of a document."""
        return self.names.name(doc_id) if self.names.present else str(int(self.ordinals_of(np.array([doc_id]))[0]))

    def docnos(self, doc_ids: NDArray[Any]) -> list[str]:
        """External names of documents."""
        if self.names.present:
            return [self.names.name(doc_id) for doc_id in doc_ids.tolist()]
        return list(map(str, self.ordinals_of(doc_ids).tolist()))

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
