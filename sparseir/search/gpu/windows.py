"""In what order windows are scored, and in how many waves."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLE_SHARE = 64
FIRST_WAVE_SHARE = 8


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
