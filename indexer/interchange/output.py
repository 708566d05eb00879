"""Files that appear whole or not at all, and what is spooled beside them.

Unfinished files and folders are called .NAME.….partial and locked while their writer lives: what a killed writer left
is not locked, and the next writer removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import gzip
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from indexer.errors import DataError
from indexer.format import files

TextSink = Callable[[bytes], object]
_GZIP_LEVEL = 4  # 6 costs twice the time for 4% of the size of JSON vectors


_PARTIAL = ".partial"


def remove_abandoned(path: Path) -> None:
    """Remove what killed writers of `path` left beside it."""
    for found in path.parent.glob(f".{glob.escape(path.name)}.*{_PARTIAL}"):
        try:
            descriptor = os.open(found, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            continue  # gone meanwhile, or somebody else's
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _is_at(descriptor, found):
                continue
            if found.is_dir():
                shutil.rmtree(found)
            else:
                files.unlink(found)
        except OSError:
            continue  # its writer is at work
        finally:
            os.close(descriptor)


@contextmanager
def spool_folder(path: Path) -> Iterator[Path]:
    """A folder beside `path` for what its writer spools; gone at the end, or at the next write after a kill."""
    remove_abandoned(path)
    folder, descriptor = _locked(lambda: _new_folder(path))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _locked(make: Callable[[], tuple[Path, int]]) -> tuple[Path, int]:
    """Something new and its locked descriptor; made again where another writer took it for abandoned before the lock."""
    while True:
        made, descriptor = make()
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if _is_at(descriptor, made):
            return made, descriptor
        os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    return False


def _new_folder(path: Path) -> tuple[Path, int]:
    while True:
        name = tempfile.mkdtemp(prefix=f".{path.name}.", suffix=_PARTIAL, dir=path.parent)
        with contextlib.suppress(FileNotFoundError):  # taken for abandoned meanwhile
            return Path(name), os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _new_file(path: Path) -> tuple[Path, int]:
    made = path.with_name(f".{path.name}.{os.getpid()}{_PARTIAL}")
    while True:
        try:
            return made, os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileExistsError:  # of another thread, or of a dead process of this number
            made = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{_PARTIAL}")


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
    partial, descriptor = _locked(lambda: _new_file(path))
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
    partial, descriptor = _locked(lambda: _new_folder(path))
    try:
        partial.chmod(0o777 & ~_umask())
        yield partial
        files.fsync_folder(partial)
        if path.exists():
            old, held = _locked(lambda: _new_folder(path))
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
