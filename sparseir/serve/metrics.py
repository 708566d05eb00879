"""Counters of the service, and their Prometheus text."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterable
from pathlib import Path

from sparseir import __version__
from sparseir.serve.indexes import Catalogue

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """What was answered. Changed on the event loop alone, so that no lock is needed.

    Attributes
    ----------
    in_flight : requests being answered. writes : commits made for clients.
    """

    def __init__(self) -> None:
        self.started = time.time()
        self.in_flight = 0
        self.writes = 0
        self._requests: dict[tuple[str, str, int], int] = {}
        self._seconds: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def count(self, route: str, method: str, status: int, seconds: float) -> None:
        """Note one answer."""
        key = (route, method, status)
        self._requests[key] = self._requests.get(key, 0) + 1
        buckets = self._seconds.get(route)
        if buckets is None:
            buckets = self._seconds[route] = [0] * (len(_BUCKETS) + 1)
        buckets[bisect_left(_BUCKETS, seconds)] += 1
        self._sums[route] = self._sums.get(route, 0.0) + seconds

    @property
    def requests(self) -> int:
        """Answers so far."""
        return sum(self._requests.values())

    def text(self, catalogue: Catalogue) -> str:
        """The exposition format, version 0.0.4."""
        lines = [
            *_family("sparseir_info", "gauge", "Version.", [(f'{{version="{__version__}"}}', 1)]),
            *_family(
                "sparseir_requests_total",
                "counter",
                "Requests answered.",
                (
                    (f'{{route="{route}",method="{method}",status="{status}"}}', n)
                    for (route, method, status), n in sorted(self._requests.items())
                ),
            ),
            *self._durations(),
            *_family("sparseir_requests_in_flight", "gauge", "Requests being answered.", [("", self.in_flight)]),
            *_family("sparseir_writes_total", "counter", "Commits made for clients.", [("", self.writes)]),
            *_family("process_start_time_seconds", "gauge", "Unix time of the start.", [("", self.started)]),
            *_family("process_resident_memory_bytes", "gauge", "Memory held.", [("", resident_bytes())]),
        ]
        for name, help_text, value in (
            ("documents", "Documents that can be found.", lambda s: s.current.main.index.num_docs),
            ("generation", "Commit that answers.", lambda s: s.current.generation),
            ("segments", "Segments of that commit.", lambda s: len(s.current.main.index.segments)),
            ("reloads_total", "New commits taken.", lambda s: s.reloads),
            ("reload_failures_total", "New commits that could not be opened.", lambda s: s.failures),
        ):
            kind = "counter" if name.endswith("_total") else "gauge"
            samples = [(f'{{index="{_escaped(s.name)}"}}', value(s)) for s in catalogue.indexes.values()]
            lines += _family(f"sparseir_index_{name}", kind, help_text, samples)
        return "\n".join(lines) + "\n"

    def _durations(self) -> list[str]:
        name = "sparseir_request_seconds"
        lines = [f"# HELP {name} Time from a request to its answer.", f"# TYPE {name} histogram"]
        for route, buckets in sorted(self._seconds.items()):
            total = 0
            for bound, number in zip((*map(str, _BUCKETS), "+Inf"), buckets, strict=True):
                total += number
                lines.append(f'{name}_bucket{{route="{route}",le="{bound}"}} {total}')
            lines.append(f'{name}_sum{{route="{route}"}} {self._sums[route]:.6f}')
            lines.append(f'{name}_count{{route="{route}"}} {total}')
        return lines


def _family(name: str, kind: str, help_text: str, samples: Iterable[tuple[str, float]]) -> list[str]:
    return [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}", *(f"{name}{label} {n}" for label, n in samples)]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def resident_bytes() -> int:
    """Memory this process holds, mapped index pages included; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096
    except (OSError, ValueError, IndexError):
        return 0
