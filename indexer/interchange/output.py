"""Files and folders that appear whole or not at all; unfinished, they have the names of `indexer.format.partial`."""

from __future__ import annotations

import gzip
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from indexer.errors import DataError
from indexer.format import files
from indexer.format.partial import PARTIAL, locked, new_folder, remove_abandoned

TextSink = Callable[[bytes], object]
_GZIP_LEVEL = 4  # 6 costs twice the time for 4% of the size of JSON vectors


def _new_file(path: Path) -> tuple[Path, int]:
    made = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    while True:
        try:
            return made, os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileExistsError:  # of another thread, or of a dead process of this number
            made = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{PARTIAL}")


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write that takes the name `path`, durably, when the block ends, and vanishes when it fails.

    What was at `path` before stays readable until the rename. A name that ends in .gz is compressed, without a
    time stamp, so that the same data gives the same bytes.

    Raises
    ------
    DataError : the folder does not exist, or `path` is a folder.
    """
    if not path.parent.is_dir():
        raise DataError("the folder to write into does not exist; make it first", path=path)
    if path.is_dir():
        raise DataError("a folder stands where the file is to be written", path=path)
    remove_abandoned(path)
    partial, descriptor = locked(lambda: _new_file(path))
    try:
        with os.fdopen(descriptor, "wb") as raw:
            if path.suffix == ".gz":
                with gzip.GzipFile("", "wb", _GZIP_LEVEL, raw, mtime=0) as packed:
                    yield packed  # type: ignore[misc]
            else:
                yield raw
            raw.flush()
            files.fsync(raw.fileno())
            files.replace(partial, path)  # under the lock: without it another writer may take the file for abandoned
    except BaseException:
        files.discard(partial)
        raise
    files.fsync_folder(path.parent)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A folder to fill that takes the name `path`, durably, when the block ends, and vanishes when it fails.

    Files in it are to be on disk by then. A folder that stands at `path` goes aside just before and is removed; it
    should be one whose loss was agreed to.

    Raises
    ------
    DataError : the folder around it does not exist.
    """
    if not path.parent.is_dir():
        raise DataError("the folder to write into does not exist; make it first", path=path)
    remove_abandoned(path)
    partial, descriptor = locked(lambda: new_folder(path))
    try:
        partial.chmod(0o777 & ~_umask())
        yield partial
        files.fsync_folder(partial)
        if path.exists():
            old, held = locked(lambda: new_folder(path))
            try:
                files.replace(path, old)
                try:
                    files.replace(partial, path)
                except BaseException:
                    files.replace(old, path)
                    raise
            finally:
                shutil.rmtree(old, ignore_errors=True)
                os.close(held)
        else:
            files.replace(partial, path)
        files.fsync_folder(path.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # nothing there once it has its name
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
