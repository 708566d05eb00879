"""The document side of a merge: ordinals, names, stored fields and metadata of the merged documents, made in pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from indexer.errors import DataError, IndexFormatError
from indexer.format.kinds import DTYPES, common_kind, element_kind, is_list
from indexer.format.names import pack_names, refuse_duplicates
from indexer.format.segment import Payload
from indexer.format.stored import (
    GROUP,
    Column,
    column_kinds,
    group_texts,
    pack_columns,
    packed_fields,
    read_column,
)
from indexer.format.term_lists import ranges
from indexer.inversion.segment_write import ordinal_sections, relative_ordinals
from indexer.merge.postings import MergeSource
from indexer.merge.spools import SectionSpools
from indexer.native.builder import DROPPED
from indexer.native.hashes import hash_names

_CHUNK = 1 << 16


class MergedDocuments:
    """Where each merged document comes from, and its sections.

    Parameters
    ----------
    sources : segments with the new doc_id of each document; every new doc_id 0..num_docs-1 occurs once.
    num_docs : merged documents.

    Attributes
    ----------
    ordinals : int64 (num_docs,), ordinal of each new doc_id.
    ordinal_base : the smallest of them.
    """

    def __init__(self, sources: Sequence[MergeSource], num_docs: int) -> None:
        placed = sum(int(np.count_nonzero(source.doc_ids != DROPPED)) for source in sources)
        if placed != num_docs:  # what is not placed would be whatever the memory held
            raise ValueError(f"{placed} documents were to be merged into a segment of {num_docs}")
        self._sources = sources
        self._where = np.empty(num_docs, np.uint32)
        self._old = np.empty(num_docs, np.uint32)
        self.ordinals = np.empty(num_docs, np.int64)
        for number, source in enumerate(sources):
            kept = np.flatnonzero(source.doc_ids != DROPPED)
            new = source.doc_ids[kept]
            self._where[new], self._old[new] = number, kept
            relative = source.segment.section("ORDN")
            base = source.segment.header.ordinal_base
            self.ordinals[new] = base + (relative[kept].astype(np.int64) if len(relative) else kept)
        self.ordinal_base, self._relative = relative_ordinals(self.ordinals)

    def sections(self, spools: SectionSpools) -> dict[str, Payload]:
        """All document sections, those of names and fields made while they are written; `spools` stay open until then."""
        out: dict[str, Payload] = {**ordinal_sections(self._relative)}
        if any(len(s.segment.section("NAMO")) for s in self._sources):
            out |= self._names()
        if any(len(s.segment.section("FLDO")) for s in self._sources):
            out |= packed_fields(self._fields(spools))
        return out | pack_columns(self._columns())

    def _names(self) -> dict[str, Payload]:
        lengths = np.empty(len(self._old), np.uint64)
        hashes = np.empty(len(self._old), np.uint64)

        def blob() -> Iterator[NDArray[np.uint8]]:
            for begin in range(0, len(self._old), _CHUNK):
                piece, offsets = self._name_chunk(begin, min(begin + _CHUNK, len(self._old)))
                lengths[begin : begin + _CHUNK] = np.diff(offsets)
                hashes[begin : begin + _CHUNK] = hash_names(piece, offsets)
                yield piece

        def offsets() -> Iterator[NDArray[np.uint64]]:
            yield np.concatenate([[0], np.cumsum(lengths)]).astype(np.uint64)

        def sorted_hashes() -> Iterator[NDArray[np.uint64]]:
            self._by_hash = np.argsort(hashes, kind="stable").astype(np.uint32)
            ordered = hashes[self._by_hash]
            refuse_duplicates(ordered, self._by_hash, self._name, lambda doc_id: int(self.ordinals[doc_id]))
            yield ordered

        def ids() -> Iterator[NDArray[np.uint32]]:
            yield self._by_hash

        return {"NAMB": blob(), "NAMO": offsets(), "NAMH": sorted_hashes(), "NAMI": ids()}

    def _name_chunk(self, begin: int, end: int) -> tuple[NDArray[np.uint8], NDArray[np.uint64]]:
        """Names of new doc_ids begin..end: (bytes, offsets)."""
        where, old = self._where[begin:end], self._old[begin:end].astype(np.int64)
        lengths = np.empty(end - begin, np.int64)
        parts = []
        for number in np.unique(where).tolist():
            here = np.flatnonzero(where == number)
            segment = self._sources[number].segment
            starts, blob = segment.section("NAMO"), segment.section("NAMB")
            if len(starts):
                first = starts[old[here]].astype(np.int64)
                lengths[here] = starts[old[here] + 1].astype(np.int64) - first
            else:
                blob, made = pack_names([str(n) for n in self.ordinals[begin:end][here].tolist()])
                first = made[:-1].astype(np.int64)
                lengths[here] = np.diff(made).astype(np.int64)
            if (lengths[here] < 0).any() or (first < 0).any() or (first + lengths[here] > len(blob)).any():
                raise IndexFormatError(
                    f"segment '{segment.path}': a name lies outside its section; restore or rebuild it",
                    section="NAMO",
                    invariant="name-place",
                )
            parts.append((here, blob, first))
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.uint64)
        out = np.empty(int(offsets[-1]), np.uint8)
        for here, blob, first in parts:
            out[ranges(offsets[here].astype(np.int64), lengths[here])] = blob[ranges(first, lengths[here])]
        return out, offsets

    def _name(self, doc_id: int) -> str:
        piece, _ = self._name_chunk(doc_id, doc_id + 1)
        return piece.tobytes().decode()

    def _fields(self, spools: SectionSpools) -> Iterator[str]:
        """JSON of each document's fields. Sources are unpacked once, in their order, and spooled: in the new order every
        document would unpack a group of its own."""
        ends = np.zeros(len(self._old) + 1, np.int64)  # of the documents as they are spooled
        place = np.empty(len(self._old), np.int64)  # of each new doc_id among them
        done = 0
        for source in self._sources:
            for first in range(0, len(source.doc_ids), GROUP):
                rows = group_texts(source.segment, first // GROUP) or [b"{}"] * GROUP
                new_ids = source.doc_ids[first : first + GROUP].tolist()
                texts = [pair for pair in zip(new_ids, rows, strict=False) if pair[0] != DROPPED]
                if not texts:
                    continue
                spools.append("fields", np.frombuffer(b"".join(text for _, text in texts), np.uint8))
                for new, text in texts:
                    place[new] = done
                    ends[done + 1] = ends[done] + len(text)
                    done += 1
        spooled = spools.map("fields", np.dtype(np.uint8))
        for at in place.tolist():
            yield spooled[int(ends[at]) : int(ends[at + 1])].tobytes().decode()

    def _columns(self) -> dict[str, Column]:
        names: dict[str, set[str]] = {}
        for source in self._sources:
            for name, kind in column_kinds(source.segment).items():
                names.setdefault(name, set()).add(kind)
        return {name: self._column(name, kinds) for name, kinds in names.items()}

    def _column(self, name: str, kinds: set[str]) -> Column:
        """One column over all sources, of the kind that holds the values of all."""
        kind = common_kind(kinds)
        if kind is None:
            raise DataError(f"metadata field {name!r} is {' here and '.join(sorted(kinds))} there; expected one kind")
        found = [read_column(source.segment, name) for source in self._sources]
        categories = tuple(sorted({c for column in found if column is not None for c in column.categories}))
        valid = np.zeros(len(self._old), bool)
        offsets = self._list_offsets(found) if is_list(kind) else None
        size = len(self._old) if offsets is None else int(offsets[-1])
        values = np.zeros(size, DTYPES[element_kind(kind)])
        place = {c: i for i, c in enumerate(categories)}
        for number, column in enumerate(found):
            if column is None:
                continue
            new = np.flatnonzero(self._where == number)
            old = self._old[new].astype(np.int64)
            valid[new] = column.valid[old]
            given = column.values
            if offsets is not None:
                given, starts = column.as_lists()
                lengths = starts[old + 1] - starts[old]
                new, old = ranges(offsets[new], lengths), ranges(starts[old], lengths)
            if categories:
                code = np.array([place[c] for c in column.categories] or [0], "<u4")
                values[new] = code[np.minimum(given[old], len(code) - 1)]
            else:
                values[new] = given[old]
        return Column(kind, values, valid, categories, offsets)

    def _list_offsets(self, found: Sequence[Column | None]) -> NDArray[np.int64]:
        """Where the list of each document begins, and the end of the last."""
        lengths = np.zeros(len(self._old), np.int64)
        for number, column in enumerate(found):
            if column is not None:
                here = self._where == number
                lengths[here] = np.diff(column.as_lists()[1])[self._old[here]]
        return np.concatenate([[0], np.cumsum(lengths)])
