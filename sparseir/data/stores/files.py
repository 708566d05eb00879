"""Arrays in files of their own: written under another name first, described with size and checksum, mapped when read."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from indexer.interchange.jsonl.text import json_value
from sparseir.errors import DataError, SparseIRError

_BLOCK = 1 << 24
"""Bytes of a file that are read at a time, where it is read through."""


@contextmanager
def room_on_disk(folder: Path, what: str) -> Iterator[None]:
    """Within the block files are written.

    Raises
    ------
    SparseIRError : what the system refuses (a full disk, say), in words that say how to go on.
    """
    try:
        yield
    except OSError as error:
        raise SparseIRError(
            f"{folder}: cannot write {what} ({error.strerror or error}); make room there, or take another folder, and go on "
            "with --resume: what was finished before stays"
        ) from error


def mapped(path: Path, dtype: DTypeLike, count: int) -> NDArray[Any]:
    """The `count` entries of a file, mapped read-only: nothing of it is read before it is asked for.

    Raises
    ------
    DataError : no such file, or one of another size.
    """
    kind = np.dtype(dtype)
    check_size(path, count * kind.itemsize)
    if not count:
        return np.zeros(0, kind)
    return np.memmap(path, kind, "r", shape=(count,))


def check_size(path: Path, size: int) -> None:
    """Refuse a file that is not there, is none, or is longer or shorter than its folder says.

    Raises
    ------
    DataError
    """
    try:
        found = path.stat().st_size if path.is_file() else -1
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", path=path) from error
    if found < 0:
        raise DataError("is missing; prepare its folder again", path=path)
    if found != size:
        raise DataError(
            f"{found:,} bytes, expected {size:,}; it was cut or changed: prepare its folder again", path=path
        )


def checksum(path: Path, value: int = 0) -> int:
    """CRC-32 of a file, read in blocks."""
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            value = zlib.crc32(block, value)
    return value


def described(folder: Path, names: Mapping[str, int | None]) -> dict[str, dict[str, int]]:
    """Size and checksum of files by name.

    Parameters
    ----------
    names : with the checksum where it is known; None for one to compute.
    """
    out = {}
    for name, known in names.items():
        path = folder / name
        out[name] = {"bytes": path.stat().st_size, "crc32": checksum(path) if known is None else known}
    return out


def write_description(path: Path, body: Mapping[str, Any]) -> None:
    """Write a JSON object with its own checksum, atomically: a reader finds the old one or the new one."""
    content = dict(body)
    write_atomically(
        path, json.dumps({**content, "crc32": _crc(content)}, indent=1, ensure_ascii=False).encode() + b"\n"
    )


def write_atomically(path: Path, content: bytes) -> None:
    """Write a small file under another name, make it durable and rename it."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def read_description(path: Path, form: str, version: int) -> dict[str, Any]:
    """What `write_description` wrote.

    Raises
    ------
    DataError : missing, damaged, of another format or version.
    """
    try:
        body = json_value(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"is missing; '{path.parent}' is another folder, or its making was stopped", path=path
        ) from None
    except (OSError, ValueError) as error:
        raise DataError(f"cannot be read ({error}); prepare the folder again", path=path) from error
    if not isinstance(body, dict) or body.get("format") != form:
        raise DataError(f"does not describe {form}", path=path)
    if body.get("version") != version:
        raise DataError(f"has version {body.get('version')!r}, this build reads {version}; prepare it again", path=path)
    crc = body.pop("crc32", None)
    if crc != _crc(body):
        raise DataError("is damaged (its checksum differs); prepare the folder again", path=path)
    return body


def stated_files(body: Mapping[str, Any], wanted: Iterable[str], path: Path) -> dict[str, dict[str, int]]:
    """Sizes and checksums of the files that a description must name, and of no others.

    Raises
    ------
    DataError : it names others, or says something else of them.
    """
    files, names = body.get("files"), sorted(wanted)
    if not isinstance(files, dict) or sorted(files) != names:
        raise DataError(f"names other files than {', '.join(names)}", path=path)
    for name, stated in files.items():
        if not isinstance(stated, dict) or not all(type(stated.get(key)) is int for key in ("bytes", "crc32")):
            raise DataError(f"says no size and checksum of {name}", path=path)
    return files


def verify_files(folder: Path, files: Mapping[str, Mapping[str, int]]) -> None:
    """Read every file through.

    Raises
    ------
    DataError : one that is missing, of another size, or whose checksum differs.
    """
    for name, stated in files.items():
        check_size(folder / name, stated["bytes"])
        if checksum(folder / name) != stated["crc32"]:
            raise DataError("is damaged (its checksum differs); prepare its folder again", path=folder / name)


def _crc(body: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())
