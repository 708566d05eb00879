"""The query side of an index: small files beside the segments that turn texts into terms."""

from __future__ import annotations

import mmap
from pathlib import Path

from indexer.errors import DataError


class QueryFiles:
    """Files of a folder as they are when it is opened: mapped, so that they stay readable after a writer removes them.

    Parameters
    ----------
    path : the folder.

    Raises
    ------
    FileNotFoundError : there is none, or a file goes while it is opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files = {file.name: _mapped(file) for file in sorted(path.iterdir()) if file.is_file()}

    @property
    def names(self) -> list[str]:
        """Of its files."""
        return list(self._files)

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def read(self, name: str, most: int = 1 << 30) -> bytes:
        """The content of a file.

        Parameters
        ----------
        name : of the file. most : bytes that a sound one of its kind stays below.

        Raises
        ------
        KeyError : no such file.
        DataError : a longer one, which is not read.
        """
        if len(self._files[name]) > most:
            raise DataError(f"more than {most:,} bytes; no such file is that long", path=self.path / name)
        return bytes(self._files[name])


def _mapped(path: Path) -> mmap.mmap | bytes:
    with path.open("rb") as file:
        size = path.stat().st_size
        return mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) if size else b""
