"""Packed bytes of one stream: gzip and Zstandard."""

from __future__ import annotations

import gzip
import io
from typing import IO, cast

from indexer.format.zstandard import Unpacked

ENDINGS = (".gz", ".zst")
"""Of packed files."""

_MAGIC = {b"\x1f\x8b": ".gz", b"\x28\xb5\x2f\xfd": ".zst"}


def bare_name(name: str) -> str:
    """A file's name without the ending of its packing."""
    return name[: name.rindex(".")] if name.lower().endswith(ENDINGS) else name


def unpacked(stream: IO[bytes], name: str) -> IO[bytes]:
    """What a stream holds, by the ending of its name.

    Damage shows while reading, as one of `indexer.interchange.input.ARCHIVE_FAULTS`.

    Raises
    ------
    MissingExtraError : no library for Zstandard.
    """
    ending = name[name.rfind(".") :].lower()
    if ending == ".gz":
        return cast(IO[bytes], gzip.GzipFile(fileobj=stream, mode="rb"))
    return io.BufferedReader(Unpacked(stream), 1 << 17) if ending == ".zst" else stream


def sniffed(stream: io.BufferedReader) -> IO[bytes]:
    """What a stream without a name holds, by its first bytes."""
    head = stream.peek(4)[:4]
    return unpacked(stream, next((ending for magic, ending in _MAGIC.items() if head.startswith(magic)), ""))
