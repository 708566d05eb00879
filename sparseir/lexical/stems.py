"""Stems and their numbers, and counts of them in documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from sparseir.lexical.analysis import Analyzer
from sparseir.lexical.stored_terms import StoredTerms

_STOPPED = 2**32 - 1
_MOST_WORDS = 1 << 20
"""Words whose stems are remembered. Beyond them the memory is emptied: the frequent ones are back after a few documents."""

_FEW = 64
"""Stems that are looked for in the file as it is stored, before all of them are read into a table."""


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
    stems : those known already, place i for number i; or as they are stored.
    """

    def __init__(self, analyzer: Analyzer, stems: Iterable[str] | StoredTerms = ()) -> None:
        self.analyzer = analyzer
        self._stored = stems if isinstance(stems, StoredTerms) else None
        if not isinstance(stems, StoredTerms):
            self.stems = list(stems)
        self._of_words = _Words(self._number)
        self._found = 0

    @cached_property
    def stems(self) -> list[str]:
        """The string of each number."""
        assert self._stored is not None
        return self._stored.stems

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return dict(zip(self.stems, range(len(self.stems)), strict=True))

    def __len__(self) -> int:
        return len(self.stems) if self._stored is None or "stems" in vars(self) else self._stored.num_stems

    def find(self, stem: str) -> int:
        """Number of a stem, -1 where no document had it."""
        if self._stored is not None and self._found < _FEW and "_numbers" not in vars(self):
            self._found += 1
            return self._stored.find(stem)
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
