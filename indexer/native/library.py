"""The one binding of the C library: load it, declare its functions, turn its errors into ours."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

from indexer.errors import IndexFormatError, NativeError

_SUFFIX = {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")


class SirError(ctypes.Structure):
    """sir_error of native/include/sparseir.h."""

    _fields_ = (("code", ctypes.c_int32), ("section", ctypes.c_char * 8), ("message", ctypes.c_char * 240))


def _load() -> ctypes.CDLL:
    path = Path(__file__).with_name(f"libsparseir{_SUFFIX}")
    if not path.is_file():
        raise NativeError(
            f"the C library is not built ({path} is missing); in a checkout run `make native`, otherwise reinstall sparseir"
        )
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise NativeError(
            f"the C library does not load ({error}); rebuild it with `make native` or reinstall sparseir"
        ) from error


library = _load()
library.sir_format_version.restype = ctypes.c_uint32

FORMAT_VERSION: int = library.sir_format_version()


def check(status: int, error: SirError) -> None:
    """Raise what a status other than 0 means."""
    if status == 0:
        return
    message = error.message.decode("utf-8", "replace") or f"the C library returned status {status}"
    if status == 1:
        raise IndexFormatError(message, section=error.section.decode("ascii", "replace") or None)
    if status == 3:
        raise MemoryError(message)
    raise NativeError(message)
