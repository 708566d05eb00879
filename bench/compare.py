"""Compare sparse retrieval engines on the same vectors: recall, latency, memory, build time, size.

    python -m bench.compare --data DIR --k 10 --k 1000 --peers sparseir,seismic,sindi,pisa

Every system has its own process on one pinned core. A system alternates with the baseline over slices of the queries
(A B A B …), so that whatever else the machine does meets both; figures are medians over rounds. bench/README.md has
the method, docs/benchmarks.md a run.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench import peers
from bench.dataset import Dataset, read, truth
from bench.report import MB, Row, as_json, table

SINGLE = ("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class WorkerError(Exception):
    """A system's process ended early; the message is the last line it left."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One index to measure: which peer, which of its indexes, which of its search modes."""

    peer: peers.Peer
    index: int
    modes: tuple[int, ...]

    @property
    def key(self) -> str:
        return f"{self.peer.name}-{self.peer.indexes[self.index].key}"

    def label(self, mode: int) -> str:
        index = self.peer.indexes[self.index]
        label = index.modes[mode].label
        return f"{self.peer.name} {label}" if index.key in label.lower() else f"{self.peer.name} {index.key}, {label}"


class Worker:
    """A worker process and its line protocol."""

    def __init__(self, job: dict[str, Any], log: Path, threads: int) -> None:
        env = os.environ | dict.fromkeys(SINGLE, str(threads))
        self._log = log
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log.open("w"),
            text=True,
            env=env,
        )
        self.ready = self._exchange(job)

    def call(self, name: str, **arguments: Any) -> dict[str, Any]:
        return self._exchange({"call": name, **arguments})

    def _exchange(self, message: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # its last words are read below
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            last = self._log.read_text(errors="replace").strip().splitlines()[-1:] or ["no message"]
            _say(f"log of the failure: {self._log}")
            raise WorkerError(f"failed (exit {self._process.returncode}): {last[0][:100]}")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(f"failed: {answer['error'][:100]}")
        return answer

    def close(self) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it may have died with a request unread
                self._process.stdin.close()
        self._process.wait()


class Comparison:
    """The runner: builds what is missing, opens the baseline once, measures every entry against it."""

    def __init__(self, options: argparse.Namespace, dataset: Dataset) -> None:
        self.options, self.dataset = options, dataset
        self.cache = options.cache / dataset.name
        self.cache.mkdir(parents=True, exist_ok=True)
        self._baseline: tuple[Entry, int, Worker] | None = None

    def _worker(self, entry: Entry, task: str, folder: Path) -> Worker:
        cores = sorted(os.sched_getaffinity(0))
        threads = self.options.build_threads if task == "build" else 1
        job = {
            "task": task,
            "peer": entry.peer.name,
            "index": entry.index,
            "folder": str(folder),
            "docs": str(self.dataset.docs),
            "queries": str(self.dataset.queries),
            "name": self.dataset.name,
            "num_queries": self.options.num_queries,
            "cores": cores[-threads:],
        }
        return Worker(job, self.cache / f"{entry.key}.{task}.log", threads)

    def built(self, entry: Entry) -> dict[str, Any]:
        """Figures of the build, which is done now if the cache has none.

        Raises
        ------
        WorkerError
            The build failed, or would not fit.
        """
        folder = self.cache / entry.key
        record = folder.with_suffix(".json")
        if record.exists():
            return json.loads(record.read_text(encoding="utf-8"))
        index = entry.peer.indexes[entry.index]
        if self.options.no_build:
            raise WorkerError("not built (--no-build)")
        documents, postings = _size(self.dataset.docs)
        if index.max_documents and documents > index.max_documents:
            raise WorkerError(f"not built: takes hours over {index.max_documents:,} documents")
        need, free = index.peak_bytes_per_posting * postings / 1e9, _available() / 1e9
        if need > free:
            raise WorkerError(f"not built: needs about {need:.0f} GB, {free:.0f} GB available")
        _say(f"building {entry.key}")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        worker = self._worker(entry, "build", folder)
        worker.close()
        figures = worker.ready | {"threads": self.options.build_threads}
        record.write_text(json.dumps(figures), encoding="utf-8")
        return figures

    def open_baseline(self, entry: Entry, mode: int) -> None:
        self.built(entry)
        self._baseline = (entry, mode, self._worker(entry, "serve", self.cache / entry.key))

    def measure(self, entry: Entry) -> Iterator[Row]:
        """All modes of one index at every k, in turns with the baseline."""
        index = entry.peer.indexes[entry.index]
        blank = [
            Row(system=entry.label(m), version=_version(entry.peer), k=k, exact=index.modes[m].exact)
            for k in self.options.k
            for m in entry.modes
        ]
        try:
            figures, worker = self._open(entry)
        except WorkerError as error:
            for row in blank:
                row.note = str(error)
                yield row

        else:
            yield from self._measure(entry, blank, figures, worker)

    def _open(self, entry: Entry) -> tuple[dict[str, Any], Worker]:
        """Figures of the build and a loaded worker, the baseline's where it is the same index."""
        missing = [m for m in entry.peer.modules if importlib.util.find_spec(m) is None]
        if missing:
            raise WorkerError(f"not installed ({entry.peer.package})")
        figures = self.built(entry)
        if self._baseline and self._baseline[0].key == entry.key:
            return figures, self._baseline[2]
        return figures, self._worker(entry, "serve", self.cache / entry.key)

    def _measure(self, entry: Entry, rows: list[Row], figures: dict[str, Any], worker: Worker) -> Iterator[Row]:
        base = self._baseline
        own = base is not None and base[2] is worker
        for row, (k, mode) in zip(rows, [(k, m) for k in self.options.k for m in entry.modes], strict=True):
            _say(f"{row.system}, k={k}")
            partner = (base[2], base[1]) if base and not (own and base[1] == mode) else None
            try:
                limits = {"least": self.options.slice, "seconds": self.options.pass_seconds}
                answered = worker.call("measure_recall", mode=mode, k=k, cache=str(self.cache), **limits)
                row.recall, row.queries = answered["recall"], answered["queries"]
                self._rounds(row, worker, mode, partner)
                memory = worker.call("memory")
            except WorkerError as error:
                row.note = str(error)
                yield row
                continue
            row.resident_mb, row.load_s = memory["resident_bytes"] / MB, memory["load_s"]
            row.disk_mb, row.build_peak_mb = figures["disk_bytes"] / MB, figures["build_peak_bytes"] / MB
            row.build_s, row.build_cpu_s = figures["build_s"], figures["build_cpu_s"]
            yield row
        if not own:
            worker.close()

    def _rounds(self, row: Row, worker: Worker, mode: int, partner: tuple[Worker, int] | None) -> None:
        cpu, base_cpu, wall = [], [], []
        for _ in range(self.options.rounds):
            spent, base_spent, times = 0, 0, []
            for start in range(0, row.queries, self.options.slice):
                part = {"k": row.k, "start": start, "stop": min(start + self.options.slice, row.queries)}
                if partner is not None:
                    base_spent += partner[0].call("run", mode=partner[1], **part)["cpu_ns"]
                answer = worker.call("run", mode=mode, **part)
                spent += answer["cpu_ns"]
                times += answer["wall_ns"]
            cpu.append(spent / len(times) / 1e6)
            base_cpu.append(base_spent / len(times) / 1e6)
            wall.append(times)
        each = np.min(np.array(wall), axis=0) / 1e6  # a disturbance hits one round of a query, not all
        row.cpu_ms = statistics.median(cpu)
        row.p50_ms, row.p99_ms = float(np.percentile(each, 50)), float(np.percentile(each, 99))
        if self._baseline is not None:
            row.ratio = statistics.median(c / b if b else 1.0 for c, b in zip(cpu, base_cpu, strict=True))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _available() -> int:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def _size(docs: Path) -> tuple[int, int]:
    """Documents and postings, without reading the postings."""
    with np.load(docs) as file:
        return int(file["shape"][0]), int(file["indptr"][-1])


def _version(peer: peers.Peer) -> str:
    try:
        return importlib.metadata.version(peer.package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _plan(patterns: list[str]) -> list[Entry]:
    """Entries of the patterns NAME, NAME/INDEX or NAME/INDEX/MODE, each with * and ?."""
    entries = []
    for pattern in patterns:
        parts = [*pattern.split("/"), "*", "*"][:3]
        names = [n for n in peers.NAMES if fnmatch.fnmatch(n, parts[0])] or [parts[0]]
        for peer in map(peers.find, names):
            for i, index in enumerate(peer.indexes):
                modes = tuple(j for j, m in enumerate(index.modes) if fnmatch.fnmatch(m.label, parts[2]))
                if modes and fnmatch.fnmatch(index.key, parts[1]):
                    entries.append(Entry(peer=peer, index=i, modes=modes))
    if not entries:
        raise SystemExit(f"no system matches {', '.join(patterns)}")
    return entries


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with docs.* and queries.*")
    parser.add_argument("--docs", type=Path, help="document vectors, instead of --data")
    parser.add_argument("--queries", type=Path, help="query vectors, beside --docs")
    parser.add_argument("--peers", default="*", help="comma-separated NAME[/INDEX[/MODE]] with * and ?; default all")
    parser.add_argument("--baseline", default="sparseir/*/auto", help="the system ratios refer to, as in --peers")
    parser.add_argument("--k", type=int, action="append", help="hits per query; may be given several times")
    parser.add_argument("--num-queries", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slice", type=int, default=200, help="queries between two turns")
    parser.add_argument(
        "--cache", type=Path, default=Path("bench-cache"), help="built indexes and truths are kept here"
    )
    parser.add_argument("--pass-seconds", type=float, default=60, help="a slow system answers fewer queries a round")
    parser.add_argument("--build-threads", type=int, default=1)
    parser.add_argument("--build-only", action="store_true", help="fill the cache and stop")
    parser.add_argument("--no-build", action="store_true", help="measure only what is in the cache")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    options.k = options.k or [10]
    if (options.data is None) == (options.docs is None) or (options.docs is None) != (options.queries is None):
        parser.error("give --data DIR, or --docs FILE with --queries FILE")
    return options


def _save(options: argparse.Namespace, dataset: Dataset, rows: list[Row]) -> None:
    if options.json:
        paths = ("data", "docs", "queries", "cache", "json")
        settings = {key: value for key, value in vars(options).items() if key not in paths}
        record = {"dataset": dataset.name, "processor": _processor(), "options": settings, "rows": as_json(rows)}
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    options = _arguments()
    if options.data is not None:
        dataset = Dataset.at(options.data, options.cache)
    else:
        name = options.docs.resolve().parent.name
        dataset = Dataset.of(options.docs, options.queries, name=name, cache=options.cache)
    comparison = Comparison(options, dataset)
    options.num_queries = min(options.num_queries, read(dataset.queries).shape[0])
    if options.build_only:
        for entry in _plan(options.peers.split(",")):
            try:
                _say(f"{entry.key}: {comparison.built(entry)}")
            except WorkerError as error:
                _say(f"{entry.key}: {error}")
        return
    for k in options.k:
        truth(dataset, options.num_queries, k, comparison.cache)
    try:
        baseline = _plan([options.baseline])[0]
        comparison.open_baseline(baseline, baseline.modes[0])
    except WorkerError as error:
        _say(f"no baseline, so no ratios: {options.baseline}: {error}")
    rows: list[Row] = []
    for entry in _plan(options.peers.split(",")):
        for row in comparison.measure(entry):
            rows.append(row)
            _save(options, dataset, rows)  # a run of an hour that is cut off has its rows
    for k in options.k:
        print(f"\n{dataset.name}, k={k}, {options.rounds} rounds\n")
        print(table([row for row in rows if row.k == k]))


if __name__ == "__main__":
    main()
