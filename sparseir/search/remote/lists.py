"""The answer of a shard to a search: a list of hits for each query, as bytes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sparseir.search.remote.client import ShardError


def read_lists(raw: bytes, rows: int) -> list[tuple[NDArray[np.int64], NDArray[np.uint32]]]:
    """Ordinals and integer scores of each query, as `write_lists` wrote them.

    Raises
    ------
    ShardError : the answer was cut off.
    """
    counts = np.frombuffer(raw, "<u4", min(rows, len(raw) // 4))
    total = int(counts.sum())
    if len(raw) != 4 * rows + 12 * total:
        raise ShardError("a shard's answer was cut off; ask again")
    ordinals = np.frombuffer(raw, "<i8", total, 4 * rows)
    scores = np.frombuffer(raw, "<u4", total, 4 * rows + 8 * total)
    ends = np.cumsum(counts)
    return [(ordinals[e - n : e], scores[e - n : e]) for n, e in zip(counts.tolist(), ends.tolist(), strict=True)]


def write_lists(lists: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]) -> bytes:
    """uint32 lengths, then int64 ordinals, then uint32 scores of all lists, little endian."""
    ordinals = [np.zeros(0, np.int64), *(found for found, _ in lists)]
    scores = [np.zeros(0, np.int64), *(integers for _, integers in lists)]
    parts = (
        np.array([len(found) for found, _ in lists], "<u4"),
        np.concatenate(ordinals).astype("<i8"),
        np.concatenate(scores).astype("<u4"),
    )
    return b"".join(part.tobytes() for part in parts)
