"""Dense embeddings of the texts of a prepared folder, in the order of its rows.

embeddings.json    rows, dimensions, number format, which texts they are of, size, checksum
rows.bin           float16 or float32 (N, d)
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.progress import Progress, silent
from sparseir.data.embeddings import open_matrix
from sparseir.data.lines import LineSource
from sparseir.data.stores.files import (
    described,
    mapped,
    read_description,
    room_on_disk,
    stated_files,
    verify_files,
    write_description,
)
from sparseir.data.stores.texts import TextStore
from sparseir.errors import DataError

FORM, VERSION = "sparseir embeddings", 1
DESCRIPTION, ROWS = "embeddings.json", "rows.bin"
_AT_ONCE = 1 << 14
_FORMATS: dict[str, np.dtype[Any]] = {"f2": np.dtype("<f2"), "f4": np.dtype("<f4")}


class StoredEmbeddings:
    """Embeddings by row, mapped.

    Parameters
    ----------
    path : the folder. stores : checksum of the texts they are to be of.

    Attributes
    ----------
    dimensions : d.

    Raises
    ------
    DataError : no such folder, a damaged one, or one of other texts.
    """

    def __init__(self, path: Path, stores: str) -> None:
        self.path = path
        body = read_description(path / DESCRIPTION, FORM, VERSION)
        rows, dimensions, kind = (
            body.get("rows"),
            body.get("dimensions"),
            _FORMATS.get(str(body.get("format_of_numbers"))),
        )
        if type(rows) is not int or type(dimensions) is not int or rows < 0 or dimensions < 1 or kind is None:
            raise DataError(f"states {rows} rows of {dimensions} numbers", path=path / DESCRIPTION)
        if body.get("stores") != stores:
            raise DataError(
                "belongs to other texts than those of its folder; prepare the embeddings again", path=path / DESCRIPTION
            )
        self._files = stated_files(body, (ROWS,), path / DESCRIPTION)
        self.dimensions = dimensions
        self._rows = mapped(path / ROWS, kind, rows * dimensions).reshape(rows, dimensions)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The embeddings of some rows, float32 (n, d)."""
        return self._rows[rows].astype(np.float32)

    def verify(self) -> None:
        """Read everything through.

        Raises
        ------
        DataError : damage.
        """
        verify_files(self.path, self._files)


def store_embeddings(
    folder: Path, given: Path, texts: TextStore, stores: str, *, what: str, progress: Progress = silent
) -> None:
    """Put X.npy, whose rows X.ids names, into the order of a store's rows.

    Twelve bytes a row are held in memory. A run that was stopped begins anew.

    Parameters
    ----------
    folder : to be written. given : X.npy. texts : whose embeddings they are to be. stores : checksum of them.
    what : of texts, in messages.

    Raises
    ------
    DataError : a name that is no text's, or twice, a text without a row, numbers that are not finite, as many names as rows
        missing; with file and line. SparseIRError : a disk that takes no more.
    """
    matrix = open_matrix(given)
    places = _places(given, len(matrix), texts, what)
    kind = _FORMATS["f2" if matrix.dtype.itemsize == 2 else "f4"]
    with room_on_disk(folder, f"embeddings of {what}"):
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ROWS).open("wb") as file:
            for start in range(0, len(places), _AT_ONCE):
                rows = places[start : start + _AT_ONCE]
                block = np.asarray(matrix[rows], np.float64).astype(kind)
                wrong = np.flatnonzero(~np.isfinite(block).all(1))
                if len(wrong):
                    name = texts.name(start + int(wrong[0]))
                    raise DataError(f"row {rows[wrong[0]]} ('{name}') holds a number that is not finite", path=given)
                file.write(block.tobytes())
                progress(f"storing embeddings of {what}", start + len(rows), len(places))
        body = {
            "format": FORM, "version": VERSION, "rows": len(places), "dimensions": matrix.shape[1],
            "format_of_numbers": kind.str[1:], "stores": stores, "files": described(folder, {ROWS: None}),
        }  # fmt: skip
        write_description(folder / DESCRIPTION, body)


def _places(given: Path, rows: int, texts: TextStore, what: str) -> NDArray[np.int64]:
    """The matrix row of each text, int64 (N,)."""
    names_file = given.with_suffix(".ids")
    if not names_file.exists():
        raise DataError(f"the names of the rows of {given} are missing: a file with one a line", path=names_file)
    places = np.full(len(texts), -1, np.int64)
    lines: Iterator[tuple[int, str]] = LineSource(names_file).raw_text()
    read = 0
    while block := [(number, line.strip()) for number, line in islice(lines, _AT_ONCE)]:
        found = texts.rows([name for _, name in block])
        for (number, name), row in zip(block, found.tolist(), strict=True):
            if row < 0:
                raise DataError(f"'{name}' is none of the {what} of the folder", path=names_file, line=number)
            if places[row] >= 0:
                raise DataError(
                    f"'{name}' is the name of row {places[row] + 1} already; names are unique",
                    path=names_file,
                    line=number,
                )
            places[row] = read
            read += 1
    if read != rows:
        raise DataError(f"holds {read:,} names for the {rows:,} rows of {given}", path=names_file)
    missing = np.flatnonzero(places < 0)
    if len(missing):
        raise DataError(
            f"holds no embedding of {len(missing):,} of the {len(texts):,} {what}, '{texts.name(int(missing[0]))}' first",
            path=given,
        )
    return places
