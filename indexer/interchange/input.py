"""Opening files to read, plain or gzip, and their lines; every fault becomes a DataError."""

from __future__ import annotations

import gzip
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from indexer.errors import DataError

READ_FAULTS = (OSError, EOFError, zlib.error, zipfile.BadZipFile)
"""What reading a damaged or truncated stream raises."""

ARCHIVE_FAULTS = (*READ_FAULTS, ValueError, RuntimeError, OverflowError, KeyError, struct.error)
"""What a zip archive raises. RuntimeError: an encrypted member, or a method of packing that Python lacks (Deflate64);
the others: a directory with impossible entries."""

LARGEST_LINE = 1 << 26
"""Bytes of the longest line of text; without a limit a file without line ends would be read whole."""


class LongLineError(ValueError):
    """A line of more than LARGEST_LINE bytes."""


def raw_lines(stream: IO[bytes], largest: int = LARGEST_LINE) -> Iterator[bytes]:
    """The lines of a stream, ends included.

    Raises
    ------
    LongLineError
    """
    while line := stream.readline(largest + 1):
        if len(line) > largest:
            raise LongLineError(f"a line of more than {largest} bytes")
        yield line


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked where its name ends in .gz.

    Raises
    ------
    DataError : it cannot be opened. Damage shows while reading, as one of READ_FAULTS.
    """
    try:
        raw = path.open("rb")
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path) from error
    with raw:
        if path.suffix == ".gz":
            with gzip.open(raw) as unpacked:
                yield unpacked  # type: ignore[misc]
        else:
            yield raw
