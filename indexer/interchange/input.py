"""Opening files to read, plain or gzip: their lines, their JSON; every fault becomes a DataError."""

from __future__ import annotations

import gzip
import json
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NoReturn

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


class RefusedError(ValueError):
    """What Python's parser lets pass and JSON does not have."""


def no_constant(name: str) -> NoReturn:
    """The hook of Python's parser for NaN and Infinity."""
    raise RefusedError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise RefusedError(f"the number {text[:40]} is beyond the range of floats")
    return value


_DECODER = json.JSONDecoder(parse_constant=no_constant, parse_float=_finite)


def json_value(text: str) -> Any:
    """The value of one JSON text, as UTF-8 and floats can hold it.

    Raises
    ------
    ValueError : whatever is wrong with it, nesting beyond Python's stack and half characters included.
    """
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at column {error.pos + 1}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if "\\ud" in text or "\\uD" in text:  # an escape of half a character, which tokenizers and UTF-8 refuse later
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            half = error.object[error.start : error.start + 1]
            raise ValueError(f"{half!a} is half a character, which no text holds") from None
    return value


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
