"""Microbenchmarks: what the device can do at most of each thing the engine does."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import numpy as np

from sparseir.errors import NativeError
from sparseir.search.gpu.compiler import compile_source
from sparseir.search.gpu.driver import DeviceBuffer, Driver, Timer


class MicroTask(ctypes.Structure):
    """MicroTask of micro.cu."""

    _fields_ = (
        ("source", ctypes.c_uint64),
        ("sink", ctypes.c_uint64),
        ("words", ctypes.c_uint64),
        ("rounds", ctypes.c_uint32),
        ("pattern", ctypes.c_uint32),
    )


PATTERNS = ("one bank a lane", "random banks", "one bank, 32 words", "one word")
_THREADS, _SHARED = 512, 4 * 8192


def run(driver: Driver, repeats: int) -> dict[str, float]:
    """Giga-adds a second for each bank pattern; GB/s read from L2 (16 MiB) and from memory (4 GiB)."""
    image = compile_source({"micro.cu": (Path(__file__).parent / "micro.cu").read_text()}, driver.arch)
    kernels = driver.load(image, ("micro_atomics", "micro_read"))
    driver.allow_shared(kernels["micro_atomics"], _SHARED)
    blocks, timer = 4 * driver.multiprocessors, Timer(driver)
    sink = DeviceBuffer(driver, 4 * max(blocks, _THREADS))
    figures = {}
    for number, name in enumerate(PATTERNS):
        task = MicroTask(sink=sink.address, rounds=20_000, pattern=number)
        seconds = _median(
            driver,
            timer,
            lambda t=task: driver.launch(kernels["micro_atomics"], (blocks, _THREADS), _SHARED, t),
            repeats,
        )
        figures[f"shared atomics, {name} (G adds/s)"] = blocks * _THREADS * task.rounds / seconds / 1e9
    for name, nbytes, rounds in (("L2", 16 << 20, 200), ("device memory", 4 << 30, 2)):
        try:
            source = DeviceBuffer(driver, nbytes)
        except NativeError as error:  # a device that others use may not have 4 GiB left
            print(f"read from {name}: left out ({error})")
            continue
        source.clear(nbytes)
        task = MicroTask(source=source.address, sink=sink.address, words=nbytes // 16, rounds=rounds)
        seconds = _median(
            driver, timer, lambda t=task: driver.launch(kernels["micro_read"], (blocks, _THREADS), 0, t), repeats
        )
        figures[f"read from {name} (GB/s)"] = nbytes * rounds / seconds / 1e9
        source.free()
    return figures


def _median(driver: Driver, timer: Timer, work: Callable[[], None], repeats: int) -> float:
    """Seconds by device events, the first run left out."""
    work()
    driver.synchronize()
    times = []
    for _ in range(repeats):
        timer.start()
        work()
        times.append(timer.stop() / 1e3)
    return float(np.median(times))
