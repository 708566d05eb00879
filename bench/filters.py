"""Times filtered searches against the unfiltered one, over selectivities, and checks them.

    python bench/filters.py INDEX QUERIES.npz [--k 10 --k 1000] [--expression 'year>=2000'] [--json out.json]

Allowed sets are random documents, runs of neighbours in the index's own order (which is topical by default), and what the
expressions given allow. `made` is the time in milliseconds from the list or expression to its bitmap, once. The others are CPU milliseconds a query of one thread, the call from Python included, medians over rounds of the mean; `x` is against
the unfiltered search of the same k by `auto` in the same rounds. The first queries of each set are compared with the
unfiltered ranking of all documents, restricted to the set.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from engines import load_queries
from numpy.typing import NDArray

from indexer import Index, SparseVectors
from sparseir.search.searcher import Searcher

SHARES = (0.5, 0.1, 0.01, 0.001, 0.0001)
RUN = 2048
"""Documents of one run of neighbours, at most."""


def allowed_sets(index: Index, seed: int = 7) -> dict[str, NDArray[np.int64]]:
    """Ordinals by name of the set."""
    rng = np.random.default_rng(seed)
    ordinals = np.concatenate([segment.ordinals for segment in index.segments])
    sets = {}
    for share in SHARES:
        wanted = max(1, round(share * len(ordinals)))
        sets[f"random {share:.2%}"] = rng.permutation(ordinals)[:wanted]
        run = min(RUN, wanted)
        starts = rng.permutation(len(ordinals) // run)[: -(-wanted // run)] * run
        sets[f"runs {share:.2%}"] = ordinals[(starts[:, None] + np.arange(run)).reshape(-1)]
    return sets


def ordinals_of(index: Index, bitmaps: list[NDArray[np.uint64]]) -> NDArray[np.int64]:
    """Ordinals of the documents that bitmaps allow."""
    parts = [
        segment.ordinals[np.unpackbits(bitmap.view(np.uint8), count=segment.num_docs, bitorder="little").astype(bool)]
        for segment, bitmap in zip(index.segments, bitmaps, strict=True)
    ]
    return np.concatenate(parts)


def check(searcher: Searcher, queries: SparseVectors, k: int, name: str, allowed: NDArray[np.int64]) -> None:
    """Every engine's answers to some queries are the restriction of the ranking of all documents."""
    inside = np.zeros(int(allowed.max()) + 1, bool)
    inside[allowed] = True
    for i in range(len(queries)):
        everything = searcher.search_terms(*queries.row(i), searcher.index.num_docs)
        ordinals = everything.ordinals[everything.ordinals >= 0]
        want = ordinals[(ordinals < len(inside)) & inside[np.minimum(ordinals, len(inside) - 1)]][:k]
        got = searcher.search_terms(*queries.row(i), k, filter=allowed).ordinals
        if not np.array_equal(got[: len(want)], want) or (got[len(want) :] >= 0).any():
            raise SystemExit(f"{name}, k={k}: query {i} differs from the restricted ranking")


def timed(searcher: Searcher, queries: SparseVectors, k: int, allowed: Any) -> float:
    """Mean CPU milliseconds a query."""
    start = time.thread_time()
    for i in range(len(queries)):
        searcher.search_terms(*queries.row(i), k, filter=allowed)
    return (time.thread_time() - start) / len(queries) * 1e3


def measure(searcher: Searcher, queries: SparseVectors, k: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """One line a set and engine."""
    lines = []
    filters: dict[str, Any] = allowed_sets(searcher.index) | {text: text for text in options.expression}
    for name, given in filters.items():
        searcher.engine = "auto"
        start = time.perf_counter()
        prepared = searcher.prepare_filter(given)
        made = (time.perf_counter() - start) * 1e3
        allowed = ordinals_of(searcher.index, prepared.bitmaps)
        check(searcher, queries.slice(0, options.checked), k, name, allowed)
        rounds: dict[str, list[float]] = {"unfiltered": [], **{engine: [] for engine in options.engines.split(",")}}
        for _ in range(options.rounds + 1):
            for engine, times in rounds.items():
                searcher.engine = "auto" if engine == "unfiltered" else engine
                times.append(timed(searcher, queries, k, None if engine == "unfiltered" else prepared))
        ms = {engine: float(np.median(times[1:])) for engine, times in rounds.items()}
        counts = {"documents": len(allowed), "queries": len(queries)}
        lines.append({"set": name, "k": k, **counts, "made_ms": made, "cpu_ms": ms})
        figures = "  ".join(f"{e} {v:7.3f} (x{v / ms['unfiltered']:.2f})" for e, v in ms.items() if e != "unfiltered")
        print(
            f"k={k:<5} {name:16} {len(allowed):7} made {made:6.1f}  unfiltered {ms['unfiltered']:7.3f}  {figures}",
            flush=True,
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("queries", type=Path)
    parser.add_argument("--k", type=int, action="append")
    parser.add_argument("--expression", action="append", default=[], help="a filter to measure; may be repeated")
    parser.add_argument("--engines", default="auto,exhaustive,block_filter")
    parser.add_argument("--num-queries", type=int, default=100)
    parser.add_argument("--checked", type=int, default=3, help="queries compared with the restricted ranking")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    searcher = Searcher.open(options.index)
    queries = load_queries(options.queries)
    queries = queries.slice(0, min(options.num_queries, len(queries)))
    lines = []
    for k in options.k or [10, 1000]:
        lines += measure(searcher, queries, k, options)
    if options.json:
        options.json.write_text(json.dumps(lines, indent=1) + "\n")


if __name__ == "__main__":
    main()
