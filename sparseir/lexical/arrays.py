"""Arrays of a query side, in safetensors files that may be damaged or somebody else's."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.format.query_side import QueryFiles
from sparseir.errors import DataError


def read_arrays(source: Path | QueryFiles, name: str, what: str, remedy: str) -> dict[str, NDArray[Any]]:
    """The arrays of a file, by name.

    Parameters
    ----------
    source : a folder, or the files of an opened index. what, remedy : for the message: what the file holds, and what to do.

    Raises
    ------
    DataError : no such file, or none that safetensors reads; arrays of types that numpy does not have, such as bfloat16.
    """
    from safetensors import SafetensorError  # searching by words alone does without
    from safetensors.numpy import load

    folder = source.path if isinstance(source, QueryFiles) else source
    try:
        return dict(load(source.read(name) if isinstance(source, QueryFiles) else (folder / name).read_bytes()))
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{what} are damaged: {error!r}; {remedy}", path=folder / name) from None


def deflated(part: NDArray[Any]) -> NDArray[np.uint8]:
    """The bytes of an array, smaller."""
    return np.frombuffer(zlib.compress(np.ascontiguousarray(part).tobytes()), np.uint8)


def inflated(part: NDArray[Any], most: int, name: str) -> NDArray[np.uint8]:
    """What `deflated` was given, as bytes.

    Parameters
    ----------
    most : bytes that it may have. name : of the array, for the message.

    Raises
    ------
    ValueError : no such stream, or a longer one, of which no more is read.
    """
    if part.dtype != np.uint8 or part.ndim != 1:
        raise ValueError(name)
    stream = zlib.decompressobj()
    try:
        content = stream.decompress(part.tobytes(), most + 1)
    except zlib.error as error:
        raise ValueError(f"{name}: {error}") from None
    if len(content) > most or not stream.eof or stream.unused_data:
        raise ValueError(f"{name}: not the size that others need")
    return np.frombuffer(content, np.uint8)
