"""Build figures: time, memory, size and update latency of an index. JSON on stdout.

    python -m bench.indexing.build DOCS.npz --index DIR [--order auto] [--layout standard] [--threads 2] [--memory-budget MB] [--stream] [--updates]

With a memory budget or --stream the input is streamed from the file and reading it is part of the time; otherwise it is
loaded first and the build timed alone. bench.indexing.index runs this for every figure of an index.
Memory is sampled from /proc: anonymous bytes are what a budget promises, file-backed pages can be dropped at any time.
"""

from __future__ import annotations

import argparse
import json
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.memory import memory
from bench.vectors import load
from indexer import IndexConfig, SparseVectors, add_documents, build_index, delete_documents, open_index
from indexer.interchange import open_vectors


class PeakMemory:
    """Largest anonymous and total resident memory while it is entered, sampled every 20 ms."""

    def __enter__(self) -> PeakMemory:
        self.anonymous = self.resident = 0
        self.before = memory("RssAnon")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def _sample(self) -> None:
        while not self._stop.wait(0.02):
            self.anonymous = max(self.anonymous, memory("RssAnon"))
            self.resident = max(self.resident, memory("VmRSS"))

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def timed(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, {"seconds": round(time.perf_counter() - wall, 3), "cpu_seconds": round(time.process_time() - cpu, 3)}


def median_ms(work: Callable[[int], Any], rounds: int) -> float:
    times = []
    for i in range(rounds):
        start = time.perf_counter()
        work(i)
        times.append(time.perf_counter() - start)
    return round(1000 * float(np.median(times)), 2)


def updates(path: Path, sample: SparseVectors) -> dict[str, float]:
    """Latency of opening, adding 1,000 documents (searchable and durable) and deleting one."""
    return {
        "open_ms": median_ms(lambda i: open_index(path), 15),
        "add_1000_ms": median_ms(lambda i: open_index(path) and add_documents(path, sample), 7),
        "delete_1_ms": median_ms(lambda i: delete_documents(path, ordinals=[i]), 7),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--order", default="auto")
    parser.add_argument("--layout", default="standard")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory-budget", type=int, default=0, help="megabytes; 0: none")
    parser.add_argument("--stream", action="store_true", help="read the input in batches, without a budget as well")
    parser.add_argument("--updates", action="store_true")
    chosen = parser.parse_args()
    shutil.rmtree(chosen.index, ignore_errors=True)
    source: Any = open_vectors(chosen.vectors) if chosen.memory_budget or chosen.stream else load(chosen.vectors)
    with PeakMemory() as peak:
        index, took = timed(
            lambda: build_index(
                chosen.index,
                source,
                config=IndexConfig(order=chosen.order, layout=chosen.layout),
                num_threads=chosen.threads,
                memory_budget=chosen.memory_budget << 20,
            )
        )
    sections = {name: entry.bytes for name, entry in index.segments[0].sections.items()}
    size = sum(s.entry.bytes for s in index.segments)
    report: dict[str, Any] = {
        "vectors": chosen.vectors.name,
        "order": chosen.order,
        "layout": chosen.layout,
        "threads": chosen.threads,
        "budget_mb": chosen.memory_budget,
        "streamed": bool(chosen.memory_budget or chosen.stream),
        "documents": index.num_docs,
        "postings": index.num_postings,
        "build": took,
        "anonymous_mb_before": peak.before >> 20,
        "anonymous_mb_peak": peak.anonymous >> 20,
        "anonymous_over_index": round((peak.anonymous - peak.before) / size, 2),
        "bytes": size,
        "bytes_per_posting": round(size / index.num_postings, 3),
        "bytes_per_posting_by_section": {n: round(b / index.num_postings, 4) for n, b in sections.items()},
    }
    if chosen.updates:
        sample = (
            source.slice(0, 1000) if isinstance(source, SparseVectors) else next(iter(source)).vectors.slice(0, 1000)
        )
        report["updates"] = updates(chosen.index, sample)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
