"""Places results go to: never overwritten without being told."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from sparseir.cli import arguments
from sparseir.errors import SparseIRError

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 2**10, "MI": 2**20, "GI": 2**30}


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Raise if something stands where the result should go and nobody said it may be replaced.

    Raises
    ------
    SparseIRError
    """
    if not overwrite and path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise SparseIRError(f"{path} exists already; name another place or say --overwrite")


def check_output(path: Path, *, overwrite: bool) -> None:
    """Before the work, not after: a file can be written at the path. Missing folders above it are made.

    Raises
    ------
    SparseIRError : something stands there and may not be replaced, or no folder can be made for it.
    """
    refuse_existing(path, overwrite=overwrite)
    if path.is_dir():
        raise SparseIRError(f"{path} is a folder; name a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SparseIRError(f"{path}: no folder {path.parent} can be made ({error.strerror})") from None


def parse_bytes(text: str | None) -> int | None:
    """'2GB', '512MB', '64MiB' or a plain number as bytes; None stays None.

    Raises
    ------
    arguments.BadParameter
    """
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMG]I?)?B?\s*", text.upper())
    if not match or float(match[1]) == 0:
        raise arguments.BadParameter(f"{text!r} is not an amount of memory; write for example 2GB or 512MB")
    return int(float(match[1]) * _UNITS[match[2] or ""])


def clear_folder(path: Path, *, overwrite: bool) -> None:
    """Make an empty folder, removing what stands there only when told to.

    Raises
    ------
    SparseIRError
    """
    refuse_existing(path, overwrite=overwrite)
    if path.is_dir():
        shutil.rmtree(path)
    elif path.exists():
        path.unlink()
    path.mkdir(parents=True)
