"""What sharding costs: CPU milliseconds a query of one index and of its shards, taking turns. JSON on stdout.

    sparseir index build one --vectors DOCUMENTS.npz
    sparseir index build parts --vectors DOCUMENTS.npz --shards 8
    python -m bench.search.shards one parts QUERIES.npz [--k 10 --k 1000] [--rounds 5] [--apart]

The answers of both are compared, ordinals and scores, before anything is timed. With --apart each shard is searched alone
by a searcher of its own and the rankings are merged, which is what shards on several machines cost without the network.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.vectors import load
from indexer import SparseVectors
from indexer.format.shard_list import shard_folders
from sparseir.search.results import Ranking
from sparseir.search.searcher import Searcher

Search = Callable[[SparseVectors, int], Ranking]


def apart(folder: Path) -> Search:
    """Shards that know nothing of each other; equal scores keep the order of the shards, which is that of the input."""
    searchers = [Searcher.open(shard) for shard in shard_folders(folder)]

    def search(queries: SparseVectors, k: int) -> Ranking:
        found = [searcher.search_vectors(queries, k) for searcher in searchers]
        ordinals = np.concatenate([ranking.ordinals for ranking in found], axis=1)
        scores = np.concatenate([ranking.scores for ranking in found], axis=1)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return Ranking(np.take_along_axis(ordinals, best, 1), np.take_along_axis(scores, best, 1))

    return search


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("shards", type=Path)
    parser.add_argument("queries", type=Path)
    parser.add_argument("--k", type=int, action="append")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--apart", action="store_true")
    chosen = parser.parse_args()
    queries = load(chosen.queries)
    ways: dict[str, Search] = {
        "one": Searcher.open(chosen.index).search_vectors,
        "shards": apart(chosen.shards) if chosen.apart else Searcher.open(chosen.shards).search_vectors,
    }
    for k in chosen.k or [10, 1000]:
        one, many = (search(queries, k) for search in ways.values())
        if not (np.array_equal(one.ordinals, many.ordinals) and np.array_equal(one.scores, many.scores)):
            raise SystemExit(f"k = {k}: the shards answer otherwise than one index")
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(chosen.rounds):
            for name, search in ways.items():
                start = time.process_time()
                search(queries, k)
                times[name].append(1e3 * (time.process_time() - start) / len(queries))
        single, several = (statistics.median(taken) for taken in times.values())
        row = {"k": k, "shards": len(shard_folders(chosen.shards)), "apart": chosen.apart, "queries": len(queries)}
        figures = {"one_ms": round(single, 3), "ms": round(several, 3), "ratio": round(several / single, 2)}
        print(json.dumps({**row, **figures}), flush=True)


if __name__ == "__main__":
    main()
