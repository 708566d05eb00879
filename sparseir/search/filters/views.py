"""Views: small indexes in memory of the documents that a filter allows, made for filters that are used again.

Searching the whole index under a bitmap is slow where the allowed documents are scattered: each bound covers a block of
32 documents of which perhaps one is allowed, and no initial threshold is known. A view has bounds and initial
thresholds of its own. Making it costs a pass over the index, so it is made only when the filter's searches have taken
as long as making it would. That costs at most twice the best choice in hindsight (ski rental; Karlin et al. 1988). Of a
batch the remaining searches are known, and are counted in advance.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count

import numpy as np
from numpy.typing import NDArray

from indexer import Index, SparseVectors
from indexer.native.engine import NativeIndex
from sparseir.errors import ConfigError
from sparseir.search.engines import Allowed
from sparseir.search.results import Ranking

_READ_NS, _KEPT_NS, _TERM_NS = 0.5, 18.0, 700.0
"""Making a view takes: per posting in windows that hold an allowed document, per posting kept, per term; fitted on a million
documents."""
_WINDOW_WORDS = 1024
"""Words of a bitmap in a window of 65,536 documents; windows without an allowed document are skipped."""
_KEPT_BYTES, _TERM_BYTES = 4.7, 70
"""Size of a view, an overestimate: per posting kept, per term."""
_LEAST_SECONDS, _LEAST_BYTES = 1e-3, 2048
"""What the smallest view takes."""
_PILOT = 32
"""First queries of a batch, whose time tells what the others will cost."""


@dataclass(kw_only=True, slots=True, eq=False, weakref_slot=True)
class FilterUse:
    """What a filter's searches have cost so far, and its view; see `FilterViews`.

    Parameters
    ----------
    wanted : a view may be made.
    searches, seconds : searches under the bitmaps, and the time they took.
    price, view_bytes : what making the view would take in seconds, and its size; 0 until they are needed.
    view : an index in memory of the documents allowed, or None.
    last_used : a counter: the filter used last has the largest.
    """

    wanted: bool = True
    searches: int = 0
    seconds: float = 0.0
    price: float = 0.0
    view_bytes: int = 0
    view: NativeIndex | None = None
    last_used: int = 0

    def charge(self, seconds: float, searches: int) -> None:
        """Count searches under the bitmaps."""
        self.seconds += seconds
        self.searches += searches

    def drop(self) -> None:
        """Free the view; another is made only when later searches have paid for it."""
        self.view, self.searches, self.seconds = None, 0, 0.0


@dataclass(frozen=True, slots=True, eq=False)
class PreparedFilter:
    """A filter evaluated once, for many searches of the same snapshot.

    Parameters
    ----------
    index : the snapshot it belongs to.
    bitmaps : as `allowed_documents` makes them.
    use : what its searches did so far.
    """

    index: Index
    bitmaps: list[NDArray[np.uint64]]
    use: FilterUse = field(default_factory=FilterUse, repr=False)


class FilterViews:
    """Makes, keeps and drops the views of one searcher.

    Parameters
    ----------
    index : the snapshot that is searched.
    native : its segments, opened.
    share : bytes of all views at most, as a share of the index's; 0 makes none.
    num_threads : threads that make a view.
    """

    def __init__(self, index: Index, native: NativeIndex, share: float, num_threads: int = 1) -> None:
        if not 0 <= share < float("inf"):
            raise ConfigError(f"filter_memory is {share}; it is a share of the index's size, 0 or more")
        self._index, self._native, self._num_threads = index, native, num_threads
        self.budget = int(share * sum(segment.entry.bytes for segment in index.segments))
        self._lock = threading.Lock()
        self._kept: weakref.WeakSet[FilterUse] = weakref.WeakSet()  # changed under the lock
        self._clock = count(1)

    def search(self, run: Callable[[Allowed], Ranking], prepared: PreparedFilter, queries: int = 1) -> Ranking:
        """What `run` answers to some queries under a filter: in its view, made now where it pays, or under its bitmaps."""
        allowed = self._restriction(prepared, queries)
        start = time.perf_counter()
        answer = run(allowed)
        if allowed is prepared.bitmaps:
            prepared.use.charge(time.perf_counter() - start, queries)
        return answer

    def search_batch(
        self, run: Callable[[SparseVectors, Allowed], Ranking], vectors: SparseVectors, prepared: PreparedFilter
    ) -> Ranking:
        """As `search`, for a batch; where the filter is new, the first queries tell what the others would cost."""
        use, size = prepared.use, len(vectors)
        pilot = min(_PILOT, size) if use.wanted and use.view is None and not use.searches else size
        first = self.search(partial(run, vectors.slice(0, pilot)), prepared, pilot)
        if pilot == size:
            return first
        others = self.search(partial(run, vectors.slice(pilot, size)), prepared, size - pilot)
        return Ranking(np.concatenate([first.ordinals, others.ordinals]), np.concatenate([first.scores, others.scores]))

    def make(self, prepared: PreparedFilter) -> None:
        """Make the filter's view now, if it has none.

        Raises
        ------
        ConfigError : it would be larger than all views may be.
        """
        self._appraise(prepared)
        prepared.use.last_used = next(self._clock)
        with self._lock:
            prepared.use.wanted = True
            self._make(prepared)
        if prepared.use.view is None:
            needed, stored = prepared.use.view_bytes, sum(segment.entry.bytes for segment in self._index.segments)
            raise ConfigError(
                f"a view of this filter takes about {needed / 1e6:.1f} MB, and views may take {self.budget / 1e6:.1f} MB; "
                f"open the searcher with filter_memory={needed / stored + 0.005:.2f}"
            )

    def _restriction(self, prepared: PreparedFilter, queries: int) -> Allowed:
        """What searches are restricted by: the filter's view, made now where that pays for this many, or its bitmaps."""
        use = prepared.use
        use.last_used = next(self._clock)
        if use.view is None and use.wanted and use.searches:
            self._appraise(prepared)
            if use.seconds * (1 + queries / use.searches) >= use.price and self._lock.acquire(blocking=False):
                try:  # one view is made at a time; other threads search with the bitmaps meanwhile
                    self._make(prepared)
                except MemoryError:  # searching with the bitmaps is correct too
                    use.wanted = False
                finally:
                    self._lock.release()
        return use.view or prepared.bitmaps

    def _appraise(self, prepared: PreparedFilter) -> None:
        """Estimate the seconds and bytes that the filter's view would take."""
        use, read, kept, terms = prepared.use, 0.0, 0.0, 0
        if use.price:
            return
        for segment, bitmap in zip(self._index.segments, prepared.bitmaps, strict=True):
            postings, documents = segment.header.num_postings, max(1, segment.num_docs)
            windows = np.add.reduceat(_population(bitmap), np.arange(0, len(bitmap), _WINDOW_WORDS), dtype=np.int64)
            read += postings * np.count_nonzero(windows) / max(1, len(windows))
            kept += postings * int(windows.sum()) / documents
            terms += segment.header.num_terms
        use.view_bytes = int(_KEPT_BYTES * kept + _TERM_BYTES * min(kept, terms)) + _LEAST_BYTES
        nanoseconds = _READ_NS * read / self._num_threads + _KEPT_NS * kept + _TERM_NS * min(kept, terms)
        use.price = 1e-9 * nanoseconds + _LEAST_SECONDS

    def _make(self, prepared: PreparedFilter) -> None:
        use = prepared.use
        if use.view is not None or not self._make_room(use):
            return
        from indexer.merge.subset import subset_segment  # merging is a half of the package that few searches need

        data = subset_segment(self._index, self._native, prepared.bitmaps, self._num_threads)
        use.view_bytes = data.nbytes
        if self._make_room(use):
            use.view = NativeIndex([data], doc_scale=self._index.doc_scale)
            self._kept.add(use)

    def _make_room(self, new: FilterUse) -> bool:
        """Drop the least recently used views until another fits; False if it cannot fit at all."""
        if new.view_bytes > self.budget:
            new.wanted = False
            return False
        kept = sorted(self._kept, key=lambda use: use.last_used)
        held = sum(use.view_bytes for use in kept)
        for use in kept:
            if held + new.view_bytes <= self.budget:
                break
            held -= use.view_bytes
            use.drop()
            self._kept.discard(use)
        return True


def _population(bitmap: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Bits set in each word."""
    return np.unpackbits(bitmap.view(np.uint8)).reshape(-1, 64).sum(axis=1, dtype=np.uint8)
