"""What stays on the device, in what order windows are scored, and in how many waves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparseir.errors import ConfigError

SAMPLE_SHARE = 64
FIRST_WAVE_SHARE = 8
_RESERVE = 256 << 20
"""A resident layout must leave at least this for the queries, or an eighth of the memory if that is less."""


def reserved(memory: int) -> int:
    """Bytes of `memory` that no layout takes."""
    return min(memory // 8, _RESERVE)


def share_memory(sizes: Sequence[int], memory: int) -> list[int]:
    """What each segment's backend may take of the device, its own layout included.

    Segments are searched one after another, so layouts add up and working memory does not. If they do not fit together,
    the smallest are kept on the device, up to half of the memory, and the others are streamed through the rest.
    """
    total = sum(sizes)
    if total <= memory - reserved(memory):
        return [memory - (total - size) for size in sizes]
    kept, stays = 0, [False] * len(sizes)
    for i in sorted(range(len(sizes)), key=lambda i: sizes[i]):
        if kept + sizes[i] <= memory // 2:
            kept, stays[i] = kept + sizes[i], True
    rest = memory - kept
    return [size + rest // 4 if stay else rest for size, stay in zip(sizes, stays, strict=True)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Waves:
    """Ranges of the spread order.

    Parameters
    ----------
    sample : windows scored first only to raise the thresholds; 0 for none.
    emit : (first, count) of each wave that emits candidates; together every window once.
    """

    sample: int
    emit: tuple[tuple[int, int], ...]


def spread_order(num_windows: int) -> NDArray[np.uint32]:
    """A permutation whose every prefix is spread over the collection: multiples of a step near the golden section.

    Neighbouring documents are alike after reordering, so a sample must not be one stretch.
    """
    if num_windows < 3:
        return np.arange(num_windows, dtype=np.uint32)
    step = round(num_windows * 0.6180339887)
    while math.gcd(step, num_windows) != 1:
        step += 1
    return (np.arange(num_windows, dtype=np.uint64) * np.uint64(step) % np.uint64(num_windows)).astype(np.uint32)


def plan_groups(window_bytes: NDArray[np.int64], limit: int) -> list[tuple[int, int]]:
    """(first, one above the last) window of each group: consecutive windows of at most `limit` bytes together.

    Raises
    ------
    ConfigError : one window alone is larger.
    """
    ends = np.cumsum(window_bytes)
    groups, first = [], 0
    while first < len(ends):
        before = int(ends[first - 1]) if first else 0
        stop = int(np.searchsorted(ends, before + limit, side="right"))
        if stop == first:
            raise ConfigError(
                f"a window of this segment takes {int(window_bytes[first])} bytes on the device and {max(0, limit)} are left for "
                "one; raise --gpu-memory, choose a smaller window_shift, or search on the CPU"
            )
        groups.append((first, stop))
        first = stop
    return groups or [(0, 0)]


def plan_waves(num_windows: int, window_docs: int, k: int, capacity: int) -> Waves:
    """A sample of 1/64 of the windows, then 1/8 of them, then the rest, the thresholds rising in between.

    With windows alike, a threshold from the share f lets k/f documents of the whole through: 64·k/8 = 8·k candidates in the
    first wave and 8·k·7/8 = 7·k in the second, well below 32·k. A collection that fits the buffer needs no sample.
    """
    if num_windows * window_docs <= capacity:
        return Waves(sample=0, emit=((0, num_windows),))
    sample = max(-(-num_windows // SAMPLE_SHARE), -(-8 * k // window_docs))
    if sample * 2 > num_windows:
        sample = 0
    first = max(sample, -(-num_windows // FIRST_WAVE_SHARE))
    rest = num_windows - first
    return Waves(sample=sample, emit=((0, first), (first, rest)) if rest else ((0, first),))
