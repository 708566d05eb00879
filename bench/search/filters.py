"""Times filtered searches against the unfiltered one, over selectivities, and checks them.

    python -m bench.search.filters INDEX QUERIES.npz [--k 10 --k 1000] [--expression 'year>=2000'] [--json out.json]

Allowed sets are random documents, runs of neighbours in the index's own order (which is topical by default), and what the
expressions given allow. Figures are CPU milliseconds a query of one thread, the call from Python included, medians over
rounds of the mean; `x` is against the unfiltered search of the same k by `auto` in the same rounds: by the engines named
under the filter's bitmap, and by `auto` in the filter's view. `bitmap` is the time in milliseconds from the list or
expression to its bitmap, `view` that of making the view, and its megabytes; `pays after` is the number of queries of
`auto` after which it has saved what it cost. The first queries of each set are compared with the unfiltered ranking of
all documents, restricted to the set, both under the bitmap and in the view. `--repeat 1000` shows instead what many
searches under one filter cost when the view is made once they have taken as long as making it takes.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.vectors import load
from indexer import Index, SparseVectors
from sparseir.search.cpu import open_native
from sparseir.search.engines import open_engine
from sparseir.search.filters.views import PreparedFilter
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


def check(
    searcher: Searcher, queries: SparseVectors, k: int, allowed: NDArray[np.int64], ways: dict[str, PreparedFilter]
) -> None:
    """The answers to some queries are the restriction of the ranking of all documents."""
    inside = np.zeros(int(allowed.max()) + 1, bool)
    inside[allowed] = True
    for i in range(len(queries)):
        everything = searcher.search_terms(*queries.row(i), searcher.index.num_docs)
        ordinals = everything.ordinals[everything.ordinals >= 0]
        want = ordinals[(ordinals < len(inside)) & inside[np.minimum(ordinals, len(inside) - 1)]][:k]
        for name, prepared in ways.items():
            got = searcher.search_terms(*queries.row(i), k, filter=prepared).ordinals
            if not np.array_equal(got[: len(want)], want) or (got[len(want) :] >= 0).any():
                raise SystemExit(f"{name}, k={k}: query {i} differs from the restricted ranking")


def timed(searcher: Searcher, queries: SparseVectors, k: int, allowed: Any) -> float:
    """Mean CPU milliseconds a query."""
    start = time.thread_time()
    for i in range(len(queries)):
        searcher.search_terms(*queries.row(i), k, filter=allowed)
    return (time.thread_time() - start) / len(queries) * 1e3


def prepare(searcher: Searcher, filter: Any) -> tuple[PreparedFilter, PreparedFilter, dict[str, float]]:
    """(under its bitmap, in its view, what both took to make); the view is made twice, the second time in warm memory."""
    costs, start = {}, time.perf_counter()
    bitmap = searcher.prepare_filter(filter, view="never")
    costs["bitmap_ms"] = (time.perf_counter() - start) * 1e3
    for _ in range(2):
        start = time.perf_counter()
        view = searcher.prepare_filter(PreparedFilter(searcher.index, bitmap.bitmaps), view="now")
        costs["view_ms"] = (time.perf_counter() - start) * 1e3
    costs["view_mb"] = view.use.view_bytes / 1e6
    return bitmap, view, costs


def with_engine(searcher: Searcher, name: str) -> Searcher:
    """Another engine over the same state of the index, which can use the filters prepared for it."""
    engine = open_engine(name, searcher.index, open_native(searcher.index))
    return Searcher(searcher.index, engine, searcher.queries, searcher.filters)


def measure(searcher: Searcher, queries: SparseVectors, k: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """One line a set."""
    lines = []
    engines = options.engines.split(",")
    searchers = {name: with_engine(searcher, name) for name in engines} | {"auto": searcher}
    filters: dict[str, Any] = allowed_sets(searcher.index) | {text: text for text in options.expression}
    for name, given in filters.items():
        bitmap, view, costs = prepare(searcher, given)
        allowed = ordinals_of(searcher.index, bitmap.bitmaps)
        check(searcher, queries.slice(0, options.checked), k, allowed, {name: bitmap, f"view of {name}": view})
        ways = {
            "unfiltered": ("auto", None),
            **{engine: (engine, bitmap) for engine in engines},
            "view": ("auto", view),
        }
        rounds: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(options.rounds + 1):
            for way, (engine, filter) in ways.items():
                rounds[way].append(timed(searchers[engine], queries, k, filter))
        ms = {way: float(np.median(times[1:])) for way, times in rounds.items()}
        saved = ms[engines[0]] - ms["view"]
        costs["pays_after"] = costs["view_ms"] / saved if saved > 0 else float("inf")
        lines.append({"set": name, "k": k, "documents": len(allowed), "queries": len(queries), **costs, "cpu_ms": ms})
        figures = "  ".join(
            f"{way} {v:6.3f} (x{v / ms['unfiltered']:.2f})" for way, v in ms.items() if way != "unfiltered"
        )
        print(
            f"k={k:<5} {name:16} {len(allowed):7} unfiltered {ms['unfiltered']:6.3f}  {figures}  bitmap {costs['bitmap_ms']:.1f} ms, "
            f"view {costs['view_ms']:.0f} ms, {costs['view_mb']:.1f} MB, pays after {costs['pays_after']:.0f}",
            flush=True,
        )
    return lines


def repeat(searcher: Searcher, queries: SparseVectors, k: int, count: int) -> None:
    """Seconds of many searches under one filter: under its bitmap; with a view once it is earned, one by one and as a batch."""
    rows = [queries.slice(i % len(queries), i % len(queries) + 1) for i in range(count)]
    batch = SparseVectors.concatenate(rows)
    for name, given in allowed_sets(searcher.index).items():
        lasted, slowest = {}, 0.0
        for view in ("never", "auto"):
            prepared, begin = searcher.prepare_filter(given, view=view), time.perf_counter()
            for i in range(count):
                start = time.perf_counter()
                searcher.search_terms(*batch.row(i), k, filter=prepared)
                slowest = max(slowest, time.perf_counter() - start) if view == "auto" else 0.0
            lasted[view] = time.perf_counter() - begin
        begin = time.perf_counter()
        searcher.search_vectors(batch, k, filter=searcher.prepare_filter(given))
        lasted["batch"] = time.perf_counter() - begin
        print(
            f"k={k:<5} {name:16} {count} searches: bitmap {lasted['never']:.2f} s, view when earned {lasted['auto']:.2f} s "
            f"(after {prepared.use.searches}, slowest search {slowest * 1e3:.0f} ms), batch {lasted['batch']:.2f} s",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("queries", type=Path)
    parser.add_argument("--k", type=int, action="append")
    parser.add_argument("--expression", action="append", default=[], help="a filter to measure; may be repeated")
    parser.add_argument("--engines", default="auto,exhaustive,block_filter", help="under the bitmap")
    parser.add_argument("--num-queries", type=int, default=100)
    parser.add_argument("--checked", type=int, default=3, help="queries compared with the restricted ranking")
    parser.add_argument("--repeat", type=int, default=0, help="only time so many searches under each filter")
    parser.add_argument("--threads", type=int, default=1, help="threads that make a view; searches take one")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    searcher = Searcher.open(options.index, filter_memory=1.0, num_threads=options.threads)
    queries = load(options.queries)
    queries = queries.slice(0, min(options.num_queries, len(queries)))
    lines = []
    for k in options.k or [10, 1000]:
        if options.repeat:
            searcher.search_vectors(queries, k)  # warms up
            repeat(searcher, queries, k, options.repeat)
        else:
            lines += measure(searcher, queries, k, options)
    if options.json:
        options.json.write_text(json.dumps(lines, indent=1) + "\n")


if __name__ == "__main__":
    main()
