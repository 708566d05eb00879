"""Stems and their numbers, and counts of them in documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from sparseir.lexical.analysis import Analyzer

_STOPPED = 2**32 - 1
_MOST_WORDS = 1 << 20
"""Words whose stems are remembered. Beyond them the memory is emptied: the frequent ones are back after a few documents."""


@dataclass(frozen=True, slots=True)
class WordCounts:
    """How often each stem is in each document, rows as in SparseVectors.

    indptr : int64 (rows + 1,). stems : uint32 (nnz,), numbers of stems, rising in a row. counts : int64 (nnz,), at least 1.
    """

    indptr: NDArray[np.int64]
    stems: NDArray[np.uint32]
    counts: NDArray[np.int64]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """int64 (rows,): words of each document that are no stop words, with repetitions."""
        ends = np.concatenate([[0], np.cumsum(self.counts)])[self.indptr]
        return np.diff(ends)


@dataclass(frozen=True, slots=True)
class StemFactors:
    """What each stem of each document brings to BM25, rows as in SparseVectors.

    indptr : int64 (rows + 1,). stems : uint32 (nnz,), rising in a row. values : float64 (nnz,), above 0.
    """

    indptr: NDArray[np.int64]
    stems: NDArray[np.uint32]
    values: NDArray[np.float64]


class StemTable:
    """Stems numbered in the order of first sight.

    Parameters
    ----------
    analyzer : what makes stems of words.
    stems : those known already, place i for number i.
    """

    def __init__(self, analyzer: Analyzer, stems: Iterable[str] = ()) -> None:
        self.analyzer = analyzer
        self.stems = list(stems)
        self._numbers = {stem: i for i, stem in enumerate(self.stems)}
        self._of_words = _Words(self._number)

    def __len__(self) -> int:
        return len(self.stems)

    def find(self, stem: str) -> int:
        """Number of a stem, -1 where no document had it."""
        return self._numbers.get(stem, -1)

    def count(self, texts: Sequence[str]) -> WordCounts:
        """Count the stems of some documents; new ones take the next numbers."""
        if len(self._of_words) > _MOST_WORDS:
            self._of_words.clear()
        number = self._of_words.__getitem__
        rows = [list(map(number, self.analyzer.words(text))) for text in texts]
        flat = np.fromiter(chain.from_iterable(rows), np.uint64, sum(map(len, rows)))
        row_of = np.repeat(np.arange(len(rows), dtype=np.uint64), [len(row) for row in rows])
        kept = flat != _STOPPED
        # One sort of row and stem together gives rows with rising stems, equal ones beside each other.
        keys, counts = np.unique(row_of[kept] << np.uint64(32) | flat[kept], return_counts=True)
        starts = np.searchsorted(keys, np.arange(len(rows) + 1, dtype=np.uint64) << np.uint64(32))
        return WordCounts(starts.astype(np.int64), (keys & np.uint64(_STOPPED)).astype(np.uint32), counts)

    def _number(self, word: str) -> int:
        stem = self.analyzer.stem(word)
        if stem is None:
            return _STOPPED
        number = self._numbers.get(stem)
        if number is None:
            number = self._numbers[stem] = len(self.stems)
            self.stems.append(stem)
        return number


class _Words(dict[str, int]):
    """Numbers of words, asked for once a word, so that counting stays in C."""

    def __init__(self, rule: Callable[[str], int]) -> None:
        super().__init__()
        self._rule = rule

    def __missing__(self, word: str) -> int:
        number = self[word] = self._rule(word)
        return number
