"""Documents smoothed by their nearest neighbours: a document says a little of what documents like it say.

factor(t, d) = f(t, d) + β · Σ_n w(d, n) · f(t, n) over the nearest neighbours n of d, Σ_n w = 1, f BM25's factor. It is done
when documents are indexed, so that queries are looked up as before: a query whose words a document lacks finds it by the
words of its neighbours, and documents that several relevant ones resemble rise.

Source: Tao, Wang, Mei, Zhai 2006, "Language model information retrieval with document expansion" (NAACL), and Diaz 2005,
"Regularizing ad hoc retrieval scores" (CIKM), with BM25's factors in place of language models.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseir.lexical.stems import StemFactors


def smoothed(
    own: StemFactors,
    others: StemFactors,
    shares: NDArray[np.float64],
    *,
    weight: float,
    idf: NDArray[np.float64],
    most_words: int,
) -> StemFactors:
    """Factors of documents with those of their neighbours added.

    Parameters
    ----------
    own : rows of the documents. others : rows of their neighbours, as many for each document, one document's after another's.
    shares : float64 (documents, neighbours), of each neighbour in the sum; a row of zeros leaves its document as it is.
    weight : β. idf : of every stem. most_words : of a document that are not its own; those with the largest factor · idf.
    """
    rows, each = shares.shape
    lengths = np.diff(others.indptr)
    values = others.values * np.repeat(weight * shares.reshape(-1), lengths)
    row_of_others = np.repeat(np.repeat(np.arange(rows), each), lengths)[values > 0]
    stems = others.stems[values > 0]
    values = values[values > 0]

    row, stem, sums, new = _sums(own, row_of_others, stems, values)
    return _factors(row, stem, sums, ~new | strongest(row, sums * idf[stem], new, most_words), rows)


def summed(
    own: StemFactors, rows: NDArray[np.int64], stems: NDArray[np.uint32], values: NDArray[np.float64]
) -> StemFactors:
    """Factors of documents with others added.

    Parameters
    ----------
    rows, stems, values : (n,), the document, the stem and the amount of each that is added.
    """
    row, stem, sums, _ = _sums(own, rows, stems, values)
    return _factors(row, stem, sums, np.ones(len(row), bool), len(own.indptr) - 1)


def _sums(
    own: StemFactors, rows: NDArray[np.int64], stems: NDArray[np.uint32], values: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.float64], NDArray[np.bool_]]:
    """(row, stem, sum, whether the document has the stem not of its own), by row and stem."""
    row_of_own = np.repeat(np.arange(len(own.indptr) - 1), np.diff(own.indptr))
    keys = np.concatenate([_keys(row_of_own, own.stems), _keys(rows, stems)])
    unique, place = np.unique(keys, return_inverse=True)
    sums = np.bincount(place, np.concatenate([own.values, values]), len(unique)).astype(np.float64)
    new = np.ones(len(unique), bool)
    new[place[: len(own.stems)]] = False
    return (unique >> np.uint64(32)).astype(np.int64), (unique & np.uint64(0xFFFFFFFF)).astype(np.uint32), sums, new


def _factors(
    row: NDArray[np.int64],
    stem: NDArray[np.uint32],
    values: NDArray[np.float64],
    kept: NDArray[np.bool_],
    rows: int,
) -> StemFactors:
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row[kept], minlength=rows))]).astype(np.int64)
    return StemFactors(indptr, stem[kept], values[kept])


def _keys(rows: NDArray[np.int64], stems: NDArray[np.uint32]) -> NDArray[np.uint64]:
    return rows.astype(np.uint64) << np.uint64(32) | stems


def strongest(
    row: NDArray[np.int64], value: NDArray[Any], candidate: NDArray[np.bool_], most: int
) -> NDArray[np.bool_]:
    """Which candidates have the largest values of their row, at most so many a row; of equal ones the earlier.

    Parameters
    ----------
    row : int64 (n,), rising. value : (n,). candidate : bool (n,).
    """
    places = np.flatnonzero(candidate)
    order = places[np.lexsort((places, -value[places], row[places]))]
    starts = np.concatenate([[0], np.flatnonzero(np.diff(row[order])) + 1]) if len(order) else np.zeros(0, np.int64)
    rank = np.arange(len(order)) - np.repeat(starts, np.diff([*starts, len(order)]))
    out = np.zeros(len(row), bool)
    out[order[rank < most]] = True
    return out
