"""A batch's upload, launches and download, handed to the driver in one call of the C library."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.native.device import LAUNCH, submit
from indexer.native.header import DeviceBatch
from sparseir.search.gpu.cuda_task import Task
from sparseir.search.gpu.driver import Driver

_CALLS = ("cuMemcpyHtoD_v2", "cuMemsetD8_v2", "cuLaunchKernel", "cuMemcpyDtoH_v2")


class Submission:
    """Collects what a batch asks of the device; nothing happens before `flush`.

    Parameters
    ----------
    driver : the device. task : the argument of the launches, which must stay as it is until they are flushed.
    """

    def __init__(self, driver: Driver, task: Task) -> None:
        self._driver, self._task, place = driver, task, ctypes.addressof(task)
        self._launches: list[tuple[int, int, int, int, int, int, int]] = []
        self._held: list[NDArray[Any]] = []
        self._batch = DeviceBatch(task=place)
        for name in ("first_window", "num_windows", "clear"):
            setattr(self._batch, name, place + getattr(Task, name).offset)

    def upload(self, array: NDArray[Any], address: int) -> None:
        """Copy an array to the device, before the launches."""
        self._held.append(array)
        self._batch.queries, self._batch.queries_at = array.ctypes.data, address
        self._batch.queries_bytes = array.nbytes

    def clear(self, address: int, nbytes: int) -> None:
        """Zero device memory, after the upload and before the launches."""
        self._batch.clear_at, self._batch.clear_bytes = address, nbytes

    def launch(
        self,
        kernel: ctypes.c_void_p,
        grid: tuple[int, int],
        shared: int,
        windows: tuple[int, int] = (0, 0),
        clear: int = 0,
    ) -> None:
        """One launch of (blocks, threads) over (first, number) windows of the order."""
        self._launches.append((kernel.value or 0, *grid, shared, *windows, clear))

    def flush(self, answer: NDArray[Any] | None = None, address: int = 0) -> None:
        """Hand over what was collected; with `answer`, fill it from `address` once the launches have ended.

        Raises
        ------
        NativeError : a driver call failed.
        """
        batch = self._batch
        launches = np.array(self._launches, LAUNCH)
        batch.launches, batch.num_launches = launches.ctypes.data, len(launches)
        if answer is not None:
            batch.answer, batch.answer_at, batch.answer_bytes = answer.ctypes.data, address, answer.nbytes
        status = submit(self._driver.calls(_CALLS), batch)
        self._driver.check(status, "a batch on the device")
        self._launches.clear()
        batch.queries_bytes = batch.clear_bytes = 0
