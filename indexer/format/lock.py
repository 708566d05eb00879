"""One writer at a time: an advisory lock on a file of the index folder, released by the system when its holder dies."""

from __future__ import annotations

import fcntl
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from indexer.errors import LockedError

LOCK_FILE = "write.lock"


@contextmanager
def write_lock(folder: Path) -> Iterator[None]:
    """Hold the writer's lock of an index.

    Raises
    ------
    LockedError : somebody else holds it; the message says who and since when.
    """
    descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 512, 0).decode("utf-8", "replace").strip() or "another process"
            raise LockedError(
                f"index '{folder}' is being written by {holder}; wait until it is done (the lock goes with its process)"
            ) from None
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        command = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"
        os.ftruncate(descriptor, 0)
        text = f"process {os.getpid()} ({command}) on {socket.gethostname()} since {since} UTC"
        os.pwrite(descriptor, text.encode("utf-8", "replace")[:500], 0)
        yield
    finally:
        os.close(descriptor)
