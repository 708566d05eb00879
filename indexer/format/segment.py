"""Segment files: the header, the section table, and mapping one."""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.errors import IndexFormatError
from indexer.format import files
from indexer.format.layout import BLOCK_SHIFT, MAX_DOCS, RULES_OF_FLAGS, TERM_RECORD, LayoutRules
from indexer.native.header import FORMAT_VERSION

MAGIC = b"SPIRSEG\0"
ALIGNMENT = 64
HEADER = struct.Struct("<8sIIQIIQQIIII")
ENTRY = struct.Struct("<4sIQQII")
_MAX_SECTIONS = 64
LARGEST_HEAD = HEADER.size + _MAX_SECTIONS * ENTRY.size
"""Bytes of header and section table, at most."""

Payload = NDArray[Any] | Iterable[NDArray[Any]]
"""What a section is written from: one array, or arrays that follow each other, made as they are needed."""

DTYPES: dict[str, np.dtype[Any]] = {
    "TERM": np.dtype("<u4"),
    "TREC": TERM_RECORD,
    "DOCS": np.dtype("<u2"),
    "DOCO": np.dtype("<u8"),
    "DOCB": np.dtype("<u8"),
    "IMPA": np.dtype("u1"),
    "CELL": np.dtype("<u4"),
    "WNID": np.dtype("<u2"),
    "WNST": np.dtype("<u4"),
    "LADD": np.dtype("u1"),
    "BMAX": np.dtype("u1"),
    "BLEV": np.dtype("u1"),
    "SMAX": np.dtype("u1"),
    "BITS": np.dtype("<u8"),
    "ORDN": np.dtype("<u4"),
    "BORD": np.dtype("<u4"),
    "NAMO": np.dtype("<u8"),
    "NAMB": np.dtype("u1"),
    "NAMH": np.dtype("<u8"),
    "NAMI": np.dtype("<u4"),
    "FWGT": np.dtype("<f4"),
    "FLDB": np.dtype("u1"),
    "FLDO": np.dtype("<u8"),
    "META": np.dtype("u1"),
}
"""Type of each section's values, in the order they are written."""

ELEMENT = {"BMAX": 32}
"""Element sizes in the section table that are not those of the values."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentHeader:
    """The fixed part of a segment file."""

    num_docs: int
    num_terms: int
    num_postings: int
    ordinal_base: int
    flags: int = 0

    @property
    def rules(self) -> LayoutRules:
        """Those of its layout."""
        return RULES_OF_FLAGS[self.flags]

    def pack(self, table: bytes, length: int) -> tuple[bytes, int]:
        """(header and section table, CRC-32 of both) of a segment of `length` bytes."""
        fixed = HEADER.pack(
            *(MAGIC, FORMAT_VERSION, len(table) // ENTRY.size, length, self.num_docs, self.num_terms),
            *(self.num_postings, self.ordinal_base, BLOCK_SHIFT, self.flags, 0, 0),
        )[:60]
        crc = zlib.crc32(table, zlib.crc32(fixed))
        return fixed + struct.pack("<I", crc) + table, crc


@dataclass(frozen=True, slots=True)
class Section:
    """One line of the section table."""

    element: int
    offset: int
    bytes: int
    crc32: int


class SegmentFile:
    """A mapped segment file: header checked, payload not.

    Parameters
    ----------
    path : the file.

    Attributes
    ----------
    data : uint8, the whole file, read-only; keeps the map alive.
    header : its counts.
    header_crc32 : the checksum that the manifest repeats.
    sections : its table, by name.

    Raises
    ------
    IndexFormatError
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        head, self._mapped = _open(path)
        self.data = np.frombuffer(self._mapped, np.uint8)
        self.header, self.header_crc32, self.sections = parse_head(head, len(self.data), path)

    def read_dictionary_ahead(self) -> None:
        """Ask the system for the pages that opening for search goes through, so that they come in one read."""
        for name in ("TERM", "TREC"):
            if name in self.sections:
                entry = self.sections[name]
                start = entry.offset // mmap.PAGESIZE * mmap.PAGESIZE
                self._mapped.madvise(mmap.MADV_WILLNEED, start, entry.offset + entry.bytes - start)

    def section(self, name: str) -> NDArray[Any]:
        """Read-only view of a section in its element type; empty where the segment has none."""
        entry = self.sections.get(name)
        if entry is None:
            return np.zeros(0, DTYPES[name])
        raw = self.data[entry.offset : entry.offset + entry.bytes]
        if name == "FWGT":
            return raw.view(np.dtype(f"<f{entry.element}"))
        return raw.view(DTYPES[name])


def _open(path: Path) -> tuple[bytes, mmap.mmap]:
    """(its first bytes, the whole file mapped). They are read because touching a map may read megabytes around them."""
    with os.fdopen(files.open_regular(path), "rb", buffering=0) as file:
        head = file.read(LARGEST_HEAD)
        if not head:
            raise IndexFormatError(f"segment '{path}' is empty; restore or rebuild", invariant="segment-length")
        return head, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def parse_head(head: bytes, size: int, path: Path) -> tuple[SegmentHeader, int, dict[str, Section]]:
    """(header, its CRC-32, section table by ascending offset) of a segment of `size` bytes, from its first ones.

    Raises
    ------
    IndexFormatError
    """

    def refuse(what: str, invariant: str, section: str | None = None) -> IndexFormatError:
        return IndexFormatError(
            f"segment '{path}': {what}; restore or rebuild it", section=section, invariant=invariant
        )

    if len(head) < HEADER.size or head[:8] != MAGIC:
        raise refuse("not a segment file", "segment-magic")
    _magic, version, count, length, docs, terms, postings, base, shift, flags, _, crc = HEADER.unpack_from(head)
    if version != FORMAT_VERSION:
        raise refuse(f"format version {version}, this build reads {FORMAT_VERSION}", "segment-version")
    if length != size:
        raise refuse(f"{size} bytes long, its header says {length}", "segment-length")
    end = HEADER.size + count * ENTRY.size
    if count > _MAX_SECTIONS or end > length or zlib.crc32(head[64:end], zlib.crc32(head[:60])) != crc:
        raise refuse("damaged header (its checksum differs)", "segment-header-crc")
    header = SegmentHeader(num_docs=docs, num_terms=terms, num_postings=postings, ordinal_base=base, flags=flags)
    sections: dict[str, Section] = {}
    free = end
    for i in range(count):
        raw, element, offset, size, section_crc, _ = ENTRY.unpack_from(head, HEADER.size + i * ENTRY.size)
        name = raw.decode("ascii", "replace")
        if offset % ALIGNMENT or offset < free or size > length or offset + size + ALIGNMENT > length:
            raise refuse(f"section {name} lies outside the file or over another", "section-place", name)
        if element == 0 or size % element or name in sections:
            raise refuse(f"section {name} has a broken size or stands there twice", "section-size", name)
        sections[name] = Section(element, offset, size, section_crc)
        free = offset + size
    _check_sizes(header, shift, sections, refuse)
    return header, crc, sections


def _check_sizes(header: SegmentHeader, shift: int, sections: dict[str, Section], refuse: Any) -> None:
    """Sizes that follow from the header's counts; optional sections may also be absent."""
    n, t, p = header.num_docs, header.num_terms, header.num_postings
    if header.flags not in RULES_OF_FLAGS:
        raise refuse(f"flags {header.flags:#x} ask for what this build does not know", "segment-flags")
    if n > MAX_DOCS or shift != BLOCK_SHIFT or header.ordinal_base >= 2**62:
        raise refuse("counts out of range", "segment-counts")
    required = {"TERM": 4 * t, "TREC": 32 * t, "LADD": 16 * t, "IMPA": p}
    required |= {"DOCS": 0, "DOCO": 8 * t} if header.rules.packed else {"DOCS": 2 * p, "DOCO": 0, "DOCB": 0}
    required |= {} if header.rules.has_blocks else {"BMAX": 0, "BLEV": 0}
    optional = {"ORDN": 4 * n, "BORD": 4 * (-(-n >> BLOCK_SHIFT)), "NAMO": 8 * (n + 1), "NAMH": 8 * n, "NAMI": 4 * n}
    for name, size in {**required, **optional}.items():
        have = sections[name].bytes if name in sections else 0
        if have != size and not (name in optional and have == 0):
            raise refuse(f"section {name} holds {have} bytes, {size} expected", "section-size", name)
    weights = sections.get("FWGT")
    if weights is not None and weights.bytes not in (0, p * weights.element):
        raise refuse(f"section FWGT holds {weights.bytes} bytes for {p} postings", "section-size", "FWGT")
    for group in (("NAMO", "NAMH", "NAMI"), ("ORDN", "BORD")):
        if n and len({name in sections and sections[name].bytes > 0 for name in group}) > 1:
            raise refuse(f"of sections {', '.join(group)} some are missing", "section-size", group[0])
    for name, entry in sections.items():
        known = DTYPES.get(name)
        good = (
            (2, 4)
            if name == "FWGT"
            else (ELEMENT.get(name, known.itemsize),)
            if known is not None
            else (entry.element,)
        )
        if entry.element not in good:
            raise refuse(f"section {name} has elements of {entry.element} bytes", "section-element", name)
