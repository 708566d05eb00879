"""One writer at a time: an advisory lock on a file of the index folder, released by the system when its holder dies."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from indexer.errors import LockedError
from indexer.format.files import not_regular

LOCK_FILE = "write.lock"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.1
T = TypeVar("T")


@contextmanager
def write_lock(folder: Path) -> Iterator[None]:
    """Hold the writer's lock of an index.

    Raises
    ------
    LockedError : somebody else holds it; the message says who and since when.
    IndexFormatError : a link, a pipe or a folder has the name of its file.
    """
    descriptor = _open(folder / LOCK_FILE)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockedError(
                f"index '{folder}' is being written by {_signed(descriptor)}; wait until it is done (the lock goes with its process)"
            ) from None
        with suppress(OSError):  # the text is for people; a full disk must not keep a writer from making room
            _sign(descriptor)
        yield
    finally:
        os.close(descriptor)


def holder(folder: Path) -> str | None:
    """Who holds the writer's lock of a folder; None where nobody does, or nobody can tell. Makes no file."""
    try:
        descriptor = os.open(folder / LOCK_FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _signed(descriptor)
    finally:
        os.close(descriptor)
    return None


def patiently(call: Callable[[], T], seconds: float) -> T:
    """The result of a call that takes a lock, tried again while somebody else holds it.

    Parameters
    ----------
    call : changes nothing where it raises LockedError. seconds : from the first attempt to the last.

    Raises
    ------
    LockedError : it is held all the time.
    """
    end, pause = time.monotonic() + seconds, _FIRST_PAUSE
    while True:
        try:
            return call()
        except LockedError:
            left = end - time.monotonic()
            if left <= 0:
                raise
        time.sleep(min(pause, left))
        pause = min(2 * pause, _LONGEST_PAUSE)


def _open(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise not_regular(path) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise not_regular(path)
    return descriptor


def _signed(descriptor: int) -> str:
    return os.pread(descriptor, 512, 0).decode("utf-8", "replace").strip() or "another process"


def _sign(descriptor: int) -> None:
    """Write who holds the lock."""
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    command = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"
    os.ftruncate(descriptor, 0)
    import socket  # takes a search longer to import than all else here

    text = f"process {os.getpid()} ({command}) on {socket.gethostname()} since {since} UTC"
    os.pwrite(descriptor, text.encode("utf-8", "replace")[:500], 0)
