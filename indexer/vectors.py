"""Sparse vectors: the one type that both halves, indexer and sparseir, exchange."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.errors import DataError

MAX_TERM_ID = 2**32 - 2
"""The largest term id: one below u32's largest, which the C library keeps as 'no term'."""


@dataclass(frozen=True, slots=True, eq=False)
class SparseVectors:
    """Rows of non-negative weighted terms, in compressed sparse row form.

    Row i holds the terms term_ids[indptr[i]:indptr[i+1]] with the weights at the same places, by ascending
    term id, without duplicates and without zeros.

    Parameters
    ----------
    indptr : int64 (rows + 1,), from 0, never falling.
    term_ids : uint32 (nnz,).
    weights : float32 (nnz,), finite and > 0.
    num_terms : size of the vocabulary; every term id is below it.

    Construct with `from_arrays` or `from_scipy`, which check and sort; the plain constructor trusts its caller.
    """

    indptr: NDArray[np.int64]
    term_ids: NDArray[np.uint32]
    weights: NDArray[np.float32]
    num_terms: int

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def nnz(self) -> int:
        """Number of stored weights."""
        return int(self.indptr[-1] - self.indptr[0])

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, num_terms), as of a matrix."""
        return len(self), self.num_terms

    def row(self, i: int) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
        """Terms and weights of row i, as views."""
        lo, hi = int(self.indptr[i]), int(self.indptr[i + 1])
        return self.term_ids[lo:hi], self.weights[lo:hi]

    def slice(self, start: int, stop: int) -> SparseVectors:
        """Rows start..stop; weights and terms are views, indptr is a small copy."""
        lo, hi = int(self.indptr[start]), int(self.indptr[stop])
        return SparseVectors(
            self.indptr[start : stop + 1] - lo, self.term_ids[lo:hi], self.weights[lo:hi], self.num_terms
        )

    @classmethod
    def empty(cls, rows: int, num_terms: int) -> SparseVectors:
        """So many rows without terms, over a vocabulary of num_terms."""
        return cls(np.zeros(rows + 1, np.int64), np.zeros(0, np.uint32), np.zeros(0, np.float32), num_terms)

    @classmethod
    def from_arrays(
        cls, indptr: Any, term_ids: Any, weights: Any, num_terms: int, *, source: str = "vectors", first_row: int = 0
    ) -> SparseVectors:
        """Check three arrays and sort their rows.

        Parameters are the arrays of a CSR matrix: indptr, term_ids, weights, and num_terms, the size of the vocabulary.
        `source` leads the messages; `first_row` is what a message calls row 0, when the arrays are part of more.

        Explicit zeros are dropped. Refused, with the row named: negative, NaN or infinite weights, duplicate terms in a
        row, term ids outside the vocabulary, an indptr that does not describe the arrays.

        Raises
        ------
        DataError
        """
        place = _Place(source, first_row)
        return _checked(np.asarray(indptr), np.asarray(term_ids), np.asarray(weights), int(num_terms), place)

    @classmethod
    def from_scipy(cls, matrix: Any, *, source: str = "matrix") -> SparseVectors:
        """From a scipy sparse matrix or array of any format. Checks, and source, as `from_arrays`."""
        csr = matrix if matrix.format == "csr" else matrix.tocsr()
        return cls.from_arrays(csr.indptr, csr.indices, csr.data, csr.shape[1], source=source)

    @classmethod
    def from_rows(cls, rows: Iterable[Sequence[tuple[int, float]] | dict[int, float]], num_terms: int) -> SparseVectors:
        """From one mapping (or list of pairs) term id → weight for each of the rows; num_terms as for `from_arrays`."""
        pairs = [list(r.items()) if isinstance(r, dict) else list(r) for r in rows]
        indptr = np.concatenate([[0], np.cumsum([len(r) for r in pairs])]).astype(np.int64)
        flat = [p for r in pairs for p in r]
        term_ids = np.array([p[0] for p in flat], np.int64)
        weights = np.array([p[1] for p in flat], np.float32)
        return cls.from_arrays(indptr, term_ids, weights, num_terms)

    def to_scipy(self) -> Any:
        """A scipy CSR array that shares the memory where scipy's index types allow it."""
        from scipy.sparse import csr_array

        return csr_array((self.weights, self.term_ids.astype(np.int64), self.indptr), shape=self.shape)

    @classmethod
    def concatenate(cls, parts: Sequence[SparseVectors]) -> SparseVectors:
        """Rows of all parts in order; the vocabulary is the largest of theirs.

        Raises
        ------
        ValueError : no part.
        """
        if not parts:
            raise ValueError("concatenate needs at least one part")
        lengths = np.concatenate([np.diff(p.indptr) for p in parts])
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return cls(
            indptr,
            np.concatenate([p.term_ids for p in parts]),
            np.concatenate([p.weights for p in parts]),
            max(p.num_terms for p in parts),
        )


@dataclass(frozen=True, slots=True)
class _Place:
    """Where arrays come from, for messages."""

    source: str
    first_row: int

    def __str__(self) -> str:
        return self.source


def _row_of(indptr: NDArray[np.int64], position: int) -> int:
    """The row that holds the flat position; empty rows before it are stepped over."""
    return int(np.searchsorted(indptr, position, side="right")) - 1


def _check_indptr(indptr: NDArray[Any], nnz: int, source: _Place) -> NDArray[np.int64]:
    if indptr.ndim != 1 or len(indptr) < 1 or indptr.dtype.kind not in "iu":
        raise DataError(f"{source}: indptr must be a one-dimensional integer array of rows + 1 entries")
    out = np.ascontiguousarray(indptr, dtype=np.int64)
    if out[0] != 0 or out[-1] != nnz or (len(out) > 1 and bool(np.any(np.diff(out) < 0))):
        raise DataError(
            f"{source}: indptr must start at 0, never fall and end at the number of weights "
            f"({nnz}); it starts at {out[0]} and ends at {out[-1]}"
        )
    return out


def _clean(indptr: NDArray[np.int64], term_ids: NDArray[Any], weights: NDArray[Any], num_terms: int) -> bool:
    """Whether the arrays can be used unchanged: one pass in C, to which negative ids are beyond the vocabulary."""
    if term_ids.dtype not in (np.dtype("<u4"), np.dtype("<i4")) or weights.dtype != np.dtype("<f4"):
        return False
    if not (term_ids.flags.c_contiguous and weights.flags.c_contiguous):
        return False
    from indexer.native import builder  # a query of single terms needs no check of rows

    return builder.first_bad_row(builder.Rows(indptr, term_ids.view(np.uint32), weights), num_terms) < 0


def _checked(
    indptr: NDArray[Any], term_ids: NDArray[Any], weights: NDArray[Any], num_terms: int, source: _Place
) -> SparseVectors:
    if not 0 < num_terms <= MAX_TERM_ID + 1:
        raise DataError(f"{source}: vocabulary size {num_terms} is outside 1..{MAX_TERM_ID + 1}")
    if term_ids.ndim != 1 or term_ids.shape != weights.shape:
        raise DataError(f"{source}: {term_ids.shape} term ids beside {weights.shape} weights; expected equal lengths")
    indptr = _check_indptr(indptr, len(term_ids), source)
    if _clean(indptr, term_ids, weights, num_terms):
        return SparseVectors(indptr, term_ids.view(np.uint32), weights, num_terms)
    if term_ids.dtype.kind not in "iu":
        raise DataError(f"{source}: term ids must be integers, not {term_ids.dtype}")
    if weights.dtype.kind not in "fiu":
        raise DataError(f"{source}: weights must be numbers, not {weights.dtype}")
    if len(term_ids):
        low, high = int(term_ids.min()), int(term_ids.max())
        if low < 0 or high >= num_terms:
            at = int(np.flatnonzero((term_ids < 0) | (term_ids >= num_terms))[0])
            raise DataError(
                f"{source}: row {source.first_row + _row_of(indptr, at)} holds term id {int(term_ids[at])}, outside the vocabulary 0..{num_terms - 1}"
            )
    term_ids = np.ascontiguousarray(term_ids, dtype=np.uint32)
    with np.errstate(over="ignore"):
        weights = np.ascontiguousarray(weights, dtype=np.float32)
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"{source}: row {source.first_row + _row_of(indptr, at)} holds weight {weights[at]} for term {term_ids[at]}; "
            "weights must be finite and not negative"
        )
    if not weights.all():
        keep = weights > 0
        kept = np.concatenate([[0], np.cumsum(keep)])
        indptr, term_ids, weights = kept[indptr].astype(np.int64), term_ids[keep], weights[keep]
    return _sorted(indptr, term_ids, weights, num_terms, source)


def _sorted(
    indptr: NDArray[np.int64],
    term_ids: NDArray[np.uint32],
    weights: NDArray[np.float32],
    num_terms: int,
    source: _Place,
) -> SparseVectors:
    """Sort each row by term; rows already sorted cost one pass."""
    if len(term_ids) > 1:
        rises = term_ids[1:] > term_ids[:-1]
        starts = indptr[1:-1]
        inner = starts[(starts > 0) & (starts < len(term_ids))]
        rises[inner - 1] = True  # the first term of a row may be anything
        if not rises.all():
            rows = np.repeat(np.arange(len(indptr) - 1, dtype=np.uint64), np.diff(indptr))
            # One 64-bit sort, for which numpy uses vector instructions, is several times faster than lexsort.
            order = np.argsort(rows << np.uint64(32) | term_ids)
            term_ids, weights = term_ids[order], weights[order]
            equal = (term_ids[1:] == term_ids[:-1]) & (rows[1:] == rows[:-1])
            if equal.any():
                at = int(np.flatnonzero(equal)[0])
                raise DataError(
                    f"{source}: row {source.first_row + rows[at]} holds term {term_ids[at]} twice; merge the weights first"
                )
    return SparseVectors(indptr, term_ids, weights, num_terms)
