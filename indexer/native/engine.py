"""The search half of the binding: an opened native index and the scratch of one thread."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.native.header import (
    Batch,
    DocumentSample,
    Error,
    FloatRequest,
    IndexOptions,
    Request,
    SegmentSource,
    Stats,
    Subset,
)
from indexer.native.library import check, library

ENGINES = {"auto": 0, "exhaustive": 1, "maxscore": 2, "wand": 3, "block_max_wand": 4, "block_filter": 5}
"""Exact engines, which all give the same hits."""
APPROXIMATE = 6
_SUBSET_ROOM = 1 << 22
"""Postings of a subset that are read at a time, at least: 20 MB."""
_LINES = 128
"""Bytes that processors fetch together: two cache lines."""
INSTRUCTION_SETS = {"best": 0, "scalar": 1, "avx2": 2, "avx512": 3, "neon": 4}


def aligned(num_bytes: int, alignment: int = 64) -> NDArray[np.uint8]:
    """Uninitialised bytes that start at a multiple of `alignment`."""
    raw = np.empty(num_bytes + alignment, np.uint8)
    start = -raw.ctypes.data % alignment
    return raw[start : start + num_bytes]


def pointer(array: NDArray[Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


class NativeIndex:
    """Segments opened by the C library.

    Parameters
    ----------
    segments : buffers (bytes, memoryview of a mapped file, uint8 array), 8-byte aligned; kept alive by this object.
    deleted : per segment a bitmap (uint8, bit d mod 8 of byte d // 8) or None.
    doc_scale : weight of one impact unit.
    isa : instruction set, one of `INSTRUCTION_SETS`.
    ordinal_end : every ordinal is below it; 0: unknown, and the ordinals of several segments are read to find out.

    Raises
    ------
    IndexFormatError, NativeError
    """

    def __init__(
        self,
        segments: Sequence[Any],
        *,
        doc_scale: float,
        deleted: Sequence[NDArray[np.uint8] | None] | None = None,
        isa: str = "best",
        ordinal_end: int = 0,
    ) -> None:
        self._buffers = [np.frombuffer(s, np.uint8) for s in segments]
        bitmaps = [None] * len(segments) if deleted is None else list(deleted)
        sources = (SegmentSource * max(1, len(segments)))()
        for source, buffer, bitmap in zip(sources, self._buffers, bitmaps, strict=False):
            source.bytes, source.length = buffer.ctypes.data, buffer.nbytes
            if bitmap is not None:
                source.deleted, source.deleted_length = bitmap.ctypes.data, bitmap.nbytes
        options = IndexOptions(doc_scale, ordinal_end, INSTRUCTION_SETS[isa])
        error, handle = Error(), ctypes.c_void_p()
        self.handle: ctypes.c_void_p | None = None
        references = (ctypes.byref(options), ctypes.byref(handle), ctypes.byref(error))
        check(library.sir_index_open(sources, len(segments), *references), error)
        self.handle = handle
        self.segment_docs = [library.sir_index_segment_docs(handle, i) for i in range(len(segments))]

    @property
    def isa(self) -> str:
        """The instruction set in use."""
        number = library.sir_index_isa(self.handle)
        return next(name for name, value in INSTRUCTION_SETS.items() if value == number)

    @property
    def engines(self) -> tuple[str, ...]:
        """Exact engines that can run: every segment has what they need."""
        mask = library.sir_index_engines(self.handle)
        return tuple(name for name, number in ENGINES.items() if mask >> number & 1)

    def float_scores(
        self, segment: int, doc_ids: NDArray[np.uint32], term_ids: NDArray[np.uint32], weights: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """float64 scores of documents over the stored weights, added up in the order of the terms, which ascend."""
        scores, error = np.zeros(len(doc_ids), np.float64), Error()
        docs, terms, values = (np.ascontiguousarray(a) for a in (doc_ids, term_ids, weights))
        request = FloatRequest(segment, len(docs), len(terms), docs.ctypes.data, terms.ctypes.data, values.ctypes.data)
        status = library.sir_float_scores(self.handle, ctypes.byref(request), pointer(scores), ctypes.byref(error))
        check(status, error)
        return scores

    def document_vectors(
        self, segment: int, doc_ids: NDArray[np.uint32], terms: NDArray[np.uint32] | None = None
    ) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint8]]:
        """Postings of some documents: which of `doc_ids` (its position), term ids, impacts; a document's ascend.

        Parameters
        ----------
        terms : which of the segment's terms to look at, by place, ascending; None for all.
        """
        places = None if terms is None else np.ascontiguousarray(terms, np.uint32)
        looked_at = (None, 0) if places is None else (places.ctypes.data, len(places))
        documents, room = np.ascontiguousarray(doc_ids, np.uint32), 512 * len(doc_ids)
        while True:
            numbers, term_ids, impacts = np.zeros(room, np.uint32), np.zeros(room, np.uint32), np.zeros(room, np.uint8)
            sample, error = DocumentSample(documents.ctypes.data, segment, len(documents), *looked_at, room), Error()
            sample.numbers, sample.term_ids, sample.impacts = (a.ctypes.data for a in (numbers, term_ids, impacts))
            check(library.sir_document_vectors(self.handle, ctypes.byref(sample), ctypes.byref(error)), error)
            if sample.count <= room:
                return numbers[: sample.count], term_ids[: sample.count], impacts[: sample.count]
            room = sample.count

    def subset_postings(
        self, segment: int, allowed: NDArray[np.uint64], doc_base: int, df: NDArray[np.uint32], span: tuple[int, int]
    ) -> Iterator[tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint8]]]:
        """Postings of the documents of a bitmap, some terms at a time: how many each term has, new doc_ids, impacts.

        Parameters
        ----------
        allowed : bit d mod 64 of word d // 64 set where doc_id d is wanted, ⌈num_docs / 64⌉ words.
        doc_base : new doc_id of the first of them; the others follow in their order.
        df : length of each of the segment's lists.
        span : the first term and one past the last; disjoint spans may be read in parallel.
        """
        words = np.zeros(-(-self.segment_docs[segment] >> 16) << 10, np.uint64)
        words[: len(allowed)] = allowed
        (begin, end), room = span, max(_SUBSET_ROOM, int(df[slice(*span)].max(initial=0)))
        counts, ranks = np.empty(len(df), np.uint32), np.empty(len(words) + 1, np.uint32)
        doc_ids, impacts = np.empty(room, np.uint32), np.empty(room, np.uint8)
        unpacked, error = np.empty((1 << 16) + 64, np.uint16), Error()
        arrays = (counts, doc_ids, impacts, ranks, unpacked)
        request = Subset(words.ctypes.data, segment, doc_base, begin, end, room, 0, *(a.ctypes.data for a in arrays))
        while begin < end:
            check(library.sir_subset_postings(self.handle, ctypes.byref(request), ctypes.byref(error)), error)
            found = request.count
            yield counts[begin : request.next_term].copy(), doc_ids[:found].copy(), impacts[:found].copy()
            begin = request.next_term

    def close(self) -> None:
        """Release the native handle; searches must have ended."""
        if self.handle is not None:
            library.sir_index_close(self.handle)
            self.handle = None
        self._buffers = []

    def __del__(self) -> None:
        self.close()


class Scratch:
    """What one thread needs for searches of up to `k` hits and `num_terms` query terms: scratch, inputs, outputs.

    Everything is allocated here once, with its pointers, so that a query costs no allocation in C and a few
    microseconds in Python.
    """

    def __init__(self, index: NativeIndex, k: int, num_terms: int) -> None:
        self.index = index
        self.max_k, self.max_terms = k, num_terms
        self.memory = aligned(int(library.sir_workspace_bytes(index.handle, k, num_terms)))
        self.term_ids = np.zeros(num_terms, np.uint32)
        self.weights = np.zeros(num_terms, np.float32)
        self.ordinals = np.zeros(k, np.int64)
        self.scores = np.zeros(k, np.float32)
        # On cache lines of its own: where two threads share one, every addition takes the line from the other thread.
        lines = aligned(-(-ctypes.sizeof(Stats) // _LINES) * _LINES, _LINES)
        lines[:] = 0
        self.stats = Stats.from_buffer(lines.data)
        self.error, self.request = Error(), Request()
        self.request.workspace, self.request.workspace_bytes = self.memory.ctypes.data, self.memory.nbytes
        self.request.stats = ctypes.addressof(self.stats)
        self._inputs = (ctypes.byref(self.request), pointer(self.term_ids), pointer(self.weights))
        self._tail = (pointer(self.ordinals), pointer(self.scores), ctypes.byref(self.error))

    def search_in(self, index: NativeIndex) -> None:
        """Search another index from now on, which needs no more scratch: any subset of this one's documents does not."""
        self.index = index

    def add_stats(self, stats: Stats) -> None:
        """Count what another scratch, which this one replaces, has counted."""
        for name in ("postings_scored", "bounds_computed", "blocks_visited", "documents_scored"):
            setattr(self.stats, name, getattr(self.stats, name) + getattr(stats, name))
        for engine, count in enumerate(stats.queries):
            self.stats.queries[engine] += count

    def allow(self, bitmaps: Sequence[NDArray[np.uint64]] | None) -> None:
        """Let only documents of these bitmaps, one a segment, be hits of the searches to come; None lifts it.

        Bit d mod 64 of word d // 64 is doc_id d; each bitmap has ⌈num_docs / 64⌉ words.
        """
        if bitmaps is None:
            self._allowed: tuple[Any, ...] = ()
            self.request.allowed = None
            return
        addresses = np.array([bitmap.ctypes.data for bitmap in bitmaps] or [0], np.uintp)
        self._allowed = (addresses, tuple(bitmaps))  # kept alive while the request points at them
        self.request.allowed = addresses.ctypes.data

    def search(self, num_terms: int) -> None:
        """Search the query in `term_ids` and `weights`; the answer is in `ordinals` and `scores`."""
        status = library.sir_search(self.index.handle, *self._inputs, ctypes.c_uint32(num_terms), *self._tail)
        if status:
            check(status, self.error)

    def search_quantized(self, weights: NDArray[np.uint32], num_terms: int) -> NDArray[np.uint32]:
        """As `search`, with integer query weights; returns the integer scores."""
        scores = np.zeros(self.request.k, np.uint32)
        request, terms, _ = self._inputs
        ordinals, _, error = self._tail
        status = library.sir_search_quantized(
            self.index.handle,
            request,
            terms,
            pointer(weights),
            ctypes.c_uint32(num_terms),
            ordinals,
            pointer(scores),
            error,
        )
        check(status, self.error)
        return scores

    def search_batch(self, batch: Batch) -> None:
        """Take rows of the batch until none is left."""
        status = library.sir_search_batch(
            self.index.handle, ctypes.byref(self.request), ctypes.byref(batch), ctypes.byref(self.error)
        )
        check(status, self.error)
