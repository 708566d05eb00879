"""Latency of single queries."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np


def latencies(search: Callable[[str], object], texts: Sequence[str], *, at_most: int = 1000) -> tuple[float, float]:
    """(p50, p95) in milliseconds of one call after another, after one warm-up pass over a tenth of the texts."""
    texts = texts[:at_most]
    for text in texts[: max(1, len(texts) // 10)]:
        search(text)
    times = []
    for text in texts:
        start = time.perf_counter()
        search(text)
        times.append(time.perf_counter() - start)
    p50, p95 = np.percentile(times, [50, 95]) * 1e3
    return float(p50), float(p95)
