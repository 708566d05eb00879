"""The GPU benchmark in one command; figures as a table and as JSON.

    python -m bench.gpu.run --index INDEX --queries queries.npz --json results.json
    python -m bench.gpu.run --synthetic 8800000 --json results.json

Microbenchmarks, then the engine with and without a dense head, then rivals in the same process on the same postings, then
the CPU engine on all cores. Every system must first answer four queries as the host computes them. Times are medians of
device events around a whole call: upload, search, download of the hits. What cannot run here is named and left out; the
JSON is written after every system. `--check` runs everything that can run without a GPU on a few documents, to see that
the script works; its times mean nothing. With TRITON_INTERPRET=1 that takes in the Triton kernels.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench.gpu.collection import Collection, from_index, synthetic
from bench.gpu.truth import CHECKED_K, CHECKED_QUERIES, agrees, truth
from sparseir.errors import SparseIRError
from sparseir.search.gpu import GpuConfig, GpuEngine
from sparseir.search.gpu.driver import Driver, Timer
from sparseir.search.gpu.layout import DeviceLayout, build_layout

BATCHES, KS = (1, 32, 256, 1024), (10, 1000)
System = tuple[str, Callable[[Any, int], Any]]
HEADS = (0, 64, 128, 256, 512)


class Clock:
    """Median seconds of a call, by device events and by the wall clock; both are the wall clock's without a device."""

    def __init__(self, driver: Driver | None, arguments: argparse.Namespace) -> None:
        self._timer = None if driver is None else Timer(driver)
        self._repeats, self._seconds = arguments.repeats, arguments.seconds

    def medians(self, work: Callable[[], Any]) -> tuple[float, float]:
        """After one run that is not counted; stops early, after three, when the time is up."""
        work()
        taken: list[tuple[float, float]] = []
        end = time.perf_counter() + self._seconds
        while len(taken) < self._repeats and (len(taken) < 3 or time.perf_counter() < end):
            taken.append(self._once(work))
        on_device, on_host = np.median(taken, axis=0)
        return float(on_device), float(on_host)

    def _once(self, work: Callable[[], Any]) -> tuple[float, float]:
        begin = time.perf_counter()
        if self._timer is None:
            work()
            wall = time.perf_counter() - begin
            return wall, wall
        self._timer.start()
        work()
        on_device = self._timer.stop() / 1e3
        return on_device, time.perf_counter() - begin


def engines(collection: Collection, layout: DeviceLayout, device: str, memory: int) -> Iterator[System]:
    """(name, search) of the engine: each backend, and each size of dense head."""
    configs = [("torch", GpuConfig(backend="torch", device=device, gpu_memory=memory))]
    if os.environ.get("TRITON_INTERPRET") == "1":
        configs.append(("triton", GpuConfig(backend="triton", device="cpu", gpu_memory=memory)))
    if device != "cpu":
        configs = [
            (f"cuda, head {h}" if h else "cuda", GpuConfig(backend="cuda", head_terms=h, gpu_memory=memory))
            for h in HEADS
        ] + [("triton", GpuConfig(backend="triton", device=device, gpu_memory=memory)), *configs]
    for name, config in configs:
        try:
            engine = GpuEngine([collection.postings], config, layouts=[layout])
        except (SparseIRError, RuntimeError, MemoryError) as error:
            print(f"{name}: left out ({first_line(error)})", flush=True)
            continue
        yield f"sparseir {name}", engine.search


def rivals(collection: Collection, device: str) -> Iterator[System]:
    """(name, search) of each rival whose package is there; terms are resolved outside the clock."""
    try:
        from bench.gpu.rivals import RIVALS
    except ImportError as error:
        print(f"rivals: left out ({error})", flush=True)
        return
    from sparseir.search.gpu.forward_index import build_forward_index

    forward = build_forward_index(collection.postings)
    for rival in RIVALS:
        try:
            made = rival(collection.postings, forward, device)
        except Exception as error:  # a package of somebody else's may refuse in its own way
            hint = "; pip install 'sparseir[gpu-bench]'" if isinstance(error, ImportError) else ""
            print(f"{rival.name}: left out ({first_line(error)}{hint})", flush=True)
            continue
        yield rival.name, made.search


def first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"


def cpu_engine(collection: Collection) -> Iterator[System]:
    """The CPU engine on all cores; it takes float queries, so only where an index and its queries are given."""
    if collection.path is None or collection.vectors is None:
        return
    from sparseir.search.searcher import Searcher

    searcher = Searcher.open(collection.path, num_threads=os.cpu_count() or 1)
    vectors = collection.vectors

    def search(rows: Any, k: int) -> tuple[Any, Any]:
        ranking = searcher.search_vectors(vectors.slice(0, len(rows)), k)
        return ranking.ordinals, ranking.scores

    yield f"sparseir CPU, {os.cpu_count()} threads", search


def measure(
    collection: Collection, systems: Iterator[System], clocks: tuple[Clock, Clock], arguments: Any
) -> Iterator[Any]:
    """The records of one system at a time, one a batch and k. At most two systems hold device memory at once."""
    want = truth(collection)
    for name, search in systems:
        clock = clocks[1] if "CPU" in name else clocks[0]
        ours = name.startswith("sparseir")
        records: list[dict[str, Any]] = []
        try:
            batch = queries_of(collection, CHECKED_QUERIES, ours)
            answer = search(batch, CHECKED_K)
            right = np.array_equal(answer[0], want[0]) if "CPU" in name else agrees(answer, want, exact=ours)
            print(f"{name:28} {'answers right' if right else 'ANSWERS WRONG'}", flush=True)
            for k, size in itertools.product(arguments.ks, arguments.batches):
                if size > len(collection.queries):
                    continue
                batch = queries_of(collection, size, ours)
                seconds, wall = clock.medians(lambda b=batch, s=search, n=k: s(b, n))  # type: ignore[misc]
                record = {
                    "system": name,
                    "right": right,
                    "k": k,
                    "batch": size,
                    "ms": 1e3 * seconds,
                    "wall ms": 1e3 * wall,
                }
                records.append(record | {"queries/s": size / seconds})
                figures = f"{1e3 * seconds:10.3f} ms {1e3 * wall:10.3f} ms wall {size / seconds:12.0f} queries/s"
                print(f"{name:28} k {k:5} batch {size:5} {figures}", flush=True)
        except Exception as error:  # out of memory at a large batch, a kernel of a rival that does not compile here
            print(f"{name}: stopped ({first_line(error)})", flush=True)
        yield records


def queries_of(collection: Collection, size: int, ours: bool) -> Any:
    """The first queries: terms for the engine, rows for rivals, which know no terms."""
    batch = collection.queries.slice(0, min(size, len(collection.queries)))
    return batch if ours else batch.resolve(collection.postings.term_ids)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--index", type=Path)
    parser.add_argument("--queries", type=Path)
    parser.add_argument("--synthetic", type=int, help="number of documents to make instead")
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--ks", type=int, nargs="+", default=KS)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=10.0, help="longest a figure may take after three runs")
    parser.add_argument("--memory", type=int, default=40, help="GiB the engine may take")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--ncu", action="store_true", help="count bytes with Nsight Compute at batch 32, k 1000")
    parser.add_argument("--engines-only", action="store_true", help="neither microbenchmarks nor rivals")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    if arguments.check:
        arguments.synthetic, arguments.repeats, arguments.batches, arguments.memory = 3000, 1, (1, 5), 1
    if not arguments.synthetic and not (arguments.index and arguments.queries):
        parser.error("give --index with --queries, or --synthetic N")
    return arguments


def main() -> None:
    arguments = parse_arguments()
    driver = None
    try:
        if not arguments.check:
            driver = Driver()
            driver.use()
    except SparseIRError as error:
        sys.exit(f"{error}; bench.gpu.run needs a GPU; without one, --check runs what can")
    device = "cpu" if driver is None else "cuda"
    if arguments.synthetic:
        collection = synthetic(arguments.synthetic)
    else:
        collection = from_index(arguments.index, arguments.queries)
    layout = build_layout(collection.postings)
    results: dict[str, Any] = {"collection": collection.name, "documents": collection.postings.num_docs}
    results["postings"] = collection.postings.num_postings
    results["bytes per posting"] = layout.nbytes / collection.postings.num_postings
    if driver is not None:
        results["device"] = driver.name()
        if not arguments.engines_only:
            from bench.gpu import micro

            results["limits"] = micro.run(driver, arguments.repeats)
    print(json.dumps(results, indent=1), flush=True)
    results["figures"] = []
    systems = engines(collection, layout, device, arguments.memory << 30)
    if not arguments.engines_only:
        systems = itertools.chain(systems, rivals(collection, device), cpu_engine(collection))
    clocks = Clock(driver, arguments), Clock(None, arguments)
    for records in measure(collection, systems, clocks, arguments):
        results["figures"] += records
        write(results, arguments.json)
    if arguments.ncu:
        from bench.gpu.profile import profile

        source = ["--synthetic", str(arguments.synthetic)] if arguments.synthetic else []
        source = source or ["--index", str(arguments.index), "--queries", str(arguments.queries)]
        results["bytes"] = profile([*source, "--batches", "32", "--ks", "1000"])
        print(json.dumps(results["bytes"], indent=1))
        write(results, arguments.json)


def write(results: dict[str, Any], path: Path | None) -> None:
    if path is not None:
        path.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
