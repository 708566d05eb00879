"""Times our own engines on an index, or on several of the same documents, interleaved, and checks that they agree.

    python bench/engines.py INDEX… QUERIES.npz [--k 10 --k 1000] [--engines auto,exhaustive] [--json out.json]

Figures are CPU milliseconds a query of one thread, the call from Python included: per engine the median over rounds of
the mean, and percentiles over queries of each query's best round.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer import SparseVectors
from indexer.native.engine import ENGINES
from sparseir.errors import ConfigError
from sparseir.search.searcher import Searcher


def load_queries(path: Path) -> SparseVectors:
    """Rows of a scipy CSR .npz."""
    with np.load(path) as arrays:
        shape = arrays["shape"]
        return SparseVectors.from_arrays(arrays["indptr"], arrays["indices"], arrays["data"], int(shape[1]))


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


def measure(
    searchers: list[Searcher], queries: SparseVectors, k: int, engines: list[str], rounds: int
) -> list[dict[str, Any]]:
    """One line an engine and index that has it; they take turns, and a first round warms up."""
    times: dict[tuple[str, int], list[NDArray[np.float64]]] = {}
    checksums = set()
    for _ in range(rounds + 1):
        for engine in engines:
            for number, searcher in enumerate(searchers):
                try:
                    searcher.engine = engine
                except ConfigError:  # a compact index has no maxima of blocks
                    continue
                seconds, checksum = time_round(searcher, queries, k)
                times.setdefault((engine, number), []).append(seconds)
                checksums.add(checksum)
    if len(checksums) > 1:
        raise SystemExit(f"engines disagree at k = {k}")
    lines = []
    for (engine, number), seconds_of in times.items():
        ms = np.array(seconds_of[1:]) * 1e3
        best = ms.min(axis=0)
        lines.append(
            {
                "engine": engine,
                "index": searchers[number].index.path.name,
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
    searchers = [Searcher.open(path) for path in options.index]
    queries = load_queries(options.queries)
    queries = queries.slice(0, min(options.limit, len(queries)))
    lines = []
    for k in options.k or [10, 1000]:
        lines += measure(searchers, queries, k, options.engines.split(","), options.rounds)
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
