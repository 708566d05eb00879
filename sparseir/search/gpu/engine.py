"""The gpu engine: exact top-k of query batches over the segments of an index, on a backend chosen at run time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from indexer import SparseVectors
from indexer.index import Index
from indexer.native.engine import NativeIndex
from indexer.native.queries import QueryBatch, initial_thresholds, quantize_queries
from sparseir.errors import ConfigError
from sparseir.search.engines import Allowed, Bitmaps, Engine, EngineConfig
from sparseir.search.gpu.backends import Backend, GpuConfig, OpenBackend, check_device, open_backend_of
from sparseir.search.gpu.batch import decode_keys
from sparseir.search.gpu.index_source import cached_layout, remove_stale_layouts, segment_postings
from sparseir.search.gpu.layout import DeviceLayout, build_layout
from sparseir.search.gpu.postings import SegmentPostings
from sparseir.search.gpu.windows import share_memory
from sparseir.search.results import Ranking


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Segment:
    postings: SegmentPostings
    backend: Backend


def open_engine(choice: str | EngineConfig, index: Index, native: NativeIndex, num_threads: int) -> GpuEngine:
    """As `engines.open_engine`; the segments are read from their files."""
    return GpuEngine.open(index, choice if isinstance(choice, GpuConfig) else GpuConfig())


class GpuEngine(Engine):
    """Exact search of query batches; ordinals and scores equal the CPU engines' to the bit.

    Parameters
    ----------
    segments : the posting lists of each segment of the index.
    config : backend, device, memory.
    doc_scale : weight of one impact unit.
    layouts : their device layouts, where they are built already.
    open_backend : what makes the backend of a segment; None is the choice of `config`.
    """

    name = "gpu"

    def __init__(
        self,
        segments: Sequence[SegmentPostings],
        config: GpuConfig | None = None,
        *,
        doc_scale: float = 1.0,
        layouts: Sequence[DeviceLayout] | None = None,
        open_backend: OpenBackend | None = None,
    ) -> None:
        self.config, self._doc_scale = config or GpuConfig(), doc_scale
        self._lock = threading.Lock()  # a backend has memory for one batch at a time
        opener = open_backend or open_backend_of
        if layouts is None:
            layouts = [build_layout(s, window_shift=self.config.window_shift) for s in segments]
        sizes = [layout.nbytes + 4 * layout.num_docs for layout in layouts]
        shares = share_memory(sizes, self.config.gpu_memory)
        self._segments = []
        for postings, layout, share in zip(segments, layouts, shares, strict=True):
            backend = opener(layout, postings, replace(self.config, gpu_memory=share))
            self._segments.append(_Segment(postings=postings, backend=backend))

    @classmethod
    def open(
        cls, index: Index, config: GpuConfig | None = None, *, open_backend: OpenBackend | None = None
    ) -> GpuEngine:
        """The engine of an opened index; layouts are kept in a folder beside it, so that the next start maps them."""
        config = config or GpuConfig()
        if open_backend is None:
            check_device(config)  # before the layouts, which take long and are written beside the index
        segments = [segment_postings(s) for s in index.segments]
        layouts = [
            cached_layout(index, s, p, config.window_shift) for s, p in zip(index.segments, segments, strict=True)
        ]
        remove_stale_layouts(index)
        return cls(segments, config, doc_scale=index.doc_scale, layouts=layouts, open_backend=open_backend)

    def search_vectors(self, vectors: SparseVectors, k: int, allowed: Allowed = None) -> Ranking:
        """As `Engine.search_vectors`: score = float32(float64(integer score) · doc_scale · query_scale)."""
        batch, scales = quantize_queries(vectors)
        ordinals, integers = self.search(batch, k, self._flags(allowed))
        scores = (integers.astype(np.float64) * self._doc_scale * scales[:, None]).astype(np.float32)
        return Ranking(ordinals, np.where(integers > 0, scores, np.float32(-np.inf)))

    def impacts(self, term_ids: NDArray[np.uint32], document: Bitmaps) -> NDArray[np.int64]:
        """As `Engine.impacts`: scores of one query of weight 1 a term."""
        count = len(term_ids)
        batch = QueryBatch(indptr=np.arange(count + 1), ids=term_ids, weights=np.ones(count, np.int32))
        return self.search(batch, 1, self._flags(document))[1][:, 0]

    def _flags(self, allowed: Allowed) -> list[NDArray[np.bool_]] | None:
        """Bitmaps as the backends take them, one bool a document."""
        if allowed is None:
            return None
        assert isinstance(allowed, list), "the gpu engine takes no views"
        return [
            np.unpackbits(bitmap.view(np.uint8), count=s.postings.num_docs, bitorder="little").astype(np.bool_)
            for s, bitmap in zip(self._segments, allowed, strict=True)
        ]

    def search(
        self, queries: QueryBatch, k: int, allowed: Sequence[NDArray[np.bool_]] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The k best documents of every query by (score descending, ordinal ascending); only scores > 0 are hits.

        Parameters
        ----------
        queries : integer weights over term ids. k : ≥ 1.
        allowed : one bool array (num_docs,) a segment, by doc_id: what may be found; None for all.

        Returns
        -------
        ordinals : int64 (Q, k), padded with -1. scores : int64 (Q, k), padded with 0.
        """
        if k < 1:
            raise ConfigError(f"k is {k}; ask for at least one hit")
        ordinals = np.full((len(queries), k), -1, np.int64)
        scores = np.zeros((len(queries), k), np.int64)
        for number, segment in enumerate(self._segments):
            mask = None if allowed is None else allowed[number]
            found, found_scores = decode_keys(self._search_segment(segment, queries, k, mask, scores[:, k - 1]))
            # Keys hold an ordinal in 32 bits, counted from the segment's base; ordinals of an index may need 62.
            found[found_scores > 0] += segment.postings.ordinal_base
            if number == 0:
                ordinals, scores = found, found_scores
            else:
                ordinals, scores = _best_of(np.hstack([ordinals, found]), np.hstack([scores, found_scores]), k)
        return ordinals, scores

    def _search_segment(
        self,
        segment: _Segment,
        queries: QueryBatch,
        k: int,
        allowed: NDArray[np.bool_] | None,
        kth: NDArray[np.int64],
    ) -> NDArray[np.uint64]:
        postings = segment.postings
        rows = queries.resolve(postings.term_ids)
        # The k-th score of the previous segments is a safe threshold: documents that tie with it are kept, and the
        # merge decides.
        thresholds = np.maximum(kth, 1).astype(np.int32)
        if allowed is None:
            num_deleted = 0 if postings.deleted is None else len(postings.deleted)
            thresholds = np.maximum(thresholds, initial_thresholds(rows, postings.ladder, k, num_deleted))
        with self._lock:
            return segment.backend.search(rows, k, thresholds, _live(postings, allowed))


def _best_of(
    ordinals: NDArray[np.int64], scores: NDArray[np.int64], k: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first k of each row by (score descending, ordinal ascending); padding has score 0."""
    order = np.lexsort((ordinals, -scores), axis=1)[:, :k]
    return np.take_along_axis(ordinals, order, 1), np.take_along_axis(scores, order, 1)


def _live(postings: SegmentPostings, allowed: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    """Which documents may be found, or None for all."""
    if postings.deleted is None:
        return allowed
    live = np.ones(postings.num_docs, np.bool_) if allowed is None else allowed.copy()
    live[postings.deleted] = False
    return live
