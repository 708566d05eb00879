"""Arrays of a query side, in safetensors files that may be damaged or somebody else's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
