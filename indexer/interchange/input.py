"""Opening files to read, plain or gzip; every fault becomes a DataError."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from indexer.errors import DataError

READ_FAULTS = (OSError, EOFError, zlib.error, zipfile.BadZipFile)
"""What reading a damaged or truncated stream raises."""


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
