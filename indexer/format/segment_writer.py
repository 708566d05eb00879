"""Writing a segment: section by section into a file or into memory, the header last, so that a torn file has none."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.errors import DataError
from indexer.format import files
from indexer.format.layout import MAX_DOCS
from indexer.format.manifest import SegmentEntry
from indexer.format.segment import ALIGNMENT, DTYPES, ELEMENT, ENTRY, HEADER, Payload, SegmentHeader
from indexer.progress import Progress, silent

_CHUNK = 8 << 20


class SegmentWriter:
    """Lays sections out one after the other; the header comes last, so that a torn file has none.

    Parameters
    ----------
    write : puts bytes at an offset.
    num_docs : documents of the segment.
    num_sections : sections that will be written; their table comes before them.
    checksums : whether anybody will compare the sections with theirs.

    Raises
    ------
    DataError : more documents than a segment holds.
    """

    def __init__(
        self, write: Callable[[Any, int], None], num_docs: int, num_sections: int, *, checksums: bool = True
    ) -> None:
        if num_docs > MAX_DOCS:
            raise DataError(
                f"a segment holds at most {MAX_DOCS} documents, this one would hold {num_docs}; build the index from "
                "several parts with add_documents, and leave them uncompacted"
            )
        self._write, self._checksums = write, checksums
        self._table = bytearray()
        self._count = num_sections
        self._at = _aligned(HEADER.size + ENTRY.size * num_sections)

    def add(self, name: str, parts: Payload) -> None:
        """Write a section from one array, or from arrays that follow each other."""
        start, crc, element = self._at, 0, ELEMENT.get(name, DTYPES[name].itemsize)
        for part in [parts] if isinstance(parts, np.ndarray) else parts:
            if name == "FWGT":
                element = part.dtype.itemsize
            view = np.ascontiguousarray(part).reshape(-1).view(np.uint8).data
            for begin in range(0, len(view), _CHUNK):
                piece = view[begin : begin + _CHUNK]
                crc = zlib.crc32(piece, crc) if self._checksums else 0
                self._write(piece, self._at)
                self._at += len(piece)
        self._table += ENTRY.pack(name.encode(), element, start, self._at - start, crc, 0)
        self._at = _aligned(self._at) + ALIGNMENT

    def finish(self, header: SegmentHeader) -> tuple[int, int]:
        """Write header and table; (bytes of the segment, CRC-32 of its header)."""
        assert len(self._table) == self._count * ENTRY.size
        head, crc = header.pack(bytes(self._table), self._at)
        # The last byte fixes the length of a file: whatever padding was skipped reads as zeros.
        self._write(b"\0", self._at - 1)
        self._write(head, 0)
        return self._at, crc


def write_segment(
    path: Path,
    num_docs: int,
    sections: Mapping[str, Payload],
    header: Callable[[], SegmentHeader],
    *,
    durable: bool = True,
    progress: Progress = silent,
) -> SegmentEntry:
    """Write a segment file (the folder's entry is the caller's to sync); its line in the manifest, no clipped weights.

    Parameters
    ----------
    sections : in the order they are written.
    header : asked for when the sections are written, because a merge knows its counts only then.
    durable : False for a file that need not outlive a crash.

    Raises
    ------
    DataError : more documents than a segment holds; what a section finds while it is made.
    """
    descriptor = files.create(path)
    try:
        writer = SegmentWriter(partial(files.write, descriptor), num_docs, len(sections))
        for done, (name, payload) in enumerate(sections.items()):
            progress("writing", done, len(sections))
            writer.add(name, payload)
        counts = header()
        size, crc = writer.finish(counts)
        if durable:
            files.fsync(descriptor)
    finally:
        os.close(descriptor)
    progress("writing", len(sections), len(sections))
    return SegmentEntry(
        file=path.name,
        bytes=size,
        header_crc32=crc,
        num_docs=num_docs,
        num_postings=counts.num_postings,
        num_clipped=0,
    )


def segment_in_memory(header: SegmentHeader, sections: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
    """The bytes of a segment file, for searches of this process alone: sections have no checksums."""
    size = HEADER.size + ENTRY.size * len(sections) + sum(payload.nbytes for payload in sections.values())
    room = np.zeros(size + 2 * ALIGNMENT * (len(sections) + 2), np.uint8)
    data = room[-room.ctypes.data % ALIGNMENT :]  # aligned like the beginning of a mapped file

    def write(raw: Any, offset: int) -> None:
        data[offset : offset + len(raw)] = np.frombuffer(raw, np.uint8)

    writer = SegmentWriter(write, header.num_docs, len(sections), checksums=False)
    for name, payload in sections.items():
        writer.add(name, payload)
    return data[: writer.finish(header)[0]]


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT
