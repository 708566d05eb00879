"""Stored fields of vectors that were encoded elsewhere, taken by name from the collection they were made of."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.progress import Progress, silent
from sparseir.data.records import Document
from sparseir.errors import DataError

_NAMED = 3
"""Names that a message shows."""


class CorpusFields:
    """The fields of all documents of a corpus, by document name: on disk, 17 bytes a document in memory.

    Parameters
    ----------
    documents : read through at once. name : of the corpus, for messages. folder : for the temporary file.
    stored : fields of a document, as an index keeps them.

    Attributes
    ----------
    names : of the fields that some document has.
    """

    def __init__(
        self,
        documents: Iterable[Document],
        *,
        name: str,
        folder: Path,
        stored: Callable[[Document], dict[str, Any]],
        progress: Progress = silent,
    ) -> None:
        self.name, self.names = name, dict[str, None]()
        self._file = TemporaryFile(dir=folder, prefix=".sparseir-")  # noqa: SIM115 - closed by close
        try:
            hashes, offsets = self._spool(documents, stored, progress)
        except BaseException:
            self.close()
            raise
        order = np.argsort(hashes, kind="stable")
        self._hashes, self._offsets = hashes[order], offsets[order]
        self._taken = np.zeros(len(order), bool)
        self._asked, self._missing = 0, 0
        self._first_missing: list[str] = []

    def _spool(
        self, documents: Iterable[Document], stored: Callable[[Document], dict[str, Any]], progress: Progress
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Write all documents; (hash of each name, where its line begins)."""
        hashes, offsets, at = array("q"), array("q"), 0
        for number, document in enumerate(documents, 1):
            fields = stored(document)
            self.names |= dict.fromkeys(key for key, value in fields.items() if value not in (None, []))
            line = json.dumps([document.docno, fields]).encode() + b"\n"
            self._file.write(line)
            hashes.append(hash(document.docno))
            offsets.append(at)
            at += len(line)
            if number % 1000 == 0:
                progress("reading texts", number, None)
        return np.array(hashes, np.int64), np.array(offsets, np.int64)

    def close(self) -> None:
        """Remove the temporary file."""
        self._file.close()

    def of(self, docnos: Sequence[str] | None) -> list[dict[str, Any]]:
        """Fields of each name; none where the corpus has no such document.

        Raises
        ------
        DataError : vectors without names.
        """
        if docnos is None:
            raise DataError(
                f"these vectors have no names, by which the texts of {self.name} could be found; put the names of the rows, "
                "one JSON string a line, into a file beside them: FILE.docnos"
            )
        hashes = np.fromiter(map(hash, docnos), np.int64, len(docnos))
        first = np.searchsorted(self._hashes, hashes).tolist()
        return [self._find(docno, at) for docno, at in zip(docnos, first, strict=True)]

    def _find(self, docno: str, at: int) -> dict[str, Any]:
        self._asked += 1
        wanted = hash(docno)
        while at < len(self._hashes) and self._hashes[at] == wanted:
            found, fields = self._read(at)
            if found == docno:
                self._taken[at] = True
                return fields
            at += 1
        self._missing += 1
        if len(self._first_missing) < _NAMED:
            self._first_missing.append(docno)
        return {}

    def _read(self, at: int) -> tuple[str, dict[str, Any]]:
        self._file.seek(int(self._offsets[at]))
        found, fields = json.loads(self._file.readline())
        return found, fields

    def finish(self) -> tuple[str, ...]:
        """Notes for a person on names that only one side has, after the last vector.

        Raises
        ------
        DataError : most of the vectors have no document in the corpus.
        """
        extra = np.flatnonzero(~self._taken)
        extra = extra[np.argsort(self._offsets[extra])]
        left = _named([self._read(at)[0] for at in extra[:_NAMED].tolist()], len(extra))
        lacking = f"{self._missing:,} of {self._asked:,} vectors have no document in {self.name}"
        if self._missing > self._asked / 2:
            raise DataError(
                f"{lacking} ({_named(self._first_missing, self._missing)}; the corpus has {left or 'no others'}); give the "
                "corpus these vectors were made of"
            )
        notes = []
        if self._missing:
            stored = "they are indexed with the fields of their own lines alone"
            notes.append(f"{lacking} ({_named(self._first_missing, self._missing)}); {stored}")
        if len(extra):
            notes.append(
                f"{len(extra):,} of {len(self._taken):,} documents of {self.name} have no vector ({left}); they are not "
                "in the index"
            )
        return tuple(notes)


def _named(names: Sequence[str], count: int) -> str:
    """'a', 'b' and 3 more."""
    shown = ", ".join(repr(name) for name in names)
    return f"{shown} and {count - len(names):,} more" if count > len(names) else shown
