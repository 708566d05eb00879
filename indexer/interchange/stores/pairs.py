"""The text of vectors of whole weights, gathered from a table of the texts of all terms and weights."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from indexer.vectors import SparseVectors

_COMMA, _TERMS = 256, 512
"""Where in the table the weights stand with a comma before them, and where terms begin."""
_NEW = -1


class PairTexts(dict[int, str]):
    """What stands before the weight of each term, made once; and rows of these with whole weights below 256.

    A string a posting costs three times what copying its bytes from the table does.

    Parameters
    ----------
    text : of a term id, a comma and what leads to the weight.
    """

    def __init__(self, text: Callable[[int], str]) -> None:
        super().__init__()
        self._text = text
        weights = [f"{comma}{weight}".encode() for comma in ("", ",") for weight in range(_COMMA)]
        self._lengths = np.array([len(weight) for weight in weights], np.int64)
        self._starts = np.cumsum(self._lengths) - self._lengths
        self._table = np.frombuffer(b"".join(weights), np.uint8)

    def __missing__(self, term_id: int) -> str:
        text = self[term_id] = self._text(term_id)
        return text

    def rows(self, vectors: SparseVectors) -> list[str] | None:
        """,KEY:WEIGHT of all postings of each row without the first comma; None if a weight is not whole or above 255."""
        whole = _whole(vectors.weights)
        if whole is None:
            return None
        texts = np.empty(2 * vectors.nnz, np.int64)
        texts[::2] = self._terms(vectors.term_ids)
        texts[1::2] = whole
        return self._joined(texts, 2 * vectors.indptr)

    def columns(self, vectors: SparseVectors) -> tuple[list[str], list[str]] | None:
        """As `rows`, the terms and the weights apart, with commas between the weights."""
        whole = _whole(vectors.weights)
        if whole is None:
            return None
        terms = self._terms(vectors.term_ids)
        return self._joined(terms, vectors.indptr), self._joined(whole + _COMMA, vectors.indptr)

    def _joined(self, texts: NDArray[np.int64], bounds: NDArray[np.int64]) -> list[str]:
        lengths = self._lengths[texts]
        ends = np.concatenate([[0], np.cumsum(lengths)])
        at = np.arange(ends[-1]) + np.repeat(self._starts[texts] - ends[:-1], lengths)
        raw = self._table[at].tobytes()
        return [raw[begin + 1 : end].decode() for begin, end in pairwise(ends[bounds].tolist())]

    def _terms(self, term_ids: NDArray[np.uint32]) -> NDArray[np.int64]:
        """Places of terms; the texts of those that were not seen before go behind the table."""
        found = term_ids + np.int64(_TERMS)
        most = _TERMS + 1 + int(term_ids.max(initial=0))
        if most > len(self._starts):
            more = max(most, 2 * len(self._starts)) - len(self._starts)
            self._starts = np.concatenate([self._starts, np.full(more, _NEW)])
            self._lengths = np.concatenate([self._lengths, np.zeros(more, np.int64)])
        new = np.unique(term_ids[self._starts[found] == _NEW])
        if not len(new):
            return found
        texts = [self[term_id].encode("utf-8", "surrogatepass") for term_id in new.tolist()]
        lengths = np.array([len(text) for text in texts])
        self._starts[new + np.int64(_TERMS)] = len(self._table) + np.cumsum(lengths) - lengths
        self._lengths[new + np.int64(_TERMS)] = lengths
        self._table = np.concatenate([self._table, np.frombuffer(b"".join(texts), np.uint8)])
        return found


def _whole(weights: NDArray[np.float32]) -> NDArray[np.int64] | None:
    """Weights as whole numbers from 0 to 255; None where one is not."""
    if len(weights) and not (weights.min() >= 0 and weights.max() < _COMMA):
        return None
    whole = weights.astype(np.int64)
    return whole if np.array_equal(whole, weights) else None
