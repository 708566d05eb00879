"""Engines that an index folder offers beside the exact ones: gpu, exact_float, approximate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from indexer import Index, SparseVectors
from sparseir.search.approximate import ApproximateConfig, ApproximateEngine
from sparseir.search.cpu import CpuEngine
from sparseir.search.exact_float import FloatEngine

if TYPE_CHECKING:
    from sparseir.search.gpu import GpuConfig


class OtherEngine(Protocol):
    """What every engine answers; `allowed` is a `cpu.Allowed`, but for the gpu engine, which takes bitmaps alone."""

    def search_vectors(
        self, vectors: SparseVectors, k: int, doc_scale: float, allowed: Any
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]: ...


def open_engine(index: Index, cpu: CpuEngine, engine: str | GpuConfig | ApproximateConfig) -> OtherEngine:
    """The engine of that name or config.

    Raises
    ------
    ConfigError : no such engine, or the index lacks what it needs.
    """
    if engine == "exact_float":
        return FloatEngine(index, cpu)
    if engine == "approximate":
        engine = ApproximateConfig()
    if isinstance(engine, ApproximateConfig):
        return ApproximateEngine(index, cpu, engine)
    if isinstance(engine, str) and engine != "gpu":
        CpuEngine(cpu.native, engine=engine)  # refuses it, naming those there are
    return _open_gpu(index, engine)


def _open_gpu(index: Index, engine: Any) -> OtherEngine:
    """Loaded here, because nothing else of a search needs it."""
    from sparseir.search.gpu import GpuConfig, GpuEngine

    return GpuEngine.open(index, engine if isinstance(engine, GpuConfig) else GpuConfig())
