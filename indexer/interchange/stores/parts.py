"""Bulk files cut to a size."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import TracebackType
from typing import IO

from indexer.format import files
from indexer.interchange.stores.store import Store


class Parts:
    """Writes documents one after the other, a new file before one would outgrow the limit.

    Parameters
    ----------
    folder : where the files go. store : says their names and what stands around documents.
    most : bytes of a file; a document that is longer has a file of its own.

    Attributes
    ----------
    count, bytes : files begun, bytes written so far.
    """

    def __init__(self, folder: Path, store: Store, most: int) -> None:
        self._folder, self._store, self._most = folder, store, most
        self._file: IO[bytes] | None = None
        self._size = self.count = self.bytes = 0

    def add(self, lines: list[str]) -> None:
        """Take documents; together where they fit, else one by one."""
        if not lines:
            return
        together = self._store.between.join([line.encode() for line in lines])
        if self._fits(len(together)):
            self._put(together)
            return
        for line in lines:
            document = line.encode()
            if self._file is not None and not self._fits(len(document)):
                self._finish()
            self._put(document)

    def __enter__(self) -> Parts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the last file; without documents there is one that holds none. After a failure only close it."""
        if kind is None:
            if self.count == 0:
                self._begin()
            if self._file is not None:
                self._finish()
        elif self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()

    def _fits(self, size: int) -> bool:
        store = self._store
        before = self._size + len(store.between) if self._file is not None else len(store.begins)
        return before + size + len(store.ends) <= self._most

    def _put(self, document: bytes) -> None:
        if self._file is None:
            self._begin()
        else:
            self._write(self._store.between)
        self._write(document)

    def _begin(self) -> None:
        self._file = (self._folder / self._store.file.format(self.count)).open("wb")
        self._size, self.count = 0, self.count + 1
        self._write(self._store.begins)

    def _finish(self) -> None:
        assert self._file is not None
        if self._size > len(self._store.begins) or self._store.begins:
            self._write(self._store.ends)
        self._file.flush()
        files.fsync(self._file.fileno())
        self._file.close()
        self._file = None

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        self._file.write(data)
        self._size += len(data)
        self.bytes += len(data)
