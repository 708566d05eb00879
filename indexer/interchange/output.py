"""Files that appear whole or not at all."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from indexer import files
from indexer.errors import DataError

TextSink = Callable[[bytes], object]
_GZIP_LEVEL = 4  # 6 costs twice the time for 4% of the size of JSON vectors


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write that takes the name `path`, durably, when the block ends, and vanishes when it fails.

    What stood at `path` before stays readable until the rename. A name that ends in .gz is compressed, without a
    time stamp, so that the same data gives the same bytes.

    Raises
    ------
    DataError : the folder does not exist, or `path` is a folder.
    """
    if not path.parent.is_dir():
        raise DataError("the folder to write into does not exist; make it first", path=path)
    if path.is_dir():
        raise DataError("a folder stands where the file is to be written", path=path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as raw:
            if path.suffix == ".gz":
                with gzip.GzipFile("", "wb", _GZIP_LEVEL, raw, mtime=0) as packed:
                    yield packed  # type: ignore[misc]
            else:
                yield raw
            raw.flush()
            files.fsync(raw.fileno())
        files.replace(partial, path)
    except BaseException:
        files.unlink(partial)
        raise
    files.fsync_folder(path.parent)
