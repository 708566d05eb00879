"""The exact CPU engines: scratch for each thread, single queries, threaded batches."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from indexer import Index, SparseVectors
from indexer.native.engine import APPROXIMATE, ENGINES, Batch, NativeIndex, Scratch
from sparseir.errors import ConfigError, DataError, SparseIRError
from sparseir.search.engines import Allowed, Bitmaps, Engine, EngineConfig, no_such_engine
from sparseir.search.results import Ranking

_COUNTERS = ("postings_scored", "bounds_computed", "blocks_visited", "documents_scored")
_LEAST_TERMS = 64
"""Scratch is made for at least this many query terms, so that it is large enough for most queries."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Knobs:
    """How approximate search departs from the block filter; see docs/algorithms.md.

    Parameters
    ----------
    bound_factor : bounds of blocks are divided by it; 1 is exact search, whatever bound_mass says.
    bound_mass : only the query's heaviest terms, which hold this share of what all may score, are in the bounds.
    max_blocks : blocks of 32 documents scored at most a segment, best bounds first; 0 for no limit.
    """

    bound_factor: float = 1.0
    bound_mass: float = 1.0
    max_blocks: int = 0


def open_native(index: Index) -> NativeIndex:
    """The segments of an index, opened by the C library."""
    for segment in index.segments:
        segment.read_dictionary_ahead()
    return NativeIndex(
        [segment.data for segment in index.segments],
        doc_scale=index.doc_scale,
        deleted=[segment.deleted for segment in index.segments],
        ordinal_end=index.manifest.next_ordinal,
    )


def open_engine(choice: str | EngineConfig, index: Index, native: NativeIndex, num_threads: int) -> CpuEngine:
    """As `engines.open_engine`."""
    return CpuEngine(native, engine=str(choice), num_threads=num_threads)


class CpuEngine(Engine):
    """Runs searches in opened segments.

    Parameters
    ----------
    native : the segments.
    engine : one of `indexer.native.engine.ENGINES`; all give the same hits.
    num_threads : threads of a batch.

    Raises
    ------
    ConfigError : no such engine or number of threads, or the index lacks what the engine needs.
    """

    takes_views = True

    def __init__(self, native: NativeIndex, *, engine: str = "auto", num_threads: int = 1) -> None:
        if num_threads < 1:
            raise ConfigError(f"num_threads is {num_threads}; it must be at least 1")
        if engine not in ENGINES:
            raise no_such_engine(engine)
        if engine not in native.engines:
            raise needs_blocks(engine, native)
        self.name, self.native, self.num_threads = engine, native, num_threads
        self._number = ENGINES[engine]
        self._made: list[_Lent] = []
        self._idle: list[_Lent] = []

    def scratch(self, k: int, num_terms: int, allowed: Allowed = None, knobs: Knobs | None = None) -> _Lent:
        """What one thread needs to search; `with` gives it back and lifts the restriction.

        Parameters
        ----------
        num_terms : of the longest query.
        knobs : None for exact search.
        """
        try:
            lent = self._idle.pop()
        except IndexError:
            lent = self._make(k, max(num_terms, _LEAST_TERMS))
        if lent.max_k < k or lent.max_terms < num_terms:
            lent = self._replace(lent, k, num_terms)
        request = lent.request
        request.k = k
        if knobs is None:
            request.engine = self._number
        else:
            request.engine = APPROXIMATE
            request.bound_factor, request.bound_mass = knobs.bound_factor, knobs.bound_mass
            request.max_blocks = knobs.max_blocks
        if allowed is not None:
            lent.restrict(allowed)
        lent.home = self._idle
        return lent

    def search_terms(
        self,
        term_ids: NDArray[np.uint32],
        weights: NDArray[np.float32],
        k: int,
        allowed: Allowed,
        knobs: Knobs | None = None,
    ) -> Ranking:
        """As `Engine.search_terms`."""
        n = len(term_ids)
        with self.scratch(k, n, allowed, knobs) as scratch:
            scratch.term_ids[:n] = term_ids
            scratch.weights[:n] = weights
            try:
                scratch.search(n)
            except SparseIRError as error:
                raise DataError(str(error)) from None
            return Ranking(scratch.ordinals[:k].copy(), scratch.scores[:k].copy())

    def search_vectors(self, vectors: SparseVectors, k: int, allowed: Allowed, knobs: Knobs | None = None) -> Ranking:
        """As `Engine.search_vectors`, over threads that run without the interpreter's lock."""
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
        longest = int(np.diff(vectors.indptr).max(initial=0))

        def work() -> None:
            with self.scratch(k, longest, allowed, knobs) as scratch:
                scratch.search_batch(batch)

        _in_threads(work, max(1, min(self.num_threads, len(vectors))))
        return Ranking(ordinals, scores)

    def search_integers(
        self, term_ids: NDArray[np.uint32], query_weights: NDArray[np.uint32], k: int, allowed: Allowed = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Ordinals and integer scores of one query of integer weights, padded with -1 and 0."""
        with self.scratch(k, len(term_ids), allowed) as scratch:
            scratch.term_ids[: len(term_ids)] = term_ids
            scores = scratch.search_quantized(query_weights, len(term_ids))
            return scratch.ordinals[:k].copy(), scores.astype(np.int64)

    def impacts(self, term_ids: NDArray[np.uint32], document: Bitmaps) -> NDArray[np.int64]:
        """As `Engine.impacts`."""
        one = np.ones(1, np.uint32)
        scores = [self.search_integers(term_ids[i : i + 1], one, 1, document)[1] for i in range(len(term_ids))]
        return np.concatenate([np.zeros(0, np.int64), *scores])

    def stats(self) -> dict[str, int]:
        """Postings scored, bounds computed, blocks visited and documents scored by all searches so far."""
        return {name: sum(int(getattr(scratch.stats, name)) for scratch in self._made) for name in _COUNTERS}

    def _make(self, k: int, num_terms: int) -> _Lent:
        made = _Lent(self.native, k, num_terms)
        self._made.append(made)
        return made

    def _replace(self, small: _Lent, k: int, num_terms: int) -> _Lent:
        """A scratch for larger requests; it takes over the counters of the one it replaces."""
        self._made.remove(small)
        made = self._make(max(k, small.max_k), max(num_terms, small.max_terms))
        made.add_stats(small.stats)
        return made


class _Lent(Scratch):
    """A scratch that is put back among the idle ones, without a restriction, at the end of a `with`."""

    def __init__(self, native: NativeIndex, k: int, num_terms: int) -> None:
        super().__init__(native, k, num_terms)
        self.home: list[_Lent] | None = None
        """The list of idle ones that it returns to; None while it is in that list, since that would be a cycle."""
        self._native, self._restricted = native, False

    def restrict(self, allowed: Allowed) -> None:
        """Let only these documents be hits until the scratch is put back."""
        self._restricted = True
        if isinstance(allowed, NativeIndex):
            self.search_in(allowed)
        else:
            self.allow(allowed)

    def __enter__(self) -> _Lent:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._restricted:
            self._restricted = False
            self.search_in(self._native)
            self.allow(None)
        home, self.home = self.home, None
        if home is not None:
            home.append(self)


def needs_blocks(engine: str, native: NativeIndex) -> ConfigError:
    """The error for an engine that needs block maxima, which the index lacks."""
    return ConfigError(
        f"engine {engine!r} needs maxima of blocks, which a compact index lacks; it has: "
        f"{', '.join(native.engines)}; 'sparseir index compact --layout standard' makes them"
    )


def _in_threads(work: Callable[[], None], count: int) -> None:
    """Run it in `count` threads, this one included; the first failure is raised when all have ended."""
    failures: list[BaseException] = []

    def caught() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=caught) for _ in range(count - 1)]
    for thread in threads:
        thread.start()
    caught()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
