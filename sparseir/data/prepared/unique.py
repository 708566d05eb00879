"""The different texts of files of pairs, each once, in the order in which they come first; nothing of their number in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.progress import Progress
from sparseir.data.corpus.places import Place
from sparseir.data.prepared.formats import BY_TEXT, PairFile
from sparseir.data.stores.files import room_on_disk
from sparseir.data.stores.texts import hashes_of
from sparseir.data.stores.write_texts import NamedText

_PARTS = 16
"""Ranges of digests, of which one at a time is sorted."""

_BLOCK = 1 << 20


def unique_texts(files: Sequence[PairFile], which: str, folder: Path, progress: Progress) -> Iterator[NamedText]:
    """Documents or queries of the files. The files are read twice: digests of the names first, then the texts.

    Parameters
    ----------
    which : "documents" or "queries". folder : for two temporary files.

    Raises
    ------
    DataError : faults of the files, with file and line. SparseIRError : a full disk.
    """
    with room_on_disk(folder, "digests of texts"):
        path, count = folder / "digests", 0
        with path.open("wb") as out:
            stream = _all(files, which)
            while names := [text.name for text in islice(stream, 65_536)]:
                hashes_of(names).tofile(out)
                count += len(names)
                progress(f"counting {which}", count, None)
        first = _first_occurrences(path, count, folder / "first")
    for number, text in enumerate(_all(files, which)):
        if first[number]:
            yield text


def _all(files: Sequence[PairFile], which: str) -> Iterator[NamedText]:
    for at, file in enumerate(files):
        for row in BY_TEXT[file.form](file.source):
            place = Place(file.source.label, row.line)
            for name, text in row.documents if which == "documents" else (row.query,):
                yield NamedText(place, at, name, text)


def _first_occurrences(path: Path, count: int, out: Path) -> NDArray[np.bool_]:
    """bool (count,), mapped: true where a digest of a file stands for the first time."""
    if not count:
        return np.zeros(0, bool)
    digests = np.memmap(path, np.uint64, "r", shape=(count,))
    first = np.memmap(out, np.bool_, "w+", shape=(count,))
    for part in range(_PARTS):
        places = [
            start + np.flatnonzero(digests[start : start + _BLOCK] % _PARTS == part)
            for start in range(0, count, _BLOCK)
        ]
        rows = np.concatenate(places)
        _, index = np.unique(digests[rows], return_index=True)
        first[rows[index]] = True
    first.flush()
    return first
