"""The gpu engine: exact top-k of query batches over the segments of an index, on a backend chosen at run time."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from indexer import SparseVectors
from indexer.index import Index
from sparseir.errors import ConfigError, MissingExtraError, NativeError
from sparseir.search.gpu.batch import QueryBatch, decode_keys, initial_thresholds, quantize_queries
from sparseir.search.gpu.head import split_head
from sparseir.search.gpu.index_source import cached_layout, remove_stale_layouts, segment_postings
from sparseir.search.gpu.layout import DEFAULT_WINDOW_SHIFT, DeviceLayout, build_layout
from sparseir.search.gpu.postings import SegmentPostings

if TYPE_CHECKING:
    from sparseir.search.gpu.driver import Driver

HYBRID_WINDOW_SHIFT = 12
"""With a dense head a block holds the scores of eight queries: 4,096 documents are 128 KiB."""

BackendName = Literal["auto", "cuda", "triton", "torch"]


@dataclass(frozen=True, kw_only=True, slots=True)
class GpuConfig:
    """How the gpu engine runs.

    Parameters
    ----------
    backend : 'cuda' (compiled kernels), 'triton', 'torch', or 'auto': the first of these that this machine can run.
    device : torch device of the triton and torch backends; 'auto' is cuda where there is one, else cpu.
    gpu_memory : bytes the engine may take on the device, layout included; batches are cut to fit.
    window_shift : log2 of the documents in a window, 5..15.
    head_terms : the most frequent terms go through tensor cores as a dense matrix (cuda only; rounded up to a multiple of
        32). 0 is none, and the default until bench/gpu/run.py has shown a gain on the device at hand.
    """

    backend: BackendName = "auto"
    device: str = "auto"
    gpu_memory: int = 8 << 30
    window_shift: int = DEFAULT_WINDOW_SHIFT
    head_terms: int = 0


class Backend(Protocol):
    """Scores one segment."""

    def search(
        self,
        rows: QueryBatch,
        k: int,
        thresholds: NDArray[np.int32],
        live: NDArray[np.bool_] | None,
    ) -> NDArray[np.uint64]: ...


Allowed = Sequence[NDArray[np.bool_]]
OpenBackend = Callable[[DeviceLayout, SegmentPostings, GpuConfig], Backend]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Segment:
    postings: SegmentPostings
    backend: Backend


class GpuEngine:
    """Exact search of query batches; ordinals and scores equal the CPU engines' to the bit.

    Parameters
    ----------
    segments : the posting lists of each segment of the index.
    config : backend, device, memory.
    layouts : their device layouts, where they are built already.
    open_backend : what makes the backend of a segment; None is the choice of `config`.
    """

    def __init__(
        self,
        segments: Sequence[SegmentPostings],
        config: GpuConfig | None = None,
        *,
        layouts: Sequence[DeviceLayout] | None = None,
        open_backend: OpenBackend | None = None,
    ) -> None:
        self.config = config or GpuConfig()
        opener = open_backend or _open_backend
        if layouts is None:
            layouts = [build_layout(s, window_shift=self.config.window_shift) for s in segments]
        self._ordinal_base = min((s.ordinal_base for s in segments), default=0)
        if any(s.ordinal_base + s.num_docs - self._ordinal_base > 2**32 for s in segments):
            raise ConfigError(
                "the ordinals of this index span more than 2^32, which the sort keys of the gpu engine cannot hold; "
                "search on the CPU, or build the index anew"
            )
        total = sum(layout.nbytes for layout in layouts)
        self._segments = []
        for postings, layout in zip(segments, layouts, strict=True):
            # Segments are searched one after another: all layouts stay, the working memory is used in turn.
            rest = self.config.gpu_memory - (total - layout.nbytes)
            backend = opener(layout, postings, replace(self.config, gpu_memory=rest))
            self._segments.append(_Segment(postings=postings, backend=backend))

    @classmethod
    def open(
        cls, index: Index, config: GpuConfig | None = None, *, open_backend: OpenBackend | None = None
    ) -> GpuEngine:
        """The engine of an opened index; layouts are kept in a folder beside it, so that the next start maps them."""
        config = config or GpuConfig()
        segments = [segment_postings(s) for s in index.segments]
        layouts = [
            cached_layout(index, s, p, config.window_shift) for s, p in zip(index.segments, segments, strict=True)
        ]
        remove_stale_layouts(index)
        return cls(segments, config, layouts=layouts, open_backend=open_backend)

    def search_vectors(
        self,
        queries: SparseVectors,
        k: int,
        doc_scale: float,
        allowed: Sequence[NDArray[np.uint64]] | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """As `search`, with weights as they come: (ordinals, scores as users see them, -inf where there is no hit).

        allowed : one bitmap a segment by doc_id, as `filters.allowed_documents` makes them.
        score = float32(float64(integer score) · doc_scale · query_scale), as of every engine.
        """
        batch, scales = quantize_queries(queries)
        flags = None if allowed is None else [self._flags(i, bitmap) for i, bitmap in enumerate(allowed)]
        ordinals, integers = self.search(batch, k, flags)
        scores = (integers.astype(np.float64) * doc_scale * scales[:, None]).astype(np.float32)
        return ordinals, np.where(integers > 0, scores, np.float32(-np.inf))

    def _flags(self, segment: int, bitmap: NDArray[np.uint64]) -> NDArray[np.bool_]:
        num_docs = self._segments[segment].postings.num_docs
        return np.unpackbits(bitmap.view(np.uint8), count=num_docs, bitorder="little").astype(np.bool_)

    def search(
        self, queries: QueryBatch, k: int, allowed: Allowed | None = None
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
        best = np.zeros((len(queries), k), np.uint64)
        for number, segment in enumerate(self._segments):
            mask = None if allowed is None else allowed[number]
            keys = self._search_segment(segment, queries, k, mask, (best[:, k - 1] >> np.uint64(32)).astype(np.int64))
            distance = np.uint64(segment.postings.ordinal_base - self._ordinal_base)
            if distance:
                keys[keys > 0] -= distance  # the key holds the complement of the ordinal
            best = keys if number == 0 else np.sort(np.hstack([best, keys]), axis=1)[:, : -k - 1 : -1]
        ordinals, scores = decode_keys(best)
        if self._ordinal_base:
            ordinals[scores > 0] += self._ordinal_base
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
        # The k-th hit of the segments before stays a safe threshold: a tie with it is kept and decided by the merge.
        thresholds = np.maximum(kth, 1).astype(np.int32)
        if allowed is None:
            num_deleted = 0 if postings.deleted is None else len(postings.deleted)
            thresholds = np.maximum(thresholds, initial_thresholds(rows, postings.ladder, k, num_deleted))
        return segment.backend.search(rows, k, thresholds, _live(postings, allowed))


def _live(postings: SegmentPostings, allowed: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    """Which documents may be found, or None for all."""
    if postings.deleted is None:
        return allowed
    live = np.ones(postings.num_docs, np.bool_) if allowed is None else allowed.copy()
    live[postings.deleted] = False
    return live


@functools.cache
def _driver() -> Driver:
    """The first device, once a process: segments and engines share its working memory."""
    from sparseir.search.gpu.driver import Driver

    return Driver()


def _open_backend(layout: DeviceLayout, postings: SegmentPostings, config: GpuConfig) -> Backend:
    """The backend the configuration names, or the first one this machine can run: cuda, triton, torch."""
    if config.backend in ("auto", "cuda"):
        from sparseir.search.gpu.cuda_backend import CudaBackend, CudaLimits

        try:
            limits = CudaLimits(memory=config.gpu_memory)
            if config.head_terms == 0:
                return CudaBackend(layout, postings, _driver(), limits)
            shift = min(layout.window_shift, HYBRID_WINDOW_SHIFT)
            head, others = split_head(postings, config.head_terms, 1 << shift)
            return CudaBackend(build_layout(others, window_shift=shift), postings, _driver(), limits, head=head)
        except NativeError:  # no device, no driver, or nothing to compile the kernels with
            if config.backend == "cuda":
                raise
    try:
        import torch
    except ImportError:
        raise MissingExtraError("torch", "gpu", "the gpu engine without the compiled kernels") from None
    device = config.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    use_triton = config.backend == "triton"
    if config.backend == "auto" and device == "cuda":
        use_triton = importlib.util.find_spec("triton") is not None
    if not use_triton:
        from sparseir.search.gpu.torch_backend import TorchBackend

        return TorchBackend(layout, postings, device=device, memory=config.gpu_memory // 4)
    try:
        from sparseir.search.gpu.triton_backend import TritonBackend
    except ImportError:
        raise MissingExtraError("triton", "gpu", "the triton backend") from None
    return TritonBackend(postings, device=device, memory=config.gpu_memory // 4)
