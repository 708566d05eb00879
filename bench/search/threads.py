"""Batches over threads: wall milliseconds a query with one thread and with several, taking turns. JSON on stdout.

    python -m bench.search.threads INDEX QUERIES.npz [--threads 2] [--k 10 --k 1000] [--rounds 5]

Let nothing else run. The answers of both are compared before anything is timed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np

from bench.vectors import load
from sparseir.search.searcher import Searcher


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("queries", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--k", type=int, action="append")
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    queries = load(chosen.queries)
    one, many = (Searcher.open(chosen.index, num_threads=n) for n in (1, chosen.threads))
    for k in chosen.k or [10, 1000]:
        same = np.array_equal(one.search_vectors(queries, k=k).ordinals, many.search_vectors(queries, k=k).ordinals)
        if not same:
            raise SystemExit(f"k = {k}: {chosen.threads} threads answer otherwise than one")
        times: dict[int, list[float]] = {1: [], chosen.threads: []}
        for _ in range(chosen.rounds):
            for count, searcher in ((1, one), (chosen.threads, many)):
                start = time.perf_counter()
                searcher.search_vectors(queries, k=k)
                times[count].append(1e3 * (time.perf_counter() - start) / len(queries))
        single, several = (statistics.median(times[n]) for n in (1, chosen.threads))
        row = {"k": k, "threads": chosen.threads, "one_ms": round(single, 3), "ms": round(several, 3)}
        print(json.dumps({**row, "speed_up": round(single / several, 2)}), flush=True)


if __name__ == "__main__":
    main()
