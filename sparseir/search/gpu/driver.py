"""The CUDA driver through ctypes: memory, modules, launches, events. No CUDA package is needed, only the driver itself."""

from __future__ import annotations

import contextlib
import ctypes
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseir.errors import NativeError

DRIVER_LIBRARY = "libcuda.so.1"
MAX_GRID = 2**31 - 1
_MULTIPROCESSORS, _MAJOR, _MINOR, _SHARED_OPT_IN = 16, 75, 76, 97
_MAX_DYNAMIC_SHARED, _SHARED_CARVEOUT = 8, 9


class DeviceBuffer:
    """Bytes on the device, freed with the object."""

    def __init__(self, driver: Driver, nbytes: int) -> None:
        self._driver, self.nbytes = driver, nbytes
        place = ctypes.c_uint64(0)
        driver.call("cuMemAlloc_v2", ctypes.byref(place), ctypes.c_size_t(max(16, nbytes)))
        self.address = int(place.value)

    def upload(self, array: NDArray[Any], offset: int = 0) -> None:
        """Copy a contiguous array to byte `offset`."""
        if array.nbytes:
            self._driver.call(
                "cuMemcpyHtoD_v2",
                ctypes.c_uint64(self.address + offset),
                ctypes.c_void_p(array.ctypes.data),
                ctypes.c_size_t(array.nbytes),
            )

    def download(self, array: NDArray[Any], offset: int = 0) -> None:
        """Fill a contiguous array from byte `offset` on, after all launches before."""
        if array.nbytes:
            self._driver.call(
                "cuMemcpyDtoH_v2",
                ctypes.c_void_p(array.ctypes.data),
                ctypes.c_uint64(self.address + offset),
                ctypes.c_size_t(array.nbytes),
            )

    def clear(self, nbytes: int) -> None:
        """Zero the first bytes."""
        if nbytes:
            self._driver.call(
                "cuMemsetD8_v2", ctypes.c_uint64(self.address), ctypes.c_ubyte(0), ctypes.c_size_t(nbytes)
            )

    def free(self) -> None:
        if self.address:
            with self._driver.current():
                self._driver.call("cuMemFree_v2", ctypes.c_uint64(self.address))
            self.address = 0

    def __del__(self) -> None:
        if getattr(self, "address", 0):
            with contextlib.suppress(NativeError):  # the driver may be gone before the last buffer when Python ends
                self.free()


class Driver:
    """One device and its primary context.

    Parameters
    ----------
    library : the driver library; tests name the emulated one.
    ordinal : which device.

    Raises
    ------
    NativeError : no driver, no device, or a call that failed.
    """

    def __init__(self, library: str = DRIVER_LIBRARY, ordinal: int = 0) -> None:
        try:
            self._library = ctypes.CDLL(library)
        except OSError as error:
            raise NativeError(f"the CUDA driver ({library}) does not load: {error}") from error
        self.call("cuInit", ctypes.c_uint(0))
        count = ctypes.c_int(0)
        self.call("cuDeviceGetCount", ctypes.byref(count))
        if not 0 <= ordinal < count.value:
            raise NativeError(f"CUDA device {ordinal} does not exist; this machine has {count.value}")
        self._device = ctypes.c_int(0)
        self.call("cuDeviceGet", ctypes.byref(self._device), ctypes.c_int(ordinal))
        self._context = ctypes.c_void_p()
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), self._device)
        self.lock = threading.Lock()
        self._scratch: dict[str, DeviceBuffer] = {}
        self._tables: dict[tuple[str, ...], ctypes.Array[ctypes.c_void_p]] = {}
        self.arch = f"sm_{self._attribute(_MAJOR)}{self._attribute(_MINOR)}"
        self.multiprocessors = self._attribute(_MULTIPROCESSORS)
        self.max_shared_bytes = self._attribute(_SHARED_OPT_IN)

    def call(self, name: str, *arguments: Any) -> None:
        """Call a driver function; a status other than 0 raises."""
        self.check(getattr(self._library, name)(*arguments), name)

    def check(self, status: int, what: str) -> None:
        """Raise NativeError unless a CUDA status is 0."""
        if status:
            text = ctypes.c_char_p()
            self._library.cuGetErrorString(status, ctypes.byref(text))
            raise NativeError(f"{what} failed with CUDA error {status}: {(text.value or b'unknown').decode()}")

    def calls(self, names: tuple[str, ...]) -> ctypes.Array[ctypes.c_void_p]:
        """Addresses of driver functions, for C code that calls them."""
        table = self._tables.get(names)
        if table is None:
            places = (ctypes.cast(getattr(self._library, name), ctypes.c_void_p) for name in names)
            table = self._tables[names] = (ctypes.c_void_p * len(names))(*places)
        return table

    def use(self) -> None:
        """Make the context current in the calling thread, for good."""
        self.call("cuCtxSetCurrent", self._context)

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        """Make the context current, then restore the previous one: torch in this thread may use another device."""
        self.call("cuCtxPushCurrent_v2", self._context)
        try:
            yield
        finally:
            self.call("cuCtxPopCurrent_v2", ctypes.byref(ctypes.c_void_p()))

    def name(self) -> str:
        buffer = ctypes.create_string_buffer(128)
        self.call("cuDeviceGetName", buffer, ctypes.c_int(len(buffer)), self._device)
        return buffer.value.decode()

    def _attribute(self, attribute: int) -> int:
        value = ctypes.c_int(0)
        self.call("cuDeviceGetAttribute", ctypes.byref(value), ctypes.c_int(attribute), self._device)
        return value.value

    def scratch(self, role: str, nbytes: int) -> DeviceBuffer:
        """Memory for one role, kept from call to call and grown when needed: allocation waits for the device.

        Its user must hold `lock`. It contains what the last use left.
        """
        kept = self._scratch.get(role)
        if kept is None or kept.nbytes < nbytes:
            if kept is not None:
                del self._scratch[role]
                kept.free()
            kept = self._scratch[role] = DeviceBuffer(self, nbytes)
        return kept

    def put(self, array: NDArray[Any]) -> DeviceBuffer:
        """A device copy of an array."""
        array = np.ascontiguousarray(array)
        buffer = DeviceBuffer(self, array.nbytes)
        buffer.upload(array)
        return buffer

    def load(self, image: bytes, names: tuple[str, ...]) -> dict[str, ctypes.c_void_p]:
        """The named kernels of a compiled module, which stays loaded as long as the process."""
        module = ctypes.c_void_p()
        self.call("cuModuleLoadData", ctypes.byref(module), image)
        kernels = {}
        for name in names:
            kernels[name] = ctypes.c_void_p()
            self.call("cuModuleGetFunction", ctypes.byref(kernels[name]), module, name.encode())
        return kernels

    def allow_shared(self, kernel: ctypes.c_void_p, nbytes: int) -> None:
        """Let a kernel take more dynamic shared memory than 48 KiB, and prefer it to L1, so that several blocks fit."""
        self.call("cuFuncSetAttribute", kernel, ctypes.c_int(_MAX_DYNAMIC_SHARED), ctypes.c_int(nbytes))
        self.call("cuFuncSetAttribute", kernel, ctypes.c_int(_SHARED_CARVEOUT), ctypes.c_int(100))

    def launch(self, kernel: ctypes.c_void_p, grid: tuple[int, int], shared: int, task: ctypes.Structure) -> None:
        """Start `grid` = (blocks, threads) with one struct argument; returns before it ends."""
        blocks, threads = grid
        if blocks == 0:
            return
        parameters = (ctypes.c_void_p * 1)(ctypes.addressof(task))
        sizes = [ctypes.c_uint(n) for n in (blocks, 1, 1, threads, 1, 1, shared)]
        self.call("cuLaunchKernel", kernel, *sizes, ctypes.c_void_p(), parameters, ctypes.c_void_p())

    def synchronize(self) -> None:
        self.call("cuCtxSynchronize")


class Timer:
    """Device time between two events, in milliseconds."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._events = [ctypes.c_void_p(), ctypes.c_void_p()]
        for event in self._events:
            driver.call("cuEventCreate", ctypes.byref(event), ctypes.c_uint(0))

    def start(self) -> None:
        self._driver.call("cuEventRecord", self._events[0], ctypes.c_void_p())

    def stop(self) -> float:
        """Milliseconds since `start`, once the device has done everything in between."""
        self._driver.call("cuEventRecord", self._events[1], ctypes.c_void_p())
        self._driver.call("cuEventSynchronize", self._events[1])
        elapsed = ctypes.c_float(0)
        self._driver.call("cuEventElapsedTime", ctypes.byref(elapsed), *self._events)
        return elapsed.value
