"""Segment bytes in plain numpy, written from docs/index-format.md alone: an independent builder.

Tests build with it where they want a segment without the index half, and compare the production builder with it.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np

NO_ROW = 0xFFFFFFFF
TERM_RECORD = np.dtype(
    [
        ("postings_start", "<u8"),
        ("df", "<u4"),
        ("directory_start", "<u4"),
        ("bound_row", "<u4"),
        ("num_windows", "<u4"),
        ("cell_shift", "u1"),
        ("list_max", "u1"),
        ("reserved", "u1", 2),
        ("bits_row", "<u4"),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Which terms get which structure. The defaults are the format's; tests force rows onto small collections."""

    bounds_over: int = 192  # a bound row when df > N / bounds_over
    bits_over: int = 32  # a bitmap when df > N / bits_over
    rows_from: int = 2048  # ... and N > rows_from
    flags: int = 0  # 1: packed doc_ids, 2: no maxima of blocks
    smallest_cell: int = 5  # log2 of the documents of a cell
    mean_cell: int = 32  # postings of a cell, on average at most


def packed_rules(**other):
    """Rules of the packed layout."""
    return Rules(flags=1, bits_over=16, bounds_over=176, smallest_cell=8, mean_cell=128, **other)


def compact_rules(**other):
    """Rules of the compact layout."""
    return Rules(flags=3, bits_over=16, smallest_cell=8, mean_cell=128, **other)


def invert(indptr, term_ids, impacts, order):
    """(terms, starts, doc_ids, impacts) by term, then doc_id; doc_id i is row order[i]."""
    indptr = np.asarray(indptr, np.int64)
    position = np.empty(len(order), np.int64)
    position[order] = np.arange(len(order))
    doc_of = np.repeat(position, np.diff(indptr))
    by = np.lexsort((doc_of, term_ids))
    terms, starts = np.unique(np.asarray(term_ids)[by], return_index=True)
    return terms.astype(np.uint32), np.append(starts, len(by)), doc_of[by], np.asarray(impacts, np.uint8)[by]


def cell_shift(num_docs, df, rules):
    """255 for a sparse directory, else the largest up to 16 with no more postings a cell on average than the rules say."""
    windows = -(-num_docs // 65536)
    if df < 16 * windows:
        return 255
    for shift in range(16, rules.smallest_cell, -1):
        if df <= rules.mean_cell * -(-num_docs // (1 << shift)):
            return shift
    return rules.smallest_cell


def ladder(impacts):
    best = np.sort(impacts)[::-1]
    out = np.zeros(16, np.uint8)
    for step in range(15):
        if 2**step <= len(best):
            out[step] = best[2**step - 1]
    return out


def choose_levels(maxima):
    """16 ascending levels: 0, then evenly spaced from the smallest to the largest maximum, rounded up."""
    low, high = int(maxima.min()), int(maxima.max())
    return np.array([0] + [low + -(-(high - low) * step // 14) for step in range(15)], np.uint8)


def bound_row(docs, impacts, num_blocks, num_supers):
    """(nibbles (S, 32), levels (16,), superblock maxima (S,)) of one term."""
    block = docs >> 5
    first = np.flatnonzero(np.concatenate([[True], block[1:] != block[:-1]]))
    maxima = np.zeros(num_supers * 64, np.uint8)
    maxima[block[first]] = np.maximum.reduceat(impacts, first)
    levels = choose_levels(maxima[maxima > 0])
    nibble = np.searchsorted(levels[1:], maxima, side="left").astype(np.uint8) + 1
    nibble[maxima == 0] = 0
    grid = nibble.reshape(num_supers, 64)
    return grid[:, :32] | (grid[:, 32:] << 4), levels, maxima.reshape(num_supers, 64).max(axis=1)


def bitmap(docs, num_docs):
    bits = np.zeros(-(-num_docs // 64) * 64, np.uint8)
    bits[docs] = 1
    return np.packbits(bits, bitorder="little").view("<u8")


def packed_docs(docs, num_docs, sparse):
    """Words of DOCB for one term: 16 bits a posting, or bucket heights in unary and the lowest byte of each doc_id."""
    if sparse:
        raw = (docs & 0xFFFF).astype("<u2").tobytes()
        return np.frombuffer(raw + bytes(-len(raw) % 8), "<u8")
    heights = np.bincount(docs >> 8, minlength=-(-num_docs // 256))
    bits = np.concatenate([np.append(np.ones(n, np.uint8), np.uint8(0)) for n in heights])
    raw = np.packbits(bits, bitorder="little").tobytes()
    lows = (docs & 0xFF).astype("u1").tobytes()
    return np.frombuffer(raw + bytes(-len(raw) % 8) + lows + bytes(-len(lows) % 8), "<u8")


class _Tables:
    """Grows the per-term sections."""

    def __init__(self, num_docs, rules):
        self.num_docs, self.rules = num_docs, rules
        self.num_blocks = -(-num_docs // 32)
        self.num_supers = -(-self.num_blocks // 64)
        self.cells, self.window_ids, self.window_starts, self.ladders = [], [], [], []
        self.num_cells = self.num_windows = 0
        self.block_max, self.levels, self.super_max, self.bits = [], [], [], []
        self.packed, self.packed_offsets, self.num_words = [], [], 0

    def directory(self, docs, record):
        shift = cell_shift(self.num_docs, len(docs), self.rules)
        record["cell_shift"] = shift
        if shift == 255:
            windows, starts = np.unique(docs >> 16, return_index=True)
            record["directory_start"], record["num_windows"] = self.num_windows, len(windows)
            self.num_windows += len(windows)
            self.window_ids.append(windows.astype("<u2"))
            self.window_starts.append(starts.astype("<u4"))
            return
        borders = np.arange(-(-self.num_docs // (1 << shift)) + 1, dtype=np.int64) << shift
        record["directory_start"] = self.num_cells
        self.num_cells += len(borders)
        self.cells.append(np.searchsorted(docs, borders).astype("<u4"))

    def add(self, docs, impacts, record):
        self.directory(docs, record)
        self.ladders.append(ladder(impacts))
        record["list_max"] = impacts.max()
        record["bound_row"] = record["bits_row"] = NO_ROW
        if self.num_docs > self.rules.rows_from and len(docs) * self.rules.bounds_over > self.num_docs:
            record["bound_row"] = len(self.levels)
            for store, row in zip(
                (self.block_max, self.levels, self.super_max),
                bound_row(docs, impacts, self.num_blocks, self.num_supers),
                strict=True,
            ):
                store.append(row)
        if (
            self.num_docs > self.rules.rows_from
            and record["cell_shift"] != 255
            and len(docs) * self.rules.bits_over > self.num_docs
        ):
            record["bits_row"] = len(self.bits)
            self.bits.append(bitmap(docs, self.num_docs))
        if self.rules.flags & 1:
            self.packed_offsets.append(np.array([self.num_words]))
            if record["bits_row"] == NO_ROW:
                self.packed.append(packed_docs(docs, self.num_docs, record["cell_shift"] == 255))
                self.num_words += len(self.packed[-1])


def _joined(arrays, dtype):
    return np.concatenate([np.ravel(a) for a in arrays]).astype(dtype) if arrays else np.zeros(0, dtype)


def assemble(header, sections, flags=0):
    """File bytes from the header's numbers, [(name, element bytes, payload)] and flags."""
    offset = (64 + 32 * len(sections) + 63) // 64 * 64
    table, payloads = b"", b""
    for name, element, payload in sections:
        table += struct.pack("<4sIQQII", name.encode(), element, offset, len(payload), zlib.crc32(payload), 0)
        padding = -len(payload) % 64 + 64
        payloads += payload + bytes(padding)
        offset += len(payload) + padding
    lead = 64 + len(table)
    head = struct.pack("<8sIIQIIQQIII", b"SPIRSEG\0", 1, len(sections), offset, *header, 5, flags, 0)
    head += struct.pack("<I", zlib.crc32(table, zlib.crc32(head)))
    return head + table + bytes(-lead % 64) + payloads


def build_segment(indptr, term_ids, impacts, *, order=None, ordinals=None, ordinal_base=0, rules=None):
    """Bytes of one segment.

    Parameters
    ----------
    indptr, term_ids, impacts : documents as CSR, input order; impacts 1..255.
    order : order[doc_id] = row; None: as given.
    ordinals : u32 per row, relative to ordinal_base; None: the row number.
    """
    num_docs = len(indptr) - 1
    rows = np.arange(num_docs) if order is None else np.asarray(order, np.int64)
    terms, starts, docs, values = invert(indptr, term_ids, impacts, rows)
    tables = _Tables(num_docs, rules or Rules())
    records = np.zeros(len(terms), TERM_RECORD)
    for i in range(len(terms)):
        lo, hi = int(starts[i]), int(starts[i + 1])
        records[i]["postings_start"], records[i]["df"] = lo, hi - lo
        tables.add(docs[lo:hi], values[lo:hi], records[i])
    sections = [
        ("TERM", 4, terms.astype("<u4")),
        ("TREC", 32, records),
        ("DOCS", 2, (docs & 0xFFFF).astype("<u2")),
        ("IMPA", 1, values),
        ("CELL", 4, _joined(tables.cells, "<u4")),
        ("WNID", 2, _joined(tables.window_ids, "<u2")),
        ("WNST", 4, _joined(tables.window_starts, "<u4")),
        ("LADD", 1, _joined(tables.ladders, "u1")),
        ("BMAX", 32, _joined(tables.block_max, "u1")),
        ("BLEV", 1, _joined(tables.levels, "u1")),
        ("SMAX", 1, _joined(tables.super_max, "u1")),
        ("BITS", 8, _joined(tables.bits, "<u8")),
    ]
    if ordinals is not None or order is not None:
        numbers = (np.arange(num_docs) if ordinals is None else np.asarray(ordinals))[rows]
        smallest = np.minimum.reduceat(numbers, np.arange(0, num_docs, 32)) if num_docs else numbers
        sections += [("ORDN", 4, numbers.astype("<u4")), ("BORD", 4, smallest.astype("<u4"))]
    flags = tables.rules.flags
    left_out = (("DOCS",) if flags & 1 else ()) + (("BMAX", "BLEV") if flags & 2 else ())
    sections = [s for s in sections if s[0] not in left_out]
    if flags & 1:
        sections.append(("DOCO", 8, _joined(tables.packed_offsets, "<u8")))
        sections.append(("DOCB", 8, _joined(tables.packed, "<u8")))
    header = (num_docs, len(terms), len(docs), ordinal_base)
    payloads = [(name, size, array.tobytes()) for name, size, array in sections]
    return assemble(header, payloads, flags=flags)
