"""Rows out of three columns that are read side by side: what .npz and Big-ANN .csr have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from indexer.documents import Documents
from indexer.errors import DataError
from indexer.interchange.batches import BatchLimits, VectorSource
from indexer.interchange.docnos import DOCNOS_SUFFIX, TERMS_SUFFIX, RowNames, beside, read_sidecar
from indexer.interchange.vocabulary import Vocabulary
from indexer.vectors import MAX_TERM_ID, SparseVectors


class Column(Protocol):
    """One array of a file, taken piece by piece."""

    count: int

    def take(self, count: int) -> NDArray[Any]:
        """The next `count` elements; DataError where the file ends before them."""
        ...

    def finish(self) -> None:
        """Called after the last element; DataError where the file then shows a fault."""
        ...


class MatrixSource(VectorSource):
    """A file that says its shape before its rows; a reader sets `_rows`, `_num_terms` and `_vocabulary` when it opens it."""

    _rows: int
    _num_terms: int
    _vocabulary: Vocabulary | None

    @property
    def num_terms(self) -> int:
        return self._num_terms

    @property
    def num_rows(self) -> int:
        return self._rows

    @property
    def vocabulary(self) -> Vocabulary | None:
        return self._vocabulary


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CsrStream:
    """A CSR matrix whose three arrays are read in step.

    Parameters
    ----------
    path : of the file, for messages.
    rows, num_terms : shape.
    indptr : rows + 1 integers from 0, never falling, the last the number of weights.
    term_ids, weights : equally long.
    """

    path: Path
    rows: int
    num_terms: int
    indptr: Column
    term_ids: Column
    weights: Column

    def batches(self, limits: BatchLimits, names: RowNames | None) -> Iterator[Documents]:
        """All rows in batches, each checked; holds one batch and limits.rows of indptr.

        Raises
        ------
        DataError : arrays that do not fit together, rows SparseVectors refuses (named by their number in the file).
        """
        self._check_counts()
        done = 0
        last = self._start()
        while done < self.rows:
            bounds = np.empty(min(limits.rows, self.rows - done) + 1, np.int64)
            bounds[0], bounds[1:] = last, self._next_bounds(len(bounds) - 1)
            self._check_bounds(bounds, done)
            last = int(bounds[-1])
            for lo, hi in cuts(bounds, limits.postings):
                yield self._batch(bounds[lo : hi + 1], done + lo, names)
            done += len(bounds) - 1
        if last != self.term_ids.count:
            raise DataError(f"indptr ends at {last} of {self.term_ids.count} weights", path=self.path)
        for column in (self.indptr, self.term_ids, self.weights):
            column.finish()
        if names is not None:
            names.finish()

    def _check_counts(self) -> None:
        if self.indptr.count != self.rows + 1:
            raise DataError(
                f"indptr has {self.indptr.count} entries for {self.rows} rows; expected {self.rows + 1}", path=self.path
            )
        if self.term_ids.count != self.weights.count:
            raise DataError(
                f"{self.term_ids.count} term ids beside {self.weights.count} weights; expected equal numbers",
                path=self.path,
            )

    def _start(self) -> int:
        first = int(self.indptr.take(1)[0])
        if first != 0:
            raise DataError(f"indptr starts at {first}; expected 0", path=self.path)
        return first

    def _next_bounds(self, count: int) -> NDArray[np.int64]:
        bounds = self.indptr.take(count)
        # Entries beyond int64 become negative here, so indptr falls and is refused below.
        return bounds.astype(np.int64, copy=False)

    def _check_bounds(self, bounds: NDArray[np.int64], first_row: int) -> None:
        lengths = np.diff(bounds)
        bad = (lengths < 0) | (bounds[1:] > self.term_ids.count) | (lengths > self.num_terms)
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise DataError(
                f"row {first_row + row} reaches from {bounds[row]} to {bounds[row + 1]} in {self.term_ids.count} weights "
                f"over {self.num_terms} terms; indptr is broken",
                path=self.path,
            )

    def _batch(self, bounds: NDArray[np.int64], first_row: int, names: RowNames | None) -> Documents:
        count = int(bounds[-1] - bounds[0])
        vectors = SparseVectors.from_arrays(
            bounds - bounds[0],
            self.term_ids.take(count),
            self.weights.take(count),
            self.num_terms,
            source=str(self.path),
            first_row=first_row,
        )
        return Documents(vectors, None if names is None else names.take(len(vectors)))


def cuts(bounds: NDArray[np.int64], most: int) -> Iterator[tuple[int, int]]:
    """Row ranges of at most `most` weights each; a longer row is a range of its own."""
    lo, rows = 0, len(bounds) - 1
    while lo < rows:
        hi = int(np.searchsorted(bounds, bounds[lo] + most, side="right")) - 1
        hi = min(max(hi, lo + 1), rows)
        yield lo, hi
        lo = hi


def wider(columns: int, num_terms: int | None, path: Path) -> int:
    """Vocabulary size: that of the file, or the larger one that the reader asks for.

    Raises
    ------
    DataError : the file has more columns than asked for, or an impossible number.
    """
    if not 0 < columns <= MAX_TERM_ID + 1:
        raise DataError(f"{columns} columns; expected 1..{MAX_TERM_ID + 1}", path=path)
    if num_terms is not None and num_terms < columns:
        raise DataError(f"{columns} columns for a vocabulary of {num_terms} terms", path=path)
    return columns if num_terms is None else num_terms


def sidecar_names(path: Path) -> RowNames | None:
    """Names of rows from PATH.docnos, where that lies beside the matrix."""
    names = beside(path, DOCNOS_SUFFIX)
    return RowNames(lambda: read_sidecar(names), names) if names.is_file() else None


def sidecar_vocabulary(path: Path, columns: int) -> Vocabulary | None:
    """Terms from PATH.terms, where that lies beside the matrix."""
    terms = beside(path, TERMS_SUFFIX)
    return checked_vocabulary(read_sidecar(terms), columns, terms) if terms.is_file() else None


def checked_vocabulary(terms: Iterable[str], columns: int, path: Path) -> Vocabulary:
    """The vocabulary of a matrix: at most one term a column."""
    try:
        return Vocabulary.fixed(terms, num_terms=columns)
    except DataError as error:
        raise error if error.path else DataError(str(error), path=path) from None
