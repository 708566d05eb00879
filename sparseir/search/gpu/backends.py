"""The options of the gpu engine, and the choice of the backend that scores a segment."""

from __future__ import annotations

import functools
import importlib.util
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from indexer.native.queries import QueryBatch
from sparseir.errors import ConfigError, MissingExtraError, NativeError
from sparseir.search.gpu.head import split_head
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
    backend : 'cuda' (compiled kernels), 'triton', 'torch', or 'auto': the first of these that runs on a GPU here. Without
        one, 'auto', 'cuda' and 'triton' are refused; only 'torch', asked for by name, runs on a CPU.
    device : 'auto' (the first GPU; the CPU for 'torch' where there is none), 'cuda', 'cuda:1' …, or 'cpu'.
    gpu_memory : bytes the engine may take on the device, layout included; batches are cut to fit.
    window_shift : log2 of the documents in a window, 5..15.
    head_terms : the most frequent terms go through tensor cores as a dense matrix (cuda only; rounded up to a multiple of
        32). 0 is none, and the default until bench/gpu/run.py has shown a gain on the device at hand.
    """

    engine: ClassVar[str] = "gpu"

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


OpenBackend = Callable[[DeviceLayout, SegmentPostings, GpuConfig], Backend]


@functools.cache
def _driver(ordinal: int) -> Driver:
    """The driver of a device, made once per process: segments and engines share its working memory."""
    from sparseir.search.gpu.driver import Driver

    return Driver(ordinal=ordinal)


def open_backend_of(layout: DeviceLayout, postings: SegmentPostings, config: GpuConfig) -> Backend:
    """The backend the configuration names, or the first one that runs on a GPU here: cuda, triton, torch.

    Raises
    ------
    ConfigError : there is no GPU, and the CPU was not asked for.
    NativeError : 'cuda' was asked for and cannot run. MissingExtraError : torch or triton is not installed.
    """
    reason: NativeError | None = None
    if config.backend in ("auto", "cuda") and config.device != "cpu":
        from sparseir.search.gpu.compiler import compiled_kernels

        try:
            driver = _driver(int(config.device.partition(":")[2] or 0))
            compiled_kernels(driver.arch)
        except NativeError as error:  # no device, no driver, or nothing to compile the kernels with
            if config.backend == "cuda":
                raise
            reason = error
        else:
            return _cuda_backend(layout, postings, config, driver)
    return _tensor_backend(layout, postings, config, reason)


def check_device(config: GpuConfig) -> None:
    """Refuse a configuration that finds no device here; raises as `open_backend_of`."""
    if config.backend in ("auto", "cuda") and config.device != "cpu":
        try:
            _driver(int(config.device.partition(":")[2] or 0))
            return
        except NativeError as error:
            if config.backend == "cuda":
                raise
            reason: NativeError | None = error
    else:
        reason = None
    _torch_device(config, reason)


def _cuda_backend(layout: DeviceLayout, postings: SegmentPostings, config: GpuConfig, driver: Driver) -> Backend:
    from sparseir.search.gpu.cuda_backend import CudaBackend, CudaLimits

    limits = CudaLimits(memory=config.gpu_memory)
    if config.head_terms == 0:
        return CudaBackend(layout, postings, driver, limits)
    shift = min(layout.window_shift, HYBRID_WINDOW_SHIFT)
    head, others = split_head(postings, config.head_terms, 1 << shift)
    return CudaBackend(build_layout(others, window_shift=shift), postings, driver, limits, head=head)


def _tensor_backend(
    layout: DeviceLayout, postings: SegmentPostings, config: GpuConfig, reason: NativeError | None
) -> Backend:
    device = _torch_device(config, reason)
    if reason is not None:
        warnings.warn(f"the compiled kernels cannot be used and a slower backend answers: {reason}", stacklevel=2)
    use_triton = config.backend == "triton"
    if config.backend == "auto" and device != "cpu":
        use_triton = importlib.util.find_spec("triton") is not None
    if not use_triton:
        from sparseir.search.gpu.torch_backend import TorchBackend

        return TorchBackend(layout, postings, device=device, memory=config.gpu_memory // 4)
    try:
        from sparseir.search.gpu.triton_backend import TritonBackend
    except ImportError:
        raise MissingExtraError("triton", "gpu", "the triton backend") from None
    return TritonBackend(postings, device=device, memory=config.gpu_memory // 4)


def _torch_device(config: GpuConfig, reason: NativeError | None) -> str:
    """The torch device of the triton and torch backends; never the CPU unless it was asked for."""
    try:
        import torch
    except ImportError:
        if config.backend == "auto" and reason is not None:
            raise _no_gpu(str(reason)) from None
        raise MissingExtraError("torch", "gpu", f"the {config.backend} backend of the gpu engine") from None
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"
    if config.device == "cpu" and (config.backend in ("auto", "torch") or (config.backend == "triton" and interpreted)):
        return "cpu"
    if config.device != "cpu" and torch.cuda.is_available():
        return "cuda" if config.device == "auto" else config.device
    if config.backend == "torch" and config.device == "auto":
        return "cpu"
    raise _no_gpu(str(reason) if reason is not None else f"backend '{config.backend}', device '{config.device}'")


def _no_gpu(found: str) -> ConfigError:
    return ConfigError(
        f"engine 'gpu' needs a CUDA device and finds none ({found}); search with a CPU engine, 'auto' being the quickest, "
        "or ask for the CPU by name, which is right and slow: --gpu-backend torch, GpuConfig(backend='torch')"
    )
