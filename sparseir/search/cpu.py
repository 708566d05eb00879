"""The CPU engines behind one interface: scratch for each thread, single queries, threaded batches."""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer import SparseVectors
from indexer.native.engine import APPROXIMATE, ENGINES, Batch, NativeIndex, Scratch
from sparseir.errors import ConfigError, DataError

Allowed = list[NDArray[np.uint64]] | NativeIndex | None
"""Bitmap of the documents that may be hits, one a segment, or an index in memory that holds them alone; None: all."""

MAX_K = 2**30


@dataclass(frozen=True, kw_only=True, slots=True)
class Knobs:
    """How approximate search departs from the block filter; see docs/algorithms.md.

    Parameters
    ----------
    bound_factor : bounds of blocks are divided by it; 1 is exact search, whatever bound_mass says.
    bound_mass : share of what a query's terms may score whose terms, heaviest first, are in the bounds.
    max_blocks : blocks of 32 documents scored at most a segment, best bounds first; 0 for no limit.
    """

    bound_factor: float = 1.0
    bound_mass: float = 1.0
    max_blocks: int = 0


class CpuEngine:
    """Runs searches in an opened index.

    Parameters
    ----------
    native : the opened segments.
    engine : one of `indexer.native.engine.ENGINES`.
    num_threads : threads of a batch.

    Attributes
    ----------
    knobs : None for exact search, else the knobs of approximate search by k and the queries' number of terms; they are None where
        it is exact.

    Raises
    ------
    ConfigError : an engine or a number of threads that does not exist.
    """

    def __init__(self, native: NativeIndex, *, engine: str = "auto", num_threads: int = 1) -> None:
        if num_threads < 1:
            raise ConfigError(f"num_threads is {num_threads}; it must be at least 1")
        self.native = native
        self.choose(engine)
        self.num_threads = num_threads
        self.knobs: Callable[[int, float], Knobs | None] | None = None
        self._idle: list[Scratch] = []

    def choose(self, engine: str) -> None:
        """Answer with another exact engine from now on."""
        if engine not in ENGINES:
            raise ConfigError(
                f"engine {engine!r} does not exist here; there are: {', '.join(ENGINES)}; and for an index folder: "
                "approximate, exact_float, gpu"
            )
        self.need_blocks(engine, engine not in self.native.engines)
        self.engine = engine

    def need_blocks(self, engine: str, missing: bool) -> None:
        """Refuse an engine whose maxima of blocks are missing in the index.

        Raises
        ------
        ConfigError : they are missing.
        """
        if missing:
            raise ConfigError(
                f"engine {engine!r} needs maxima of blocks, which a compact index lacks; it has: "
                f"{', '.join(self.native.engines)}; 'sparseir index compact --layout standard' makes them"
            )

    def take(self, k: int, num_terms: int, mean_terms: float = 0) -> Scratch:
        """A scratch that no other thread uses, large enough for queries of up to num_terms terms; `give` returns it.

        mean_terms is their mean number of terms, where it differs.
        """
        if type(k) is not int or not 1 <= k <= MAX_K:
            k = checked_k(k)
        try:
            scratch = self._idle.pop()
        except IndexError:
            scratch = None
        if scratch is None or scratch.max_k < k or scratch.max_terms < num_terms:
            largest_k = max(k, 0 if scratch is None else scratch.max_k)
            largest_terms = max(num_terms, 64 if scratch is None else scratch.max_terms)
            stats = None if scratch is None else scratch.stats
            scratch = Scratch(self.native, largest_k, largest_terms)
            if stats is not None:
                scratch.add_stats(stats)
        request = scratch.request
        request.k = k
        knobs = None if self.knobs is None else self.knobs(k, mean_terms or num_terms)
        if knobs is None:
            request.engine = ENGINES[self.engine]
        else:
            request.engine = APPROXIMATE
            request.bound_factor, request.bound_mass = knobs.bound_factor, knobs.bound_mass
            request.max_blocks = knobs.max_blocks
        return scratch

    def give(self, scratch: Scratch) -> None:
        self._idle.append(scratch)

    def restrict(self, scratch: Scratch, allowed: Allowed) -> None:
        """Let only these documents be hits of the scratch's next searches."""
        if not isinstance(allowed, NativeIndex):
            scratch.search_in(self.native)
            scratch.allow(allowed)
            return
        scratch.search_in(allowed)
        if (
            scratch.request.engine == APPROXIMATE
        ):  # its knobs were measured on all documents: filtered searches are exact
            scratch.request.engine = ENGINES["auto"]

    def search_restricted(self, scratch: Scratch, num_terms: int, allowed: Allowed) -> None:
        """Search what stands in the scratch among these documents."""
        self.restrict(scratch, allowed)
        scratch.search(num_terms)

    def stats(self) -> dict[str, int]:
        """Work of all searches so far: postings scored, bounds computed, blocks visited, documents scored."""
        names = ("postings_scored", "bounds_computed", "blocks_visited", "documents_scored")
        return {name: sum(int(getattr(scratch.stats, name)) for scratch in self._idle) for name in names}

    def search_integers(
        self, term_ids: NDArray[np.uint32], query_weights: NDArray[np.uint32], k: int, allowed: Allowed = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Ordinals and integer scores of one query of integer weights, padded with -1 and 0."""
        scratch = self.take(k, len(term_ids))
        try:
            self.restrict(scratch, allowed)
            scratch.term_ids[: len(term_ids)] = term_ids
            scores = scratch.search_quantized(query_weights, len(term_ids))
            return scratch.ordinals[:k].copy(), scores.astype(np.int64)
        finally:
            self.restrict(scratch, None)
            self.give(scratch)

    def search_vectors(
        self, vectors: SparseVectors, k: int, doc_scale: float, allowed: Allowed
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Ordinals (Q, k) and scores (Q, k) of a batch, over threads that run without the interpreter's lock.

        doc_scale is the index's, which the native handle knows: it stands here because other engines need it.
        """
        k = checked_k(k)  # before so much memory is asked for
        ordinals = np.full((len(vectors), k), -1, np.int64)
        scores = np.full((len(vectors), k), -np.inf, np.float32)
        taken = np.zeros(1, np.int64)
        arrays = (
            np.ascontiguousarray(vectors.indptr, np.int64),
            np.ascontiguousarray(vectors.term_ids, np.uint32),
            np.ascontiguousarray(vectors.weights, np.float32),
        )
        batch = Batch(
            *(array.ctypes.data for array in arrays),
            len(vectors),
            taken.ctypes.data,
            ordinals.ctypes.data,
            scores.ctypes.data,
        )
        longest, mean = int(np.diff(vectors.indptr).max(initial=0)), len(vectors.term_ids) / max(1, len(vectors))
        workers = [self.take(k, longest, mean) for _ in range(max(1, min(self.num_threads, len(vectors))))]
        for scratch in workers:
            self.restrict(scratch, allowed)
        try:
            _work_together(batch, workers)
        finally:
            for scratch in workers:
                self.restrict(scratch, None)
                self.give(scratch)
        return ordinals, scores


def checked_k(k: Any) -> int:
    """The number of hits asked for.

    Raises
    ------
    DataError : it is no whole number, or outside 1..MAX_K.
    """
    try:
        number = operator.index(k)
    except TypeError:
        number = 0
    if not 1 <= number <= MAX_K:
        raise DataError(f"k is {k!r}; it must be a whole number, 1..{MAX_K}")
    return number


def _work_together(batch: Any, workers: list[Scratch]) -> None:
    failures: list[BaseException] = []

    def work(scratch: Scratch) -> None:
        try:
            scratch.search_batch(batch)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(scratch,)) for scratch in workers[1:]]
    for thread in threads:
        thread.start()
    work(workers[0])
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
