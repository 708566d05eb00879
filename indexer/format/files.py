"""Every change an index makes to the file system goes through here, so that tests can stop a writer at each step.

Order of a commit: write the new files, fsync each, fsync the folder; write the new manifest beside the old one, fsync
it, rename it over the old one, fsync the folder. A crash before the rename leaves the old manifest, whose files are
untouched; a crash after it leaves the new one, whose files were on disk before.

A writer writes into new files only and follows no link in the place of one; a reader opens regular files only.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from indexer.errors import IndexFormatError, SparseIRError

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PART = 1 << 16  # a read makes room for all it is asked for, however short the file


@contextmanager
def _named_faults() -> Iterator[None]:
    """What the system refuses, in words for the person whose index it is."""
    try:
        yield
    except OSError as error:
        raise storage_error(error) from error


def create(path: Path) -> int:
    """Open a new file for writing; whatever has its name already, a link or a device too, is refused."""
    with _named_faults():
        return os.open(path, _NEW, 0o644)


def make_folder(path: Path) -> None:
    """Make a folder that is not there yet."""
    with _named_faults():
        path.mkdir()


def write(descriptor: int, data: Any, offset: int) -> None:
    """Write all of `data` at `offset`."""
    view = memoryview(data).cast("B")
    with _named_faults():
        while len(view):
            done = os.pwrite(descriptor, view, offset)
            if done == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            view, offset = view[done:], offset + done


def fsync(descriptor: int) -> None:
    """Make a file's bytes durable."""
    _fsync(descriptor)


def _fsync(descriptor: int) -> None:
    with _named_faults():
        os.fsync(descriptor)


def storage_error(error: OSError) -> SparseIRError:
    """What a failing disk means for the person whose index it is."""
    return SparseIRError(
        f"the index could not be written ({error.strerror}); free some space or look after the disk and run again: "
        "the index still stands at its last commit"
    )


def fsync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    with _named_faults():
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _fsync(descriptor)
    finally:
        os.close(descriptor)


def replace(source: Path, target: Path) -> None:
    """Rename over whatever is at `target`, in one step."""
    with _named_faults():
        source.replace(target)


def unlink(path: Path) -> None:
    """Remove a name; of a link, the link."""
    path.unlink(missing_ok=True)


def discard(path: Path) -> None:
    """Remove what is of no more use, a folder with all in it. What the system refuses to remove stays: the next writer
    tries again, and no write that is done fails over it."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            unlink(path)


def open_regular(path: Path) -> int:
    """Open a file for reading. Anything else is refused; opening a pipe would wait for its writer.

    Raises
    ------
    IndexFormatError : no regular file.
    FileNotFoundError
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise not_regular(path)
    return descriptor


def not_regular(path: Path) -> IndexFormatError:
    """The error for a folder, a pipe, a device, or a link where a writer follows none."""
    return IndexFormatError(
        f"'{path}' is not a regular file, which an index is made of; find out who put it there and remove it",
        invariant="files-regular",
    )


def read_regular(path: Path, most: int) -> bytes:
    """The first `most` bytes of a regular file; raises as `open_regular` does."""
    with os.fdopen(open_regular(path), "rb", buffering=0) as file:
        parts = []
        while most > 0 and (part := file.read(min(most, _PART))):
            parts.append(part)
            most -= len(part)
    return b"".join(parts)


@contextmanager
def created(path: Path) -> Iterator[int]:
    """A new file that is closed at the end, and durable if no error came."""
    descriptor = create(path)
    try:
        yield descriptor
        fsync(descriptor)
    finally:
        os.close(descriptor)
