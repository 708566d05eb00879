"""One system in its own process: builds an index, or loads one and answers rounds of queries on request.

Started by compare.py with a pinned core and single-threaded libraries. Requests and replies are JSON lines.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import traceback
from pathlib import Path
from typing import IO, Any

import numpy as np

from bench import peers
from bench.dataset import Dataset, read, rows, truth
from bench.memory import OWN, memory, reset_peak


def _children() -> list[Path]:
    """Processes this one started, for peers whose engine runs in a process of its own."""
    tasks = Path("/proc/self/task").iterdir()
    return [Path("/proc") / pid for task in tasks for pid in (task / "children").read_text(encoding="ascii").split()]


def _cpu_ns() -> int:
    """CPU time of this process, and of its children at the kernel's grain of about 10 ms."""
    ticks = 0
    for child in _children():
        fields = (child / "stat").read_text(encoding="ascii").rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return time.process_time_ns() + ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def _resident() -> int:
    """Resident bytes, with a file that is mapped several times (by several modes of a peer) counted once."""
    return sum(memory("Pss", process, "smaps_rollup") for process in (OWN, *_children()))


def _disk(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())


def _import(peer: peers.Peer) -> None:
    for module in peer.modules:
        __import__(module)


def build(peer: peers.Peer, index: int, folder: Path, dataset: Dataset) -> dict[str, float]:
    """Build from a CSR in memory; what the build adds to it is its memory."""
    _import(peer)
    adapter = peer.adapter(folder, peer.indexes[index].settings)
    docs = read(dataset.docs)
    before = memory("VmRSS")
    reset_peak()
    wall, cpu = time.perf_counter(), time.process_time()
    adapter.build(docs)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "build_s": time.perf_counter() - wall,
        "build_cpu_s": time.process_time() - cpu + ended.ru_utime + ended.ru_stime,
        "build_peak_bytes": max(0, memory("VmHWM") - before),
        "disk_bytes": _disk(folder),
    }


class Server:
    """A loaded index and its prepared queries."""

    def __init__(self, peer: peers.Peer, index: int, folder: Path, dataset: Dataset, num_queries: int) -> None:
        _import(peer)
        self._modes = peer.indexes[index].modes
        self._dataset, self._num_queries = dataset, num_queries
        queries = rows(read(dataset.queries), num_queries)
        self._adapter = peer.adapter(folder, peer.indexes[index].settings)
        self._before = _resident()
        start = time.perf_counter()
        self._adapter.load()
        self._load_s = time.perf_counter() - start
        self._adapter.tune(rows(read(dataset.queries), sys.maxsize)[num_queries:])
        self._queries = [self._adapter.prepare(*query) for query in queries]

    def measure_recall(self, mode: int, k: int, cache: str, least: int, seconds: float) -> dict[str, float]:
        """Answer each query once, at least the `least` first and no new one after `seconds`.

        Warms caches and just-in-time compilers as a side effect.
        """
        right = truth(self._dataset, self._num_queries, k, Path(cache))
        settings, adapter = self._modes[mode].settings, self._adapter
        end = time.perf_counter() + seconds
        found: list[float] = []
        for i, query in enumerate(self._queries):
            if i >= least and time.perf_counter() > end:
                break
            found.append(right.recall(i, adapter.ids(adapter.search(query, k, settings))))
        return {"recall": float(np.mean(found)), "queries": len(found)}

    def run(self, mode: int, k: int, start: int, stop: int) -> dict[str, Any]:
        """Answer a slice of the queries one at a time: CPU time of the process for all, wall time of each."""
        settings, search = self._modes[mode].settings, self._adapter.search
        clock = time.perf_counter_ns
        wall = []
        cpu = _cpu_ns()
        for query in self._queries[start:stop]:
            begin = clock()
            search(query, k, settings)
            wall.append(clock() - begin)
        return {"cpu_ns": _cpu_ns() - cpu, "wall_ns": wall}

    def memory(self) -> dict[str, float]:
        """What loading and answering added to the process; pages of mapped files count once touched."""
        return {"resident_bytes": max(0, _resident() - self._before), "load_s": self._load_s}


def main() -> None:
    replies: IO[str] = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # libraries that print must not spoil the replies

    def reply(message: dict[str, Any]) -> None:
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    job = json.loads(sys.stdin.readline())
    os.sched_setaffinity(0, set(job["cores"]))
    peer, folder = peers.find(job["peer"]), Path(job["folder"])
    dataset = Dataset(docs=Path(job["docs"]), queries=Path(job["queries"]), name=job["name"])
    if job["task"] == "build":
        reply(build(peer, job["index"], folder, dataset))
        return
    server = Server(peer, job["index"], folder, dataset, job["num_queries"])
    reply({})
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply(getattr(server, request.pop("call"))(**request))
        except Exception as error:  # a peer's fault in one mode leaves the others to be measured
            traceback.print_exc()
            reply({"error": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    main()
