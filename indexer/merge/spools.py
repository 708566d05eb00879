"""Sections that grow side by side while a merge runs."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.format import files

_CHUNK = 8 << 20


class SectionSpools:
    """Sections that grow together, each in a file of its own until it is copied to its place.

    Parameters
    ----------
    folder, number : the files are called NUMBER.run-NAME, which the next writer removes after a crash.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self._folder, self._number = folder, number
        self._open: dict[str, tuple[Path, int, int]] = {}

    def append(self, name: str, array: NDArray[Any]) -> None:
        if name not in self._open:
            path = self._folder / f"{self._number:06d}.run-{name}"
            self._open[name] = (path, files.create(path), 0)
        path, descriptor, at = self._open[name]
        raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        files.write(descriptor, raw.data, at)
        self._open[name] = (path, descriptor, at + len(raw))

    def read(self, name: str, dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
        """The section from its start, in pieces."""
        if name not in self._open:
            return
        _, descriptor, size = self._open[name]
        for at in range(0, size, _CHUNK):
            yield np.frombuffer(os.pread(descriptor, min(_CHUNK, size - at), at), dtype)

    def map(self, name: str, dtype: np.dtype[Any]) -> NDArray[Any]:
        """The section mapped from its file; good until `close`."""
        if name not in self._open or not self._open[name][2]:
            return np.zeros(0, dtype)
        mapped = mmap.mmap(self._open[name][1], self._open[name][2], access=mmap.ACCESS_READ)
        return np.frombuffer(mapped, dtype)

    def close(self) -> None:
        for path, descriptor, _ in self._open.values():
            os.close(descriptor)
            files.discard(path)
        self._open.clear()
