"""Figures of an index beside its searches: build, size, memory, opening, adding, many segments. JSON on stdout.

    python -m bench.indexing.index --data DIR --work DIR [--only build,stream,open,add,segments] [--threads 2] [--json FILE]

DIR of --data holds docs.npz and queries.npz. Each part can be run alone; `build` leaves the index that open, add and
segments use. Times are wall clock unless they are called cpu: let nothing else run.

build     in memory, from CSR, input and default order, and the compact layout: seconds, memory above the input, bytes
stream    the same file streamed without and with a memory budget, taking turns: seconds, anonymous memory
open      page cache of the index dropped before: the library's open, opening for search, the whole command
add       1,000 documents to the index, durable, then opened and searched
segments  the same documents in one and in eight segments: cpu time of a query, taking turns
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.vectors import load
from indexer import SparseVectors, add_documents, build_index, open_index
from indexer.interchange import write_vectors
from sparseir.search.searcher import Searcher

SEGMENTS = 8
ADDED = 1000
ROUNDS = 5


def built(chosen: argparse.Namespace, name: str, *flags: str) -> dict[str, Any]:
    """One build in a process of its own, so that its memory is its own."""
    command = [
        sys.executable,
        "-m",
        "bench.indexing.build",
        str(chosen.data / "docs.npz"),
        "--index",
        str(chosen.work / name),
    ]
    done = subprocess.run(
        [*command, "--threads", str(chosen.threads), *flags], capture_output=True, text=True, check=True
    )
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def build(chosen: argparse.Namespace) -> dict[str, Any]:
    kept = (
        "documents",
        "postings",
        "build",
        "anonymous_mb_before",
        "anonymous_over_index",
        "bytes",
        "bytes_per_posting",
    )
    runs = {"input order": ("--order", "input"), "default": (), "compact": ("--layout", "compact")}
    reports = {run: built(chosen, f"index-{run.split()[0]}", *flags) for run, flags in runs.items()}
    return {run: {key: report[key] for key in kept} for run, report in reports.items()}


def stream(chosen: argparse.Namespace) -> dict[str, Any]:
    runs: dict[str, list[dict[str, Any]]] = {"unbounded": [], "budget": []}
    for _ in range(chosen.rounds):
        runs["unbounded"].append(built(chosen, "streamed", "--stream"))
        runs["budget"].append(built(chosen, "streamed", "--memory-budget", str(chosen.budget)))
    shutil.rmtree(chosen.work / "streamed")
    out: dict[str, Any] = {"budget_mb": chosen.budget, "threads": chosen.threads}
    for name, reports in runs.items():
        out[name] = {
            "seconds": [r["build"]["seconds"] for r in reports],
            "cpu_seconds": [r["build"]["cpu_seconds"] for r in reports],
            "anonymous_mb_peak": max(r["anonymous_mb_peak"] for r in reports),
        }
    for key in ("seconds", "cpu_seconds"):
        pairs = zip(out["budget"][key], out["unbounded"][key], strict=True)
        out[f"ratio_{key}"] = round(float(np.median([b / u for b, u in pairs])), 2)
    return out


def forget(folder: Path) -> None:
    """Drop the page cache of every file of an index."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def milliseconds(work: Callable[[], Any], before: Callable[[], Any]) -> float:
    """Median over rounds of the wall time; what the work returns is let go after the clock has stopped."""
    times = []
    for _ in range(ROUNDS + 1):
        before()
        start = time.perf_counter()
        held = work()
        times.append(time.perf_counter() - start)
        del held
    return round(1000 * float(np.median(times[1:])), 2)


def opening(chosen: argparse.Namespace) -> dict[str, Any]:
    index, query = chosen.work / "index-default", chosen.work / "one.npz"
    with np.load(chosen.data / "queries.npz") as arrays:
        width = int(arrays["shape"][1])
    write_vectors(query, [load(chosen.data / "queries.npz").slice(0, 1)])
    command = [sys.executable, "-m", "sparseir.cli"]
    search = [*command, "search", str(index), "--query-vectors", str(query), "-k", "10"]

    def run(words: list[str]) -> None:
        subprocess.run(words, capture_output=True, check=True)

    return {
        "vocabulary": width,
        "bytes": sum(s.entry.bytes for s in open_index(index).segments),
        "open_index_cold_ms": milliseconds(lambda: open_index(index), lambda: forget(index)),
        "searcher_open_cold_ms": milliseconds(lambda: Searcher.open(index), lambda: forget(index)),
        "search_command_cold_ms": milliseconds(lambda: run(search), lambda: forget(index)),
        "search_command_warm_ms": milliseconds(lambda: run(search), lambda: None),
        "version_command_ms": milliseconds(lambda: run([*command, "--version"]), lambda: None),
    }


def linked(source: Path, target: Path) -> None:
    """The same index once more: files of an index are never edited, so links do."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, copy_function=os.link, ignore=shutil.ignore_patterns("manifest.json", "write.lock"))
    shutil.copy(source / "manifest.json", target)


def add(chosen: argparse.Namespace) -> dict[str, Any]:
    copy = chosen.work / "index-add"
    sample = load(chosen.data / "docs.npz").slice(0, ADDED)
    query = load(chosen.data / "queries.npz").row(0)

    def fresh() -> None:
        linked(chosen.work / "index-default", copy)

    def searched() -> None:
        add_documents(copy, sample)
        Searcher.open(copy).search_terms(*query, 10)

    report = {
        "documents": ADDED,
        "add_ms": milliseconds(lambda: add_documents(copy, sample), fresh),
        "add_open_search_ms": milliseconds(searched, fresh),
    }
    shutil.rmtree(copy)
    return report


def cpu_ms(searcher: Searcher, queries: SparseVectors, k: int) -> tuple[float, list[Any]]:
    """Mean CPU milliseconds a query, and the hits."""
    start = time.thread_time()
    hits = [searcher.search_terms(*queries.row(i), k) for i in range(len(queries))]
    return 1000 * (time.thread_time() - start) / len(queries), hits


def segments(chosen: argparse.Namespace) -> dict[str, Any]:
    parts = chosen.work / "index-segments"
    if not parts.exists():
        documents = load(chosen.data / "docs.npz")
        cuts = [len(documents) * i // SEGMENTS for i in range(SEGMENTS + 1)]
        for number in range(SEGMENTS):
            write = build_index if number == 0 else partial(add_documents, merge="none")
            write(parts, documents.slice(cuts[number], cuts[number + 1]), num_threads=chosen.threads)
        del documents
    queries = load(chosen.data / "queries.npz").slice(0, chosen.queries)
    searchers = [Searcher.open(chosen.work / "index-default"), Searcher.open(parts)]
    report: dict[str, Any] = {"segments": SEGMENTS, "queries": len(queries)}
    for k in (10, 100, 1000):
        rounds = []
        for _ in range(ROUNDS + 1):
            (one, first), (many, second) = [cpu_ms(searcher, queries, k) for searcher in searchers]
            rounds.append((one, many))
            if not all(np.array_equal(a.ordinals, b.ordinals) for a, b in zip(first, second, strict=True)):
                raise SystemExit(f"the hits differ at k = {k}")
        times = np.array(rounds[1:])
        report[f"k={k}"] = {
            "one_segment_cpu_ms": round(float(np.median(times[:, 0])), 3),
            "segments_cpu_ms": round(float(np.median(times[:, 1])), 3),
            "ratio": round(float(np.median(times[:, 1] / times[:, 0])), 2),
        }
    return report


PARTS = {"build": build, "stream": stream, "open": opening, "add": add, "segments": segments}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--budget", type=int, default=512, help="megabytes of the streamed build")
    parser.add_argument("--rounds", type=int, default=1, help="of the streamed builds")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--json", type=Path, help="keep the figures here; parts that are not run stay")
    chosen = parser.parse_args()
    chosen.work.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {}
    if chosen.json and chosen.json.exists():
        report = json.loads(chosen.json.read_text())
    report["data"] = chosen.data.name
    for name in chosen.only.split(","):
        report[name] = PARTS[name](chosen)
        if chosen.json:
            chosen.json.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
