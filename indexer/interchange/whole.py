"""Small files that are read at once; a module of its own, because searches of words load it."""

from __future__ import annotations

import os
from pathlib import Path

from indexer.errors import DataError


def read_whole(path: Path, most: int) -> bytes:
    """The content of a file that is read at once, which no file of its kind has reason to make longer than `most` bytes.

    Raises
    ------
    DataError : a longer one. It is told by its size, not read.
    OSError
    """
    with path.open("rb") as file:
        content = file.read(most) if os.fstat(file.fileno()).st_size <= most else b""
        if (not content and os.fstat(file.fileno()).st_size) or file.read(1):
            raise DataError(f"more than {most:,} bytes; no such file is that long", path=path)
    return content
