"""The kernel sources compiled for the CPU behind an emulated driver: what replaces a GPU in the tests."""

from __future__ import annotations

import ctypes
import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest

from sparseir.search.gpu import GpuConfig, SegmentPostings
from sparseir.search.gpu.compiler import source_folder
from sparseir.search.gpu.cuda_backend import CudaBackend, CudaLimits
from sparseir.search.gpu.driver import Driver
from sparseir.search.gpu.head import split_head
from sparseir.search.gpu.layout import DeviceLayout, build_layout

FORWARDS, BACKWARDS, SHUFFLED = 0, 1, 7
"""Orders of the emulated threads and blocks; any number above 1 shuffles them with that seed."""


@functools.cache
def emulated_library() -> str:
    """Path of the emulated driver; compiled once a process."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler to emulate the device with")
    folder = source_folder() / "emulation"
    output = Path(tempfile.mkdtemp(prefix="sparseir-emulation-")) / "libcuda_emulated.so"
    flags = ["-std=c++17", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-Wno-clobbered", "-shared", "-fPIC"]
    if "clang" in compiler:
        flags.remove("-Wno-clobbered")
    subprocess.run(
        [compiler, *flags, "-o", str(output), str(folder / "runtime.cpp"), str(folder / "driver.cpp")], check=True
    )
    return str(output)


def emulated_driver(schedule: int = FORWARDS) -> Driver:
    library = ctypes.CDLL(emulated_library())
    library.sir_emulation_schedule(ctypes.c_uint32(schedule))
    return Driver(emulated_library())


def emulated_backend(
    schedule: int = FORWARDS,
    *,
    threads: int = 64,
    capacity: int | None = None,
    memory: int = 1 << 28,
    group: int | None = None,
    head_terms: int = 0,
    windows_at_once: int | None = None,
):
    """An `open_backend` for GpuEngine that runs the kernels on the CPU; `group` overrides the layout's choice.

    windows_at_once : the largest windows a group can hold; the memory is then what that takes.
    """

    def open_backend(layout: DeviceLayout, postings: SegmentPostings, config: GpuConfig) -> CudaBackend:
        if group is not None:
            layout = build_layout(postings, window_shift=layout.window_shift, group=group)
        head = None
        if head_terms:
            head, others = split_head(postings, head_terms, layout.window_docs)
            layout = build_layout(others, window_shift=layout.window_shift, group=group)
        needed = memory
        if windows_at_once is not None:
            sizes = 3 * np.diff(layout.window_posting.astype(np.int64)) + 8 * np.diff(
                layout.window_entry.astype(np.int64)
            )
            window = int(sizes.max(initial=0)) + 4 + (0 if head is None else layout.window_docs * head.num_terms)
            tables = 4 * layout.num_docs + layout.num_docs // 8 + 20 * (layout.num_windows + 1)
            needed = tables + 8 * (windows_at_once * window + 5 * 256) // 3 + 8
        limits = CudaLimits(memory=needed, threads=threads, capacity=capacity)
        return CudaBackend(layout, postings, emulated_driver(schedule), limits, head=head, compile=lambda arch: b"")

    return open_backend
