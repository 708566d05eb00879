"""CIFF's postings, in arrays: {docid gap, tf} messages of a few bytes each, far too many to take one by one.

Inside a posting list each posting is `22 LENGTH 08 GAP 10 TF`, where LENGTH, GAP and TF are varints; the two tags and
their lengths are varints too, so a run of postings is one long row of varints, six to a posting. That row is split
after each byte below 0x80, and checked. What has another form (fields in another order, left out or unknown) is read by
the generic reader.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from indexer.interchange.ciff.protobuf import Value, WireError, as_int, read_fields

POSTING_FIELD = 4
_POSTING_TAG, _GAP_TAG, _TF_TAG = 0x22, 0x08, 0x10
_PIECE = 1 << 19
_SHORT = 256
_LONGEST = 5  # bytes of a varint below 2**35: more than an int32 needs

Pair = tuple[NDArray[np.int64], NDArray[np.int64]]


def decode_postings(data: bytes, start: int) -> tuple[list[Pair], int]:
    """Gaps and tfs of the postings from `start` on, and where the regular ones end.

    Bytes from there on, if any, are left to the generic reader. Transient memory: about 30 bytes a byte of a piece of
    512 KiB.
    """
    pairs: list[Pair] = []
    first, start = _first_posting(data, start)
    if first is not None:
        pairs.append(first)
    while len(data) - start >= _SHORT:
        piece = _decode_piece(np.frombuffer(data, np.uint8, min(_PIECE, len(data) - start), start))
        if piece is None:
            break
        gaps, tfs, used = piece
        pairs.append((gaps, tfs))
        start += used
    return pairs, start


def _first_posting(data: bytes, start: int) -> tuple[Pair | None, int]:
    """The posting of document 0, whose gap of 0 is left out: `22 LENGTH 10 TF`, LENGTH at most 11."""
    if data[start : start + 1] != b"\x22" or data[start + 2 : start + 3] != b"\x10":
        return None, start
    end = start + 2 + data[start + 1]
    if data[start + 1] > 11 or end > len(data):
        return None, start
    try:
        gap, tf = parse_posting(data[start + 2 : end])
    except WireError:
        return None, start
    return (np.array([gap], np.int64), np.array([tf], np.int64)), end


def parse_posting(data: Value) -> tuple[int, int]:
    """(gap, tf) of one posting message, fields in any order; a field left out is 0.

    Raises
    ------
    WireError
    """
    if not isinstance(data, bytes):
        raise WireError("a posting is not a message")
    gap = tf = 0
    for field, _, value, _ in read_fields(data):
        if field == 1:
            gap = as_int(value, "a docid")
        elif field == 2:
            tf = as_int(value, "a tf")
    return gap, tf


def _decode_piece(raw: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64], int] | None:
    """(gaps, tfs, bytes used) of the whole postings a piece holds, or None where it does not look as it should."""
    ends = np.flatnonzero(raw < 0x80)
    count = len(ends) // 6
    if count == 0:
        return None
    ends = ends[: 6 * count]
    sizes = np.diff(ends, prepend=-1)
    if sizes.max() > _LONGEST:
        return None
    starts = ends - sizes + 1
    values = (raw[starts] & 0x7F).astype(np.int64)
    for j in range(1, int(sizes.max())):
        longer = np.flatnonzero(sizes > j)
        values[longer] |= (raw[starts[longer] + j] & 0x7F).astype(np.int64) << (7 * j)
    table, widths = values.reshape(-1, 6), sizes.reshape(-1, 6)
    regular = (table[:, 0] == _POSTING_TAG) & (table[:, 2] == _GAP_TAG) & (table[:, 4] == _TF_TAG)
    regular &= table[:, 1] == widths[:, 2:].sum(axis=1)
    if not regular.all():
        return None
    return table[:, 3].copy(), table[:, 5].copy(), int(ends[-1]) + 1


def _varint_sizes(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bytes each value takes, for 0 ≤ value < 2**35."""
    sizes = np.ones(len(values), np.int64)
    for shift in (7, 14, 21, 28):
        sizes += values >= 1 << shift
    return sizes


def encoded_size(gaps: NDArray[np.int64], tfs: NDArray[np.int64]) -> int:
    """Bytes `encode_postings` writes."""
    return int((4 + _varint_sizes(gaps) + _varint_sizes(tfs)).sum()) - 2 * int((gaps == 0).sum())


def encode_postings(gaps: NDArray[np.int64], tfs: NDArray[np.int64]) -> bytes:
    """Postings as fields of their list. A gap of 0 (the first posting, document 0) is left out, as proto3 does.

    Parameters
    ----------
    gaps, tfs : int64 (n,), 0 ≤ value < 2**31.
    """
    has_gap = gaps > 0
    gap_sizes = _varint_sizes(gaps) * has_gap
    tf_sizes = _varint_sizes(tfs)
    lengths = 1 + has_gap + gap_sizes + tf_sizes
    after = np.cumsum(2 + lengths)
    starts = after - 2 - lengths
    out = np.empty(int(after[-1]) if len(after) else 0, np.uint8)
    out[starts] = _POSTING_TAG
    out[starts + 1] = lengths
    out[(starts + 2)[has_gap]] = _GAP_TAG
    _scatter(out, (starts + 3)[has_gap], gaps[has_gap], gap_sizes[has_gap])
    tf_starts = after - tf_sizes
    out[tf_starts - 1] = _TF_TAG
    _scatter(out, tf_starts, tfs, tf_sizes)
    return out.tobytes()


def _scatter(
    out: NDArray[np.uint8], starts: NDArray[np.int64], values: NDArray[np.int64], sizes: NDArray[np.int64]
) -> None:
    """Write varints at given places."""
    for j in range(int(sizes.max(initial=0))):
        here = np.flatnonzero(sizes > j)
        low = (values[here] >> (7 * j)) & 0x7F
        out[starts[here] + j] = np.where(sizes[here] > j + 1, low | 0x80, low)
