"""Every change an index makes to the file system goes through here, so that tests can stop a writer at each step.

Order of a commit: write the new files, fsync each, fsync the folder; write the new manifest beside the old one, fsync
it, rename it over the old one, fsync the folder. A crash before the rename leaves the old manifest, whose files are
untouched; a crash after it leaves the new one, whose files were on disk before.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from indexer.errors import SparseIRError


def create(path: Path) -> int:
    """Open a new file for writing; an old one of that name is a crashed writer's and is emptied."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)


def write(descriptor: int, data: Any, offset: int) -> None:
    """Write all of `data` at `offset`."""
    view = memoryview(data).cast("B")
    try:
        while len(view):
            done = os.pwrite(descriptor, view, offset)
            view, offset = view[done:], offset + done
    except OSError as error:
        raise storage_error(error) from error


def fsync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise storage_error(error) from error


def storage_error(error: OSError) -> SparseIRError:
    """What a failing disk means for the person whose index it is."""
    return SparseIRError(
        f"the index could not be written ({error.strerror}); free some space or look after the disk and run again: "
        "the index still stands at its last commit"
    )


def fsync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace(source: Path, target: Path) -> None:
    """Rename over whatever is at `target`, in one step."""
    source.replace(target)


def unlink(path: Path) -> None:
    path.unlink(missing_ok=True)


@contextmanager
def created(path: Path) -> Iterator[int]:
    """A new file that is closed at the end, and durable if no error came."""
    descriptor = create(path)
    try:
        yield descriptor
        fsync(descriptor)
    finally:
        os.close(descriptor)
