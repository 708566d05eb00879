"""The compiled kernels: first thresholds from a sample of windows, scores in shared memory, selection on the device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from indexer.native.queries import QueryBatch
from sparseir.errors import ConfigError
from sparseir.search.gpu.batch import ORDINAL_MASK, bin_shifts, pack_bits, score_bounds
from sparseir.search.gpu.compiler import compiled_kernels
from sparseir.search.gpu.cuda_task import BINS, Task
from sparseir.search.gpu.driver import MAX_GRID, DeviceBuffer, Driver
from sparseir.search.gpu.head import HEAD_QUERIES, DenseHead
from sparseir.search.gpu.residency import LayoutOnDevice
from sparseir.search.gpu.submission import Submission
from sparseir.search.gpu.windows import Waves, plan_waves, spread_order

if TYPE_CHECKING:
    from sparseir.search.gpu.layout import DeviceLayout
    from sparseir.search.gpu.postings import SegmentPostings

MAX_FUSED_K = 1024
"""Up to here the k best are chosen and sorted on the device; beyond, its candidates are sorted on the host."""

SMALL_BLOCK = 256
_SINKS = ("emit", "sample", "store")
_NAMES = ("sir_resolve", "sir_tighten", "sir_select")
_ROW_PAD = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class CudaLimits:
    """Sizes of a CUDA backend.

    Parameters
    ----------
    memory : bytes on the device, layout included; a layout that does not fit goes through in groups of windows.
    threads : of a scoring block, a multiple of 32 up to 512.
    capacity : candidates kept for one query; None is 32·k and at least 8,192. If there are more, they are still
        counted, and the query is searched again from the threshold that the counts give, so this affects the time and
        never the answer.
    """

    memory: int
    threads: int = 512
    capacity: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Prepared:
    """A chunk of queries on the device."""

    task: Task
    submission: Submission
    num_queries: int
    candidates: DeviceBuffer
    windows_per_launch: int


class CudaBackend:
    """Exact top-k over one device layout on a CUDA device.

    Parameters
    ----------
    layout, postings : the segment; where there is a head, the layout holds the other terms only.
    driver : the device. limits : memory and sizes.
    head : the most frequent terms as a matrix, or None.
    compile : arch → machine code of the kernels.
    """

    def __init__(
        self,
        layout: DeviceLayout,
        postings: SegmentPostings,
        driver: Driver,
        limits: CudaLimits,
        *,
        head: DenseHead | None = None,
        compile: Callable[[str], bytes] = compiled_kernels,
    ) -> None:
        self._driver, self._limits = driver, limits
        self._num_docs, self._num_windows = layout.num_docs, layout.num_windows
        self._list_max, self._ordinals = postings.list_max, postings.ordinals
        self._window_docs = layout.window_docs
        self._head = head
        with driver.current():
            self._place(layout, postings, compile)

    def _place(self, layout: DeviceLayout, postings: SegmentPostings, compile: Callable[[str], bytes]) -> None:
        """Put the kernels, the tables and as much of the layout as fits on the device."""
        driver, limits, head = self._driver, self._limits, self._head
        self._load_kernels(layout, compile)
        memory = limits.memory - 4 * layout.num_docs * (postings.ordinals is not None) - layout.num_docs // 8
        memory -= 20 * (layout.num_windows + 1)
        if memory <= 0:
            raise ConfigError(
                f"gpu_memory is {limits.memory} bytes, less than the tables of this segment's documents take; "
                "raise --gpu-memory or search on the CPU"
            )
        self._parts = LayoutOnDevice(driver, layout, head, memory)
        self._free = self._parts.free
        orders = [first + spread_order(stop - first) for first, stop in self._parts.groups]
        arrays: dict[str, NDArray[Any]] = {
            "window_entry": layout.window_entry,
            "window_posting": layout.window_posting,
            "window_order": np.concatenate(orders).astype(np.uint32),
        }
        if postings.ordinals is not None:
            arrays["ordinals"] = postings.ordinals
        self._tables = {name: driver.put(array) for name, array in arrays.items()}
        self._base = Task(num_docs=layout.num_docs, window_shift=layout.window_shift)
        self._base.head_terms = 0 if head is None else head.num_terms
        for name, buffer in self._tables.items():
            setattr(self._base, name, buffer.address)

    def _load_kernels(self, layout: DeviceLayout, compile: Callable[[str], bytes]) -> None:
        family = "sir_" if self._head is None else "sir_hybrid_"
        scorers = {sink: f"{family}{sink}_{layout.group}" for sink in _SINKS}
        loaded = self._driver.load(compile(self._driver.arch), (*_NAMES, *scorers.values()))
        self._kernels = {name: loaded[name] for name in _NAMES}
        self._kernels |= {sink: loaded[name] for sink, name in scorers.items()}
        lists = 4 * (36 + 4 * self._limits.threads + 1)
        window = layout.window_docs if self._head is None else HEAD_QUERIES * (layout.window_docs + _ROW_PAD)
        self._shared = 4 * window + lists
        most = self._shared + 4 * BINS
        if most > self._driver.max_shared_bytes:
            raise ConfigError(
                f"windows of {layout.window_docs} documents need {most} bytes of shared memory and "
                f"this device has {self._driver.max_shared_bytes}; choose a smaller window_shift"
            )
        for sink in _SINKS:
            self._driver.allow_shared(self._kernels[sink], most)

    def search(
        self, rows: QueryBatch, k: int, thresholds: NDArray[np.int32], live: NDArray[np.bool_] | None
    ) -> NDArray[np.uint64]:
        """Sort keys (Q, k), best first, 0 where there are no more; see `TorchBackend.search`."""
        keys = np.zeros((len(rows), k), np.uint64)
        if self._num_windows == 0 or len(rows) == 0:
            return keys
        with self._driver.lock, self._driver.current():
            self._base.live = 0 if live is None else self._upload("live", pack_bits(live)).address
            per_chunk = self._queries_per_chunk(k)
            for start, stop in rows.chunks(per_chunk):
                keys[start:stop] = self._search_chunk(rows.slice(start, stop), k, thresholds[start:stop])
        return keys

    def _upload(self, role: str, array: NDArray[Any]) -> DeviceBuffer:
        buffer = self._driver.scratch(role, array.nbytes)
        buffer.upload(array)
        return buffer

    def _capacity(self, k: int) -> int:
        wanted = self._limits.capacity or max(8192, 32 * k)
        return min(max(wanted, k), self._num_docs)

    def _queries_per_chunk(self, k: int) -> int:
        """Half of the free memory for what each query needs; the rest is for its terms and their lists."""
        per_query = 8 * self._capacity(k) + 4 * BINS + 8 * k + 64 + 2 * self._base.head_terms
        return int(max(1, min(self._free // 2 // per_query, MAX_GRID // self._num_windows)))

    def _search_chunk(
        self, rows: QueryBatch, k: int, thresholds: NDArray[np.int32], *, again: bool = False
    ) -> NDArray[np.uint64]:
        prepared = self._prepare(rows, k, thresholds)
        for number, (begin, stop) in enumerate(self._parts.groups):
            self._enter(number, prepared)
            waves = Waves(sample=0, emit=((0, stop - begin),))
            if number == 0:
                waves = plan_waves(stop - begin, self._window_docs, k, prepared.task.capacity)
            if waves.sample and not again:
                self._score("sample", prepared, begin, waves.sample)
                self._tighten(prepared, clear=True)
            for first, count in waves.emit:
                self._score("emit", prepared, begin + first, count)
                self._tighten(prepared, clear=False)
        keys, counts = self._best(prepared, k)
        over = np.flatnonzero(counts > prepared.task.capacity)
        if len(over) and again:
            keys[over] = self._search_all_scores(rows.take(over), k)
        elif len(over):
            # Every candidate was counted, so the thresholds are now safe and close, and few candidates pass them the
            # second time.
            risen = np.empty(len(rows), np.int32)
            prepared.submission.flush(risen, prepared.task.threshold)
            keys[over] = self._search_chunk(rows.take(over), k, risen[over], again=True)
        return keys

    def _prepare(self, rows: QueryBatch, k: int, thresholds: NDArray[np.int32]) -> _Prepared:
        """Upload a chunk of queries and lay out its working memory."""
        num_queries, capacity = len(rows), self._capacity(k)
        listed = rows if self._head is None else self._head.tail(rows)
        distinct, slot = listed.distinct()
        parts: dict[str, NDArray[Any]] = {
            "query_start": listed.indptr,
            "query_slot": slot,
            "query_weight": listed.weights.view(np.uint32),
            "rows": distinct,
            "bin_shift": bin_shifts(score_bounds(rows, self._list_max), BINS),
            "threshold": thresholds.view(np.uint32),
        }
        if self._head is not None:
            low, high = self._head.planes(rows)
            parts |= {"head_low": low.reshape(-1).view(np.uint32), "head_high": high.reshape(-1).view(np.uint32)}
        packed = np.empty(sum(len(part) for part in parts.values()), np.uint32)
        queries = self._driver.scratch("queries", packed.nbytes)
        task = Task.from_buffer_copy(self._base)
        offset = 0
        for name, part in parts.items():
            setattr(task, name, queries.address + 4 * offset)
            packed[offset : offset + len(part)] = part
            offset += len(part)
        histogram_bytes = 4 * BINS * num_queries
        count_bytes = 4 * (num_queries + num_queries % 2)  # the keys after it stay aligned to 8 bytes
        work = self._driver.scratch("work", histogram_bytes + count_bytes + 8 * num_queries * k)
        slot_bytes = max(8 * len(distinct), self._free // 4)
        windows = int(min(self._num_windows, max(1, slot_bytes // max(1, 8 * len(distinct)))))
        slots = self._driver.scratch("slots", 8 * windows * len(distinct))
        candidates = self._driver.scratch("candidates", 8 * capacity * num_queries)
        task.histogram, task.count = work.address, work.address + histogram_bytes
        task.best = work.address + histogram_bytes + count_bytes
        task.slots, task.candidates = slots.address, candidates.address
        task.num_queries, task.num_rows, task.k, task.capacity = num_queries, len(distinct), k, capacity
        submission = Submission(self._driver, task)
        submission.upload(packed, queries.address)
        submission.clear(work.address, histogram_bytes + count_bytes)
        return _Prepared(
            task=task, submission=submission, num_queries=num_queries, candidates=candidates, windows_per_launch=windows
        )

    def _enter(self, number: int, prepared: _Prepared) -> None:
        """Continue with a group of windows; the launches so far may still read the previous one."""
        if number:
            prepared.submission.flush()
            self._parts.leave(number - 1)
        self._parts.enter(number, prepared.task)

    def _score(self, sink: str, prepared: _Prepared, first: int, count: int) -> None:
        """Find the lists of the windows first .. first + count of the spread order, then score them."""
        task, threads = prepared.task, self._limits.threads
        parties = prepared.num_queries if self._head is None else -(-prepared.num_queries // HEAD_QUERIES)
        shared = self._shared + (4 * BINS if sink == "sample" else 0)
        num_rows, launch = task.num_rows, prepared.submission.launch
        for start in range(first, first + count, prepared.windows_per_launch):
            windows = min(prepared.windows_per_launch, first + count - start)
            blocks = -(-windows * num_rows // SMALL_BLOCK)
            launch(self._kernels["sir_resolve"], (blocks, SMALL_BLOCK), 0, (start, windows))
            launch(self._kernels[sink], (windows * parties, threads), shared, (start, windows))

    def _tighten(self, prepared: _Prepared, *, clear: bool) -> None:
        grid = (prepared.num_queries, SMALL_BLOCK)
        prepared.submission.launch(self._kernels["sir_tighten"], grid, 4 * 36, clear=int(clear))

    def _best(self, prepared: _Prepared, k: int) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
        """Sort keys (Q, k) and the number of candidates each query met."""
        num_queries, capacity = prepared.num_queries, prepared.task.capacity
        if k <= MAX_FUSED_K:
            shared = 4 * (40 + 256) + 8 * (1 << (k - 1).bit_length())
            threads = min(512, max(SMALL_BLOCK, self._limits.threads))
            prepared.submission.launch(self._kernels["sir_select"], (num_queries, threads), shared)
        padded = num_queries + num_queries % 2
        both = np.empty(padded + 2 * num_queries * k, np.uint32)
        prepared.submission.flush(both, prepared.task.count)
        counts = both[:num_queries]
        if k <= MAX_FUSED_K:
            return both[padded:].view(np.uint64).reshape(num_queries, k).copy(), counts
        keys = np.zeros((num_queries, k), np.uint64)
        for q in range(num_queries):
            candidates = np.empty(min(int(counts[q]), capacity), np.uint64)
            prepared.candidates.download(candidates, 8 * capacity * q)
            best = np.sort(candidates)[::-1][:k]
            keys[q, : len(best)] = best
        return keys, counts

    def _search_all_scores(self, rows: QueryBatch, k: int) -> NDArray[np.uint64]:
        """The last resort, for masses of equal scores: every score comes to the host and is selected there."""
        keys = np.zeros((len(rows), k), np.uint64)
        per_chunk = int(max(1, min(self._free // 2 // (4 * self._num_docs), MAX_GRID // self._num_windows)))
        own = np.arange(self._num_docs) if self._ordinals is None else self._ordinals
        complement = (ORDINAL_MASK - own.astype(np.int64)).astype(np.uint64)
        for start, stop in rows.chunks(per_chunk):
            prepared = self._prepare(rows.slice(start, stop), 1, np.ones(stop - start, np.int32))
            scores = self._driver.scratch("scores", 4 * self._num_docs * (stop - start))
            prepared.task.scores = scores.address
            for number, (first, end) in enumerate(self._parts.groups):
                self._enter(number, prepared)
                self._score("store", prepared, first, end - first)
            prepared.submission.flush()
            one = np.empty(self._num_docs, np.int32)
            for q in range(stop - start):
                scores.download(one, 4 * self._num_docs * q)
                hits = np.flatnonzero(one > 0)
                found = one[hits].astype(np.uint64) << np.uint64(32) | complement[hits]
                if len(found) > k:
                    found = np.partition(found, len(found) - k)[-k:]
                keys[start + q, : len(found)] = np.sort(found)[::-1]
        return keys
