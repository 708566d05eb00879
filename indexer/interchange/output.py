"""Files that appear whole or not at all, and what is spooled beside them.

Unfinished files and folders are called .NAME.….partial and locked while their writer lives: what a killed writer left
is not locked, and the next writer removes it.
"""

from __future__ import annotations

import fcntl
import glob
import gzip
import os
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
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", suffix=_PARTIAL, dir=path.parent) as name:
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield Path(name)
        finally:
            os.close(descriptor)


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
    partial = path.with_name(f".{path.name}.{os.getpid()}{_PARTIAL}")
    try:
        with os.fdopen(files.create(partial), "wb") as raw:
            fcntl.flock(raw, fcntl.LOCK_EX)
            if path.suffix == ".gz":
                with gzip.GzipFile("", "wb", _GZIP_LEVEL, raw, mtime=0) as packed:
                    yield packed  # type: ignore[misc]
            else:
                yield raw
            raw.flush()
            files.fsync(raw.fileno())
        files.replace(partial, path)
    except BaseException:
        files.discard(partial)
        raise
    files.fsync_folder(path.parent)
