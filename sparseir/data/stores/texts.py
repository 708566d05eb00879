"""A store of texts: one blob of UTF-8 with offsets, names hashed for look-up, shared by all processes that open it.

    store.json    what is below: rows, sizes, checksums
    texts.bin     the texts one after the other; texts.off: int64 (N + 1), where each begins
    names.bin, names.off    the names likewise; names.hash: uint64 (N,), their digests, ascending; names.row: uint32 (N,)

Where every name is its row number, as in MS MARCO's passages, there are no files of names.
"""

from __future__ import annotations

import itertools
import os
import weakref
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseir.data.stores.files import check_size, mapped, read_description, stated_files, verify_files
from sparseir.data.stores.rows import Rows
from sparseir.errors import DataError

FORM, VERSION = "sparseir texts", 1
DESCRIPTION = "store.json"
MOST_ROWS = 2**32 - 2


class TextStore(Rows[str]):
    """Texts by row and by name. Opening one maps its offsets and reads a page of JSON, whatever its size.

    Rows are those of the corpus it was made from. Many threads and processes may read one store; what they read is
    shared through the system's cache. Pickled, it is its path.

    Parameters
    ----------
    path : the folder.

    Attributes
    ----------
    described : what store.json says.

    Raises
    ------
    DataError : no store, a damaged description, files of other sizes than it states.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.described = read_description(self.path / DESCRIPTION, FORM, VERSION)
        self._rows = _whole(self.described, "rows", MOST_ROWS, self.path)
        self.named_by_row = bool(self.described.get("named_by_row"))
        for name, stated in _files(self.described, self.path).items():
            check_size(self.path / name, stated["bytes"])
        self._offsets = mapped(self.path / "texts.off", np.int64, self._rows + 1)
        self._texts = _Blob(self.path / "texts.bin")
        if not self.named_by_row:
            self._name_offsets = mapped(self.path / "names.off", np.int64, self._rows + 1)
            self._names = _Blob(self.path / "names.bin")
            self._hashes = mapped(self.path / "names.hash", np.uint64, self._rows)
            self._hashed_rows = mapped(self.path / "names.row", np.uint32, self._rows)

    def __reduce__(self) -> tuple[type[TextStore], tuple[Path]]:
        return TextStore, (self.path,)

    def __len__(self) -> int:
        return self._rows

    def row_at(self, number: int) -> str:
        return self._decoded(self._texts, self._offsets, self._checked(number))

    def name(self, row: int) -> str:
        """The name of a row.

        Raises
        ------
        IndexError : no such row.
        """
        row = self._checked(row)
        return str(row) if self.named_by_row else self._decoded(self._names, self._name_offsets, row)

    def rows(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Rows of names, int64; −1 for a name that is not there."""
        if self.named_by_row:
            return np.array([_row_number(name, self._rows) for name in names], np.int64)
        wanted = hashes_of(names)
        places = np.searchsorted(self._hashes, wanted)
        found = [self._find(name, h, int(p)) for name, h, p in zip(names, wanted, places, strict=True)]
        return np.array(found, np.int64)

    def blocks(self, size: int = 8192) -> Iterator[tuple[int, list[str]]]:
        """(first row, texts) of all rows in order."""
        for first in range(0, self._rows, size):
            offsets = np.array(self._offsets[first : first + size + 1])
            self._check_ends(offsets, first)
            block = self._texts.read(int(offsets[0]), int(offsets[-1]))
            spans = itertools.pairwise((offsets - offsets[0]).tolist())
            yield first, [self._text(block[a:b], first + i) for i, (a, b) in enumerate(spans)]

    def verify(self) -> None:
        """Read everything: checksums, ends of texts and names, and that every name is found where it is.

        Raises
        ------
        DataError : the first fault.
        """
        verify_files(self.path, _files(self.described, self.path))
        for first, texts in self.blocks():
            if self.named_by_row:
                continue
            names = [self.name(row) for row in range(first, first + len(texts))]
            wrong = np.flatnonzero(self.rows(names) != np.arange(first, first + len(names)))
            if len(wrong):
                raise DataError(f"name '{names[wrong[0]]}' leads to another row than its own", path=self.path)

    def __repr__(self) -> str:
        return f"TextStore({str(self.path)!r}, rows={self._rows})"

    def _find(self, name: str, digest: Any, place: int) -> int:
        encoded = name.encode("utf-8", "surrogatepass")
        while place < self._rows and self._hashes[place] == digest:  # digests of several names may be one
            row = int(self._hashed_rows[place])
            if row < self._rows and self._bytes(self._names, self._name_offsets, row) == encoded:
                return row
            place += 1
        return -1

    def _checked(self, row: int) -> int:
        if not -self._rows <= row < self._rows:
            raise IndexError(f"row {row} of a store of {self._rows:,} texts")
        return int(row) % self._rows

    def _bytes(self, blob: _Blob, offsets: NDArray[Any], row: int) -> bytes:
        start, end = int(offsets[row]), int(offsets[row + 1])
        if not 0 <= start <= end <= blob.size:
            raise DataError(
                f"row {row} ends where it cannot; its offsets are damaged: prepare it again", path=self.path
            )
        return blob.read(start, end)

    def _decoded(self, blob: _Blob, offsets: NDArray[Any], row: int) -> str:
        return self._text(self._bytes(blob, offsets, row), row)

    def _text(self, content: bytes, row: int) -> str:
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                f"row {row} is not UTF-8; the store is damaged: prepare it again", path=self.path
            ) from error

    def _check_ends(self, offsets: NDArray[Any], first: int) -> None:
        if int(offsets[0]) < 0 or int(offsets[-1]) > self._texts.size or (np.diff(offsets) < 0).any():
            raise DataError(f"offsets from row {first} on are damaged: prepare it again", path=self.path)


class _Blob:
    """Bytes of a file, read where they are asked for.

    *subtle:* read, not mapped. A mapping would count every page that a process has touched, and those around it, as its own
    memory until it is as large as the corpus; what is read stays in the system's cache alone, which all processes share. A file
    that is cut while it is open ends a mapping with a signal, and a read with an error.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.size = path.stat().st_size
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)

    def read(self, start: int, end: int) -> bytes:
        """Bytes start..end.

        Raises
        ------
        DataError : the file is no longer as long as it was.
        """
        content = os.pread(self._descriptor, end - start, start)
        while len(content) < end - start:  # a read gives at most 2 GB
            more = os.pread(self._descriptor, end - start - len(content), start + len(content))
            if not more:
                raise DataError("was cut while it was open; prepare its folder again", path=self._path)
            content += more
        return content


def hashes_of(names: Sequence[str]) -> NDArray[np.uint64]:
    """64-bit digest of each name, uint64: the same on every machine and in every process."""
    parts = [blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest() for name in names]
    return np.frombuffer(b"".join(parts), "<u8")


def _row_number(name: str, rows: int) -> int:
    """The row that a name is the number of, written as Python writes it: "7" and not "07"."""
    if not name.isdecimal() or len(name) > 10 or str(int(name)) != name or int(name) >= rows:
        return -1
    return int(name)


def _whole(described: dict[str, Any], key: str, most: int, path: Path) -> int:
    value = described.get(key)
    if type(value) is not int or not 0 <= value <= most:
        raise DataError(f"'{key}' is {value!r}; expected a whole number up to {most:,}", path=path / DESCRIPTION)
    return value


def _files(described: dict[str, Any], path: Path) -> dict[str, dict[str, int]]:
    names = () if described.get("named_by_row") else ("names.bin", "names.off", "names.hash", "names.row")
    return stated_files(described, ("texts.bin", "texts.off", *names), path / DESCRIPTION)
