"""Comparing the files of a snapshot with their checksums while their bytes pass on to where they are copied."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from indexer.errors import IndexFormatError
from indexer.format import files
from indexer.format.manifest import SegmentEntry
from indexer.format.segment import ENTRY, HEADER, LARGEST_HEAD, Section, parse_head

PIECE = 8 << 20
"""Bytes that are read, checked and written at a time."""

_Region = tuple[int, str | None, int]
"""(end, section or None for the zeros between sections, expected CRC-32)."""


class SegmentCheck:
    """A segment on its way: its head, then each section with its checksum, and the zeros between them.

    Parameters
    ----------
    path : of the segment, for messages.
    entry : what the manifest says of it.
    """

    def __init__(self, path: Path, entry: SegmentEntry) -> None:
        self._path, self._entry = path, entry
        self._head = bytearray()
        self._regions: list[_Region] = []
        self._at = self._crc = 0

    def feed(self, piece: Any) -> None:
        """The next bytes.

        Raises
        ------
        IndexFormatError : damage, with the section where it is in one.
        """
        view = memoryview(piece).cast("B")
        if not self._regions:
            room = min(LARGEST_HEAD, self._entry.bytes) - len(self._head)
            self._head += view[:room]
            view = view[room:]
            if len(self._head) < min(LARGEST_HEAD, self._entry.bytes):
                return
            self._begin(bytes(self._head))
            self._pass(memoryview(self._head))
        self._pass(view)

    def finish(self) -> None:
        """No more bytes come.

        Raises
        ------
        IndexFormatError : they are fewer than the manifest says.
        """
        if not self._regions or self._at != self._entry.bytes:
            raise self._refusal(f"shorter than the {self._entry.bytes} bytes its manifest names", "segment-length")

    def _begin(self, head: bytes) -> None:
        _, crc, sections = parse_head(head, self._entry.bytes, self._path)
        if crc != self._entry.header_crc32:
            raise self._refusal("not the one its manifest names", "segment-identity")
        self._regions = list(_regions(sections, self._entry.bytes))

    def _pass(self, view: memoryview) -> None:
        while True:
            end, name, expected = self._regions[0]
            part, view = view[: end - self._at], view[end - self._at :]
            if name is not None:
                self._crc = zlib.crc32(part, self._crc)
            elif self._at and any(part):
                raise self._refusal("bytes between sections are not zero", "padding-zero")
            self._at += len(part)
            if self._at < end:
                return
            if name is not None and self._crc != expected:
                raise self._refusal(f"section {name} is damaged (its checksum differs)", "section-crc", name)
            self._crc = 0
            if len(self._regions) == 1:
                if view:
                    raise self._refusal(f"longer than the {end} bytes its manifest names", "segment-length")
                return
            del self._regions[0]

    def _refusal(self, what: str, invariant: str, section: str | None = None) -> IndexFormatError:
        return IndexFormatError(
            f"segment '{self._path}': {what}; restore or rebuild it", section=section, invariant=invariant
        )


def _regions(sections: dict[str, Section], size: int) -> Iterator[_Region]:
    """What a segment consists of, in order; the first region is the head, which has a checksum of its own."""
    yield HEADER.size + ENTRY.size * len(sections), None, 0
    for name, entry in sections.items():
        yield entry.offset, None, 0
        yield entry.offset + entry.bytes, name, entry.crc32
    yield size, None, 0


class BytesCheck:
    """Any other file on its way: its number of bytes and their CRC-32.

    Parameters
    ----------
    path : for messages. size, crc32 : as they should be.
    """

    def __init__(self, path: Path, size: int, crc32: int) -> None:
        self._path, self._expected = path, (size, crc32)
        self._size = self._crc = 0

    def feed(self, piece: Any) -> None:
        """The next bytes."""
        self._size += len(piece)
        self._crc = zlib.crc32(piece, self._crc)

    def finish(self) -> None:
        """No more bytes come.

        Raises
        ------
        IndexFormatError : they are not those.
        """
        if (self._size, self._crc) != self._expected:
            raise IndexFormatError(
                f"'{self._path}' is damaged (its checksum differs); take another snapshot, or restore an older one",
                invariant="snapshot-crc",
            )


def checked(pieces: Iterable[Any], check: SegmentCheck | BytesCheck) -> Iterator[Any]:
    """The pieces as they are; the error comes before the end does."""
    for piece in pieces:
        check.feed(piece)
        yield piece
    check.finish()


def cut(data: Any) -> Iterator[memoryview]:
    """Bytes that are there, in pieces."""
    view = memoryview(data).cast("B") if len(data) else memoryview(b"")
    for at in range(0, len(view), PIECE):
        yield view[at : at + PIECE]


def written(path: Path, pieces: Iterable[Any]) -> None:
    """Pieces into a new file, durably."""
    at = 0
    with files.created(path) as descriptor:
        for piece in pieces:
            files.write(descriptor, piece, at)
            at += len(piece)
