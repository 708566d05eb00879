"""The C library: loaded at the first call, checked against the binding's declarations, its errors raised as ours."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import Any

from indexer.errors import IndexFormatError, NativeError
from indexer.native.header import FUNCTIONS, STRUCTS, Error, abi

_SUFFIX = {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")
_REMEDY = "in a checkout run `make native`, otherwise reinstall sparseir"
_BY_HAND = ("sir_search", "sir_search_quantized", "sir_search_batch")
"""Functions called with pointer objects made once: declared parameters would be converted at each call."""


class Library:
    """The functions of native/include/sparseir.h.

    The file is loaded when the first of them is asked for, so that a missing or stale library is refused where a command
    reports errors, and what needs none of them runs without it.

    Parameters
    ----------
    path : the file; by default the one beside this module.

    Raises
    ------
    NativeError : at the first use, if there is no such file, or it is no library, or one built from other sources.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or Path(__file__).with_name(f"libsparseir{_SUFFIX}")

    def __getattr__(self, name: str) -> Any:
        if name not in FUNCTIONS:
            raise AttributeError(name)
        loaded = _open(self._path)
        _check_abi(loaded, self._path)
        for function, (result, parameters) in FUNCTIONS.items():
            found = getattr(loaded, function)
            found.restype = result
            if function not in _BY_HAND:
                found.argtypes = parameters
            setattr(self, function, found)
        return getattr(self, name)


def _open(path: Path) -> ctypes.CDLL:
    if not path.is_file():
        raise NativeError(f"the C library is not built ({path} is missing); {_REMEDY}")
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise NativeError(f"the C library does not load ({error}); {_REMEDY}") from error


def _check_abi(loaded: ctypes.CDLL, path: Path) -> None:
    """Refuse a library whose versions or layouts of structs are not those of `header`."""
    stale = f"the C library {path} is not the one that this version of sparseir was written for"
    missing = [name for name in FUNCTIONS if not hasattr(loaded, name)]
    if missing:
        raise NativeError(f"{stale}: it has no function {missing[0]}; {_REMEDY}")
    count = ctypes.c_uint32()
    loaded.sir_abi.restype = ctypes.POINTER(ctypes.c_uint32)
    found = loaded.sir_abi(ctypes.byref(count))[: count.value]
    expected = abi()
    if found == expected:
        return
    names = ["ABI version", "index format version"]
    for struct in STRUCTS:
        names += [
            f"size of {struct.__name__}",
            *(f"offset of {struct.__name__}.{field[0]}" for field in struct._fields_),
        ]
    differing = zip(names, found, expected, strict=False)
    fault = next(
        (f"{n} {f}, expected {e}" for n, f, e in differing if f != e), f"{len(found)} numbers, expected {len(expected)}"
    )
    raise NativeError(f"{stale}: {fault}; {_REMEDY}")


library = Library()


def check(status: int, error: Error) -> None:
    """Raise what a status other than 0 means."""
    if status == 0:
        return
    message = error.message.decode("utf-8", "replace") or f"the C library returned status {status}"
    if status == 1:
        raise IndexFormatError(message, section=error.section.decode("ascii", "replace") or None)
    if status == 3:
        raise MemoryError(message)
    raise NativeError(message)
