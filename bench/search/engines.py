"""Times our own engines on an index, or on several of the same documents, interleaved, and checks that they agree.

    python -m bench.search.engines INDEX… QUERIES.npz [--k 10 --k 1000] [--engines auto,exhaustive] [--json out.json]

Figures are CPU milliseconds a query of one thread, the call from Python included: per engine the median over rounds of
the mean, and percentiles over queries of each query's best round.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.vectors import load
from indexer import SparseVectors
from indexer.native.engine import ENGINES
from sparseir.errors import ConfigError
from sparseir.search.searcher import Searcher


def time_round(searcher: Searcher, queries: SparseVectors, k: int) -> tuple[NDArray[np.float64], int]:
    """CPU seconds of each query, and a checksum of the hits."""
    seconds, checksum = np.zeros(len(queries)), 0
    for i in range(len(queries)):
        terms, weights = queries.row(i)
        start = time.thread_time()
        hits = searcher.search_terms(terms, weights, k)
        seconds[i] = time.thread_time() - start
        checksum = (31 * checksum + int(hits.ordinals.sum())) % 2**61
    return seconds, checksum


def open_all(paths: list[Path], engines: list[str]) -> list[Searcher]:
    """A searcher for each engine and index that has it: a compact index has no block filter."""
    found = []
    for engine in engines:
        for path in paths:
            with contextlib.suppress(ConfigError):
                found.append(Searcher.open(path, engine=engine))
    return found


def measure(searchers: list[Searcher], queries: SparseVectors, k: int, rounds: int) -> list[dict[str, Any]]:
    """One line a searcher; they take turns, and a first round warms up."""
    times: list[list[NDArray[np.float64]]] = [[] for _ in searchers]
    checksums = set()
    for _ in range(rounds + 1):
        for searcher, seconds_of in zip(searchers, times, strict=True):
            seconds, checksum = time_round(searcher, queries, k)
            seconds_of.append(seconds)
            checksums.add(checksum)
    if len(checksums) > 1:
        raise SystemExit(f"engines disagree at k = {k}")
    lines = []
    for searcher, seconds_of in zip(searchers, times, strict=True):
        ms = np.array(seconds_of[1:]) * 1e3
        best = ms.min(axis=0)
        lines.append(
            {
                "engine": searcher.engine.name,
                "index": searcher.index.path.name,
                "k": k,
                "cpu_ms": float(np.median(ms.mean(axis=1))),
                "p50_ms": float(np.percentile(best, 50)),
                "p99_ms": float(np.percentile(best, 99)),
                "queries": len(queries),
            }
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path, nargs="+")
    parser.add_argument("queries", type=Path)
    parser.add_argument("--k", type=int, action="append")
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--limit", type=int, default=200, help="queries used")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    searchers = open_all(options.index, options.engines.split(","))
    queries = load(options.queries)
    queries = queries.slice(0, min(options.limit, len(queries)))
    lines = []
    for k in options.k or [10, 1000]:
        lines += measure(searchers, queries, k, options.rounds)
    for line in lines:
        print(
            "k={k:<6} {index:20} {engine:15} cpu {cpu_ms:8.3f} ms   p50 {p50_ms:8.3f}   p99 {p99_ms:8.3f}".format(
                **line
            )
        )
    if options.json:
        options.json.write_text(json.dumps(lines, indent=1) + "\n")


if __name__ == "__main__":
    main()
