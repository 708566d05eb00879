"""A layout on the device: whole, or a group of windows at a time through two buffers that are filled in turn.

While the kernels read one buffer, the next group is copied into the other from page-locked host memory.
"""

from __future__ import annotations

import contextlib
import ctypes
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseir.errors import NativeError
from sparseir.search.gpu.cuda_task import Task
from sparseir.search.gpu.driver import DeviceBuffer, Driver
from sparseir.search.gpu.head import DenseHead
from sparseir.search.gpu.layout import DeviceLayout
from sparseir.search.gpu.windows import plan_groups, reserved

_ALIGN = 256
_NON_BLOCKING, _NO_TIMING = 1, 2
_DEFAULT_STREAM = ctypes.c_void_p()


class PinnedMemory:
    """A page-locked copy of some arrays, which the device reads without the driver's own staging.

    If the operating system allows none, the arrays are not copied; transfers to the device are then slower and block
    the host.
    """

    def __init__(self, driver: Driver, arrays: dict[str, NDArray[Any]]) -> None:
        self._driver, self._place = driver, ctypes.c_void_p()
        self.arrays = arrays
        starts = np.cumsum([0, *(-(-a.nbytes // _ALIGN) * _ALIGN for a in arrays.values())]).tolist()
        try:
            driver.call("cuMemAllocHost_v2", ctypes.byref(self._place), ctypes.c_size_t(max(_ALIGN, starts[-1])))
        except NativeError as error:
            warnings.warn(f"no page-locked memory for a layout of {starts[-1]} bytes: {error}", stacklevel=2)
            return
        whole = np.frombuffer((ctypes.c_ubyte * starts[-1]).from_address(self._place.value or 0), np.uint8)
        self.arrays = {}
        for (name, array), start in zip(arrays.items(), starts, strict=False):
            self.arrays[name] = whole[start : start + array.nbytes].view(array.dtype)
            np.copyto(self.arrays[name], array)

    def __del__(self) -> None:
        if self._place:
            with contextlib.suppress(NativeError), self._driver.current():  # the driver may be gone when Python ends
                self._driver.call("cuMemFreeHost", self._place)
            self._place = ctypes.c_void_p()


class LayoutOnDevice:
    """Gives the kernels their group of windows.

    Parameters
    ----------
    driver : the device. layout, head : of one segment. memory : bytes for them and for the queries.

    Attributes
    ----------
    groups : (first, one above the last) window of each; one where everything stays on the device.
    free : bytes left for the queries.
    """

    def __init__(self, driver: Driver, layout: DeviceLayout, head: DenseHead | None, memory: int) -> None:
        self._driver, self._layout = driver, layout
        windows = np.arange(layout.num_windows + 1, dtype=np.int64)
        entry, posting = layout.window_entry.astype(np.int64), layout.window_posting.astype(np.int64)
        arrays: dict[str, NDArray[Any]] = {
            "local": layout.local,
            "impact": layout.impact,
            "entry_row": layout.entry_row,
            "entry_start": layout.entry_start,
        }
        self._bounds = {"local": posting, "impact": posting, "entry_row": entry, "entry_start": entry + windows}
        if head is not None:
            arrays["head"] = head.matrix.reshape(-1)
            self._bounds["head"] = windows * (layout.window_docs * head.num_terms)
        nbytes = sum(a.nbytes for a in arrays.values())
        self.groups = [(0, layout.num_windows)]
        if nbytes <= memory - reserved(max(0, memory)):
            self.free = memory - nbytes
            self._resident = {name: driver.put(array) for name, array in arrays.items()}
            return
        self._resident = {}
        self.free = memory // 4
        slack = _ALIGN * len(arrays)
        window_bytes = np.zeros(layout.num_windows, np.int64)
        for name, array in arrays.items():
            window_bytes += np.diff(self._bounds[name]) * array.itemsize
        self.groups = plan_groups(window_bytes, memory * 3 // 8 - slack)
        self._slot_bytes = max(int(window_bytes[lo:hi].sum()) for lo, hi in self.groups) + slack
        self._host = PinnedMemory(driver, arrays)
        self._stream = ctypes.c_void_p()
        driver.call("cuStreamCreate", ctypes.byref(self._stream), ctypes.c_uint(_NON_BLOCKING))
        self._ready, self._done = ([self._event(), self._event()] for _ in range(2))
        self._slots: list[DeviceBuffer] = []

    def _event(self) -> ctypes.c_void_p:
        event = ctypes.c_void_p()
        self._driver.call("cuEventCreate", ctypes.byref(event), ctypes.c_uint(_NO_TIMING))
        return event

    @property
    def streamed(self) -> bool:
        return not self._resident

    def enter(self, number: int, task: Task) -> None:
        """Point `task` at a group's arrays. Groups are entered in order, from the first; launches then wait for the copy."""
        if not self.streamed:
            for name, buffer in self._resident.items():
                setattr(task, name, buffer.address)
            return
        if number == 0:  # whatever used the buffers before has ended: every search ends with a download
            self._slots = [self._driver.scratch(f"group {i}", self._slot_bytes) for i in range(2)]
            self._copy(0)
        if number + 1 < len(self.groups):
            self._copy(number + 1)
        self._driver.call("cuStreamWaitEvent", _DEFAULT_STREAM, self._ready[number % 2], ctypes.c_uint(0))
        first = self.groups[number][0]
        for name, (place, _, _) in self._pieces(number).items():
            setattr(task, name, place)
        task.first_group_window = first
        task.first_entry = int(self._layout.window_entry[first])
        task.first_posting = int(self._layout.window_posting[first])

    def leave(self, number: int) -> None:
        """No later launch reads this group: its buffer may be filled again once the launches so far have ended."""
        if self.streamed:
            self._driver.call("cuEventRecord", self._done[number % 2], _DEFAULT_STREAM)

    def _pieces(self, number: int) -> dict[str, tuple[int, int, int]]:
        """Each array's part of a group: device address, host address, bytes."""
        first, stop = self.groups[number]
        place, pieces = self._slots[number % 2].address, {}
        for name, array in self._host.arrays.items():
            bounds = self._bounds[name]
            begin, nbytes = int(bounds[first]) * array.itemsize, int(bounds[stop] - bounds[first]) * array.itemsize
            pieces[name] = (place, array.ctypes.data + begin, nbytes)
            place += -(-nbytes // _ALIGN) * _ALIGN
        return pieces

    def _copy(self, number: int) -> None:
        slot = number % 2
        if number >= 2:
            self._driver.call("cuStreamWaitEvent", self._stream, self._done[slot], ctypes.c_uint(0))
        for place, source, nbytes in self._pieces(number).values():
            if nbytes:
                self._driver.call(
                    "cuMemcpyHtoDAsync_v2",
                    ctypes.c_uint64(place),
                    ctypes.c_void_p(source),
                    ctypes.c_size_t(nbytes),
                    self._stream,
                )
        self._driver.call("cuEventRecord", self._ready[slot], self._stream)
