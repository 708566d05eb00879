"""BM25 over texts in memory, in floats: a teacher of encoders and a source of hard negatives.

The same words and weights as in the lexical channel of an index, without its rounding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sparseir.config.lexical import LexicalConfig
from sparseir.errors import DataError
from sparseir.lexical.bm25 import idf, saturated
from sparseir.lexical.channel import LexicalChannel


class BM25:
    """Posting lists over texts; rows are the positions of the texts.

    Raises
    ------
    DataError
        There is no text to index.
    """

    def __init__(self, texts: Sequence[str], config: LexicalConfig | None = None) -> None:
        if not len(texts):
            raise DataError("BM25 needs at least one document")
        self._num_docs = len(texts)
        self._channel = channel = LexicalChannel(config or LexicalConfig())
        words = channel.count(texts)
        average = channel.lengths.fixed().average or 1.0
        by_stem = np.argsort(words.stems, kind="stable")
        rows = np.repeat(np.arange(self._num_docs), np.diff(words.indptr))
        self._rows = rows[by_stem]
        self._factors = saturated(words, average, k1=channel.config.k1, b=channel.config.b)[by_stem].astype(np.float32)
        self._starts = np.searchsorted(words.stems[by_stem], np.arange(len(channel.table) + 1))

    def scores(self, query: str) -> NDArray[np.float32]:
        """Score of every document, float32 (N,); 0 where no word matches."""
        out = np.zeros(self._num_docs, np.float32)
        for number, count in self._query(query).items():
            postings = slice(self._starts[number], self._starts[number + 1])
            frequency = int(postings.stop - postings.start)
            out[self._rows[postings]] += count * idf(frequency, self._num_docs) * self._factors[postings]
        return out

    def search(self, query: str, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Rows and scores of the k best documents with score > 0, ties by smaller row; fewer than k when fewer match."""
        scores = self.scores(query)
        hits = np.flatnonzero(scores > 0)
        if len(hits) > k:
            # Everything above the k-th score, then the ties at it in row order.
            threshold = np.partition(scores[hits], len(hits) - k)[len(hits) - k]
            hits = hits[scores[hits] >= threshold]
        order = np.lexsort((hits, -scores[hits]))[:k]
        return hits[order].astype(np.int64), scores[hits[order]]

    def _query(self, text: str) -> Counter[int]:
        """How often the query has each known stem."""
        analyzer, table = self._channel.analyzer, self._channel.table
        stems = (analyzer.stem(word) for word in analyzer.words(text))
        found = Counter(table.find(stem) for stem in stems if stem is not None)
        del found[-1]
        return found
