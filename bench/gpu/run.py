"""The GPU benchmark in one command; figures as a table and as JSON.

    python -m bench.gpu.run --index INDEX --queries queries.npz --json results.json
    python -m bench.gpu.run --synthetic 8800000 --json results.json

Microbenchmarks, then the engine with and without a dense head, then rivals in the same process on the same postings, then
the CPU engine on all cores. Times are medians of device events around a whole call: upload, search, download of the hits.
`--check` runs everything that can run without a GPU on a few documents, to see that the script works; its times mean nothing.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench.gpu.collection import Collection, from_index, synthetic
from sparseir.errors import SparseIRError
from sparseir.search.gpu import GpuConfig, GpuEngine
from sparseir.search.gpu.layout import build_layout

BATCHES, KS = (1, 32, 256, 1024), (10, 1000)
System = tuple[str, Callable[[Any, int], Any]]
HEADS = (0, 64, 128, 256, 512)


class Clock:
    """Median seconds of a call: by device events, or by the wall clock where there is no device."""

    def __init__(self, device: str, repeats: int) -> None:
        self.device, self.repeats = device, repeats

    def median(self, work: Callable[[], Any]) -> float:
        work()
        return float(np.median([self._once(work) for _ in range(self.repeats)]))

    def _once(self, work: Callable[[], Any]) -> float:
        if self.device == "cpu":
            begin = time.perf_counter()
            work()
            return time.perf_counter() - begin
        import torch

        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        first.record()
        work()
        last.record()
        last.synchronize()
        return float(first.elapsed_time(last)) / 1e3


def engines(collection: Collection, device: str, memory: int) -> Iterator[System]:
    """(name, search) of the engine: each backend, and each size of dense head."""
    configs = [("torch", GpuConfig(backend="torch", device=device, gpu_memory=memory))]
    if device != "cpu":
        configs = [
            (f"cuda, head {h}" if h else "cuda", GpuConfig(backend="cuda", head_terms=h, gpu_memory=memory))
            for h in HEADS
        ] + [("triton", GpuConfig(backend="triton", device=device, gpu_memory=memory)), *configs]
    layout = build_layout(collection.postings)
    for name, config in configs:
        try:
            engine = GpuEngine([collection.postings], config, layouts=[layout])
        except SparseIRError as error:
            print(f"{name}: {error}")
            continue
        yield f"sparseir {name}", engine.search


def rivals(collection: Collection, device: str) -> Iterator[System]:
    """(name, search) of each rival whose package is there; terms are resolved outside the clock."""
    from bench.gpu.rivals import RIVALS
    from sparseir.search.gpu.forward_index import build_forward_index

    forward = build_forward_index(collection.postings)
    for rival in RIVALS:
        try:
            made = rival(collection.postings, forward, device)
            made.search(collection.queries.slice(0, 1).resolve(collection.postings.term_ids), 1)
        except (ImportError, RuntimeError, ValueError) as error:
            print(f"{rival.name}: left out ({type(error).__name__}: {str(error).splitlines()[0][:100]})")
            continue
        yield rival.name, made.search


def cpu_engine(collection: Collection) -> Iterator[System]:
    if collection.path is None or collection.vectors is None:
        return
    from sparseir.search.searcher import Searcher

    searcher = Searcher.open(collection.path, num_threads=os.cpu_count() or 1)
    vectors = collection.vectors
    yield (
        f"sparseir CPU, {os.cpu_count()} threads",
        lambda rows, k: searcher.search_vectors(vectors.slice(0, len(rows)), k),
    )


def measure(collection: Collection, arguments: argparse.Namespace, device: str) -> list[dict[str, Any]]:
    """One record a system, batch and k. At most two systems hold device memory at a time."""
    records = []
    systems = itertools.chain(
        engines(collection, device, arguments.memory << 30), rivals(collection, device), cpu_engine(collection)
    )
    for name, search in systems:
        clock = Clock("cpu" if "CPU" in name else device, arguments.repeats)
        ours = name.startswith("sparseir")
        for k in arguments.ks:
            for size in (b for b in arguments.batches if b <= len(collection.queries)):
                batch = collection.queries.slice(0, size)
                if not ours:
                    batch = batch.resolve(collection.postings.term_ids)
                seconds = clock.median(lambda b=batch, s=search, n=k: s(b, n))  # type: ignore[misc]
                record = {"system": name, "k": k, "batch": size, "ms": 1e3 * seconds, "queries/s": size / seconds}
                records.append(record)
                print(
                    f"{name:28} k {k:5} batch {size:5} {1e3 * seconds:10.3f} ms {size / seconds:12.0f} queries/s",
                    flush=True,
                )
    return records


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--index", type=Path)
    parser.add_argument("--queries", type=Path)
    parser.add_argument("--synthetic", type=int, help="number of documents to make instead")
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--ks", type=int, nargs="+", default=KS)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--memory", type=int, default=40, help="GiB the engine may take")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    if arguments.check:
        arguments.synthetic, arguments.repeats, arguments.batches, arguments.memory = 3000, 1, (1, 5), 1
    if arguments.synthetic:
        collection = synthetic(arguments.synthetic)
    elif arguments.index and arguments.queries:
        collection = from_index(arguments.index, arguments.queries)
    else:
        parser.error("give --index with --queries, or --synthetic N")
    results: dict[str, Any] = {"collection": collection.name, "documents": collection.postings.num_docs}
    results["postings"] = collection.postings.num_postings
    results["bytes per posting"] = build_layout(collection.postings).nbytes / collection.postings.num_postings
    device = "cpu"
    if not arguments.check:
        from bench.gpu import micro
        from sparseir.search.gpu.driver import Driver

        driver, device = Driver(), "cuda"
        results |= {"device": driver.name(), "limits": micro.run(driver, arguments.repeats)}
    print(json.dumps(results, indent=1))
    results["figures"] = measure(collection, arguments, device)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
