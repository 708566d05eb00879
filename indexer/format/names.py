"""External names of documents (docnos): packing them, finding one without reading all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.errors import DataError, IndexFormatError
from indexer.format.segment import SegmentFile
from indexer.native.hashes import hash_names

Sections = dict[str, NDArray[Any]]


def pack_names(docnos: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.uint64]]:
    """(UTF-8 bytes one after the other, offsets with the end).

    Raises
    ------
    DataError : a name that is no string, or that UTF-8 cannot hold.
    """
    try:
        joined = "".join(docnos)
        if joined.isascii():
            blob, lengths = joined.encode(), [len(name) for name in docnos]
        else:
            encoded = [name.encode() for name in docnos]
            blob, lengths = b"".join(encoded), [len(name) for name in encoded]
    except (TypeError, UnicodeEncodeError):
        for row, name in enumerate(docnos):
            if not isinstance(name, str):
                raise DataError(f"docno of row {row} is {name!r}; docnos must be strings") from None
            try:
                name.encode()
            except UnicodeEncodeError as error:
                raise DataError(f"docno of row {row} cannot be written as UTF-8 ({error})") from None
        raise
    offsets = np.zeros(len(docnos) + 1, np.uint64)
    np.cumsum(np.asarray(lengths, np.uint64), out=offsets[1:])
    return np.frombuffer(blob, np.uint8), offsets


def name_sections(docnos: Sequence[str], order: NDArray[np.uint32] | None) -> Sections:
    """NAMO, NAMB, NAMH and NAMI of documents given in input order, stored by doc_id.

    Raises
    ------
    DataError : a name given twice; the message holds both rows.
    """
    blob, offsets = pack_names(docnos)
    hashes = hash_names(blob, offsets)
    by_hash = np.argsort(hashes, kind="stable")
    refuse_duplicates(hashes[by_hash], by_hash, docnos.__getitem__, int)
    if order is not None:
        blob, offsets = permute_strings(blob, offsets, order)
        doc_of_row = np.empty(len(order), np.uint32)
        doc_of_row[order] = np.arange(len(order), dtype=np.uint32)
        ids = doc_of_row[by_hash]
    else:
        ids = by_hash.astype(np.uint32)
    return {"NAMO": offsets, "NAMB": blob, "NAMH": hashes[by_hash], "NAMI": ids}


def permute_strings(
    blob: NDArray[np.uint8], offsets: NDArray[np.uint64], order: NDArray[np.uint32]
) -> tuple[NDArray[np.uint8], NDArray[np.uint64]]:
    """The same strings, string order[i] at place i."""
    lengths = np.diff(offsets)[order]
    out = np.zeros(len(order) + 1, np.uint64)
    np.cumsum(lengths, out=out[1:])
    # Byte j of the new blob comes from its string's old start plus its distance from the new start.
    shift = offsets[:-1][order].astype(np.int64) - out[:-1].astype(np.int64)
    source = np.repeat(shift, lengths.astype(np.int64))
    source += np.arange(len(source))
    return blob[source], out


def refuse_duplicates(
    ordered: NDArray[np.uint64], ids: NDArray[Any], name: Callable[[int], str], row: Callable[[int], int]
) -> None:
    """Refuse a name that two documents have.

    Parameters
    ----------
    ordered : hashes of the names, ascending.
    ids : the document of each hash.
    name, row : of a document, asked for where two hashes are equal.

    Raises
    ------
    DataError : names both rows.
    """
    equal = np.flatnonzero(ordered[1:] == ordered[:-1])
    seen: dict[str, int] = {}
    for at in np.union1d(equal, equal + 1).tolist():
        document = int(ids[at])
        docno, here = name(document), row(document)
        first = seen.setdefault(docno, here)
        if first != here:
            rows = sorted((first, here))
            raise DataError(f"docno {docno!r} stands in row {rows[0]} and again in row {rows[1]}; docnos must differ")


class NameTable:
    """Names of one segment, read from the mapped file.

    A segment without names calls each document by its ordinal.
    """

    def __init__(self, segment: SegmentFile) -> None:
        self._offsets = segment.section("NAMO")
        self._blob = segment.section("NAMB")
        self._hashes = segment.section("NAMH")
        self._ids = segment.section("NAMI")
        # Single items of memory views are Python's own numbers, at a third of what those of arrays take.
        self._places, self._bytes = self._offsets.data, self._blob.data

    @property
    def present(self) -> bool:
        return len(self._offsets) > 0

    def name(self, doc_id: int) -> str:
        lo, hi = self._places[doc_id], self._places[doc_id + 1]
        if not 0 <= lo <= hi <= len(self._bytes):
            raise IndexFormatError(
                f"name of document {doc_id} lies outside its section", section="NAMO", invariant="name-place"
            )
        return str(self._bytes[lo:hi], "utf-8", "replace")

    def find(self, hashes: NDArray[np.uint64], names: Sequence[str]) -> NDArray[np.int64]:
        """doc_id of each name, -1 where it is not here; `hashes` are those of `hash_all`."""
        out = np.full(len(names), -1, np.int64)
        first = np.searchsorted(self._hashes, hashes)
        last = np.searchsorted(self._hashes, hashes, side="right")
        for i in np.flatnonzero(first < last).tolist():
            for at in range(int(first[i]), int(last[i])):
                doc_id = int(self._ids[at])
                if doc_id < len(self._offsets) - 1 and self.name(doc_id) == names[i]:
                    out[i] = doc_id
                    break
        return out


def hash_all(names: Sequence[str]) -> NDArray[np.uint64]:
    """64-bit hash of each name, as NAMH holds it."""
    return hash_names(*pack_names(names))
