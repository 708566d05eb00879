"""Dense embeddings made elsewhere: a matrix in numpy's format, and a file of the names of its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparseir.data.lines import LineSource
from sparseir.errors import DataError

_LOOKED_AT = 1 << 14
"""Rows that are checked at a time."""


@dataclass(frozen=True)
class Embeddings:
    """Rows of floats under names, mapped into memory.

    Parameters
    ----------
    path : of the matrix. ids : one a row, each once. rows : (N, d), float16, float32 or float64.
    """

    path: Path
    ids: Sequence[str]
    rows: NDArray[np.floating]

    @classmethod
    def open(cls, path: str | Path, ids: str | Path | None = None) -> Embeddings:
        """Open X.npy and its names.

        Parameters
        ----------
        path : a matrix that `numpy.save` wrote.
        ids : a name a line, in the order of the rows, the file may end in .gz; None for X.ids.

        Raises
        ------
        DataError : no such file, no matrix of floats, as many names as rows missing, a name twice or empty.
        """
        file, rows = Path(path), open_matrix(path)
        names_file = file.with_suffix(".ids") if ids is None else Path(ids)
        names = _names(names_file, of=file)
        if len(names) != len(rows):
            raise DataError(
                f"holds {len(names):,} names for the {len(rows):,} rows of {file}; give the names of these embeddings, one a line",
                path=names_file,
            )
        return cls(file, names, rows)

    @property
    def dimensions(self) -> int:
        """Length of an embedding."""
        return int(self.rows.shape[1])

    @cached_property
    def at(self) -> Mapping[str, int]:
        """Row numbers by name."""
        return {name: row for row, name in enumerate(self.ids)}

    def check(self, dimensions: int) -> None:
        """Read all rows.

        Raises
        ------
        DataError : another length than `dimensions`, or a number that is not finite, with its row.
        """
        if self.dimensions != dimensions:
            raise DataError(
                f"its embeddings have {self.dimensions} dimensions, and the model takes {dimensions}; "
                "give those of the model's own base",
                path=self.path,
            )
        for start in range(0, len(self.rows), _LOOKED_AT):
            wrong = ~np.isfinite(self.rows[start : start + _LOOKED_AT]).all(1)
            if wrong.any():
                row = start + int(wrong.argmax())
                raise DataError(
                    f"row {row} ('{self.ids[row]}') holds a number that is not finite; embed that text again",
                    path=self.path,
                )

    def of(self, names: Sequence[str], dimensions: int) -> NDArray[np.float32]:
        """The embeddings of some names, (len(names), dimensions).

        Raises
        ------
        DataError : a name without a row, besides what `check` raises.
        """
        self.check(dimensions)
        absent = next((name for name in names if name not in self.at), None)
        if absent is not None:
            raise DataError(f"holds no embedding of '{absent}'", path=self.path)
        return self.rows[[self.at[name] for name in names]].astype(np.float32)


def open_matrix(path: str | Path) -> NDArray[np.floating]:
    """A matrix of floats that `numpy.save` wrote, mapped.

    Raises
    ------
    DataError : no such file, or something else.
    """
    file = Path(path)
    try:
        rows = np.load(file, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise DataError("no such file of embeddings", path=file) from None
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"is no matrix that numpy.save wrote ({error})", path=file) from None
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.dtype.kind != "f":
        found = f"{rows.dtype} {rows.shape}" if isinstance(rows, np.ndarray) else "an archive of several"
        raise DataError(f"expected a matrix of floats, one row an embedding, found {found}", path=file)
    return rows


def _names(path: Path, *, of: Path) -> list[str]:
    if not path.exists():
        raise DataError(f"the names of the rows of {of} are missing: a file with one a line", path=path)
    first: dict[str, int] = {}
    for number, line in LineSource(path).raw_text():
        name = line.strip()
        if not name:
            raise DataError("an empty name; every row has one", path=path, line=number)
        before = first.setdefault(name, number)
        if before != number:
            raise DataError(f"'{name}' is the name of row {before} already; names are unique", path=path, line=number)
    return list(first)
