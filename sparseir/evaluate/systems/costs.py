"""What answering queries costs: latency, processor time, memory."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

_Asked = TypeVar("_Asked")

LATENCY_K = 10
"""Hits that a query asks for while latency is measured."""


@dataclass(frozen=True, slots=True)
class QueryCosts:
    """Of single queries, text to hits, one after another.

    p50_ms, p95_ms, p99_ms : milliseconds of wall-clock time. query_cpu_ms : mean processor time of all threads.
    memory_bytes : largest resident set of the process meanwhile, with all that it holds beside the system.
    """

    p50_ms: float
    p95_ms: float
    p99_ms: float
    query_cpu_ms: float
    memory_bytes: int


def query_costs(search: Callable[[_Asked], object], texts: Sequence[_Asked], *, at_most: int = 1000) -> QueryCosts:
    """Costs of one call after another, after a warm-up pass over a tenth of the texts, or of whatever is asked for."""
    texts = texts[:at_most]
    for text in texts[: max(1, len(texts) // 10)]:
        search(text)
    _forget_peak()
    times = []
    cpu = time.process_time()
    for text in texts:
        start = time.perf_counter()
        search(text)
        times.append(time.perf_counter() - start)
    cpu = time.process_time() - cpu
    p50, p95, p99 = (np.percentile(times, [50, 95, 99]) * 1e3).tolist()
    return QueryCosts(p50, p95, p99, 1e3 * cpu / len(texts), _peak_bytes())


def _forget_peak() -> None:
    """Start the kernel's record of the largest resident set anew, where it lets us."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _peak_bytes() -> int:
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
