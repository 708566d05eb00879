"""What many small additions cost: documents added one at a time, each a durable commit, with the merges that follow.

    python -m bench.indexing.small_adds --documents 5000 --json bench/results/small-adds.json

Vectors are synthetic: 30,000 terms by Zipf's law, about 120 a document and 25 a query. Said are the time of an addition
(processor time, and wall time where the machine is otherwise idle) around some counts, segments and bytes of the index, and
processor time of a search at k = 10 beside a copy that was compacted; hits of both are the same.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from indexer import SparseVectors, add_documents, build_index, compact_index, open_index
from sparseir.search.searcher import Searcher

TERMS, LENGTH, QUERY_LENGTH, QUERIES, ROUNDS = 30_000, 120, 25, 200, 9
WINDOW = 100
"""Additions before a count that its figures are taken from."""


def vectors(rows: int, length: int, seed: int) -> SparseVectors:
    rng = np.random.default_rng(seed)
    shares = 1 / np.arange(1, TERMS + 1) ** 0.9
    terms = [np.unique(rng.choice(TERMS, length, p=shares / shares.sum())) for _ in range(rows)]
    weights = [(rng.gamma(2.0, 0.5, len(t)) + 0.05).tolist() for t in terms]
    return SparseVectors.from_rows(
        [dict(zip(t.tolist(), w, strict=True)) for t, w in zip(terms, weights, strict=True)], TERMS
    )


def search_us(searcher: Searcher, queries: SparseVectors) -> tuple[float, list[list[int]]]:
    """Processor microseconds a query, and the hits."""
    start = time.thread_time()
    hits = [searcher.search_terms(*queries.row(i), 10) for i in range(len(queries))]
    return 1e6 * (time.thread_time() - start) / len(queries), [h.ordinals.tolist() for h in hits]


def searches(path: Path, queries: SparseVectors) -> dict[str, float]:
    """Search beside a compacted copy: medians of rounds taken in turn."""
    copy = path.with_name("compacted")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(path, copy)
    compact_index(copy)
    pair = [Searcher.open(path), Searcher.open(copy)]
    rounds = []
    for _ in range(ROUNDS):
        (here, hits), (compacted, expected) = [search_us(searcher, queries) for searcher in pair]
        if hits != expected:
            raise SystemExit("the hits differ from those of the compacted copy")
        rounds.append((here, compacted, here / compacted))
    here, compacted, ratio = np.median(np.array(rounds), 0).tolist()
    size = sum(segment.entry.bytes for segment in open_index(copy).segments)
    return {"search_us": here, "compacted_us": compacted, "ratio": ratio, "compacted_bytes": size}


def measured(
    path: Path, documents: SparseVectors, queries: SparseVectors, merge: str, counts: list[int]
) -> list[dict[str, Any]]:
    build_index(path, documents.slice(0, 1), docnos=["d0"])
    times, most, rows = [], 0, []
    for number in range(1, max(counts)):
        start = time.process_time(), time.perf_counter()
        index = add_documents(path, documents.slice(number, number + 1), docnos=[f"d{number}"], merge=merge)
        times.append((time.process_time() - start[0], time.perf_counter() - start[1]))
        most = max(most, len(index.segments))
        if number + 1 not in counts:
            continue
        cpu, wall = 1000 * np.array(times[-WINDOW:]).T
        row = {
            "documents": number + 1,
            "add_cpu_ms": {"mean": cpu.mean(), "median": np.median(cpu), "largest": cpu.max()},
            "add_wall_ms": {"mean": wall.mean(), "median": np.median(wall), "largest": wall.max()},
            "segments": len(index.segments),
            "most_segments": most,
            "bytes": sum(segment.entry.bytes for segment in index.segments),
            **searches(path, queries),
        }
        rows.append(row)
        print(json.dumps(row), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=5000, help="how many are added")
    parser.add_argument("--merge", default="tiered", help="tiered or none")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    chosen = parser.parse_args()
    counts = sorted({min(count, chosen.documents) for count in (100, 1000, chosen.documents)})
    documents, queries = vectors(chosen.documents, LENGTH, 0), vectors(QUERIES, QUERY_LENGTH, 1)
    with tempfile.TemporaryDirectory() as scratch:
        rows = measured(Path(scratch) / "index", documents, queries, chosen.merge, counts)
    if chosen.json:
        chosen.json.write_text(json.dumps({"merge": chosen.merge, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
