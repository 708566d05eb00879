"""BM25 over a corpus in memory: the baseline of evaluations, a teacher, and a source of hard negatives.

score(q, d) = Σ_{t ∈ q} idf(t)·tf / (tf + k1·(1 − b + b·|d|/avg)), idf(t) = ln(1 + (N − df + ½)/(df + ½)): Lucene's variant,
by bm25s, with Snowball English stems and Lucene's English stop words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseir.errors import DataError, MissingExtraError

# Lucene's English stop words; bm25s's own "en" list is longer and scores differently.
STOP_WORDS = [
    "a",
    "an",
    "and",
    "are",
    "as",
    "at",
    "be",
    "but",
    "by",
    "for",
    "if",
    "in",
    "into",
    "is",
    "it",
    "no",
    "not",
    "of",
    "on",
    "or",
    "such",
    "that",
    "the",
    "their",
    "then",
    "there",
    "these",
    "they",
    "this",
    "to",
    "was",
    "will",
    "with",
]


class BM25:
    """An index over texts; rows are the positions of the texts.

    Parameters
    ----------
    k1, b : term saturation and length normalisation; .9 and .4 are Anserini's values, on which BEIR's published
        figures rest.

    Raises
    ------
    MissingExtraError
        bm25s or PyStemmer is not installed.
    DataError
        There is no text to index.
    """

    def __init__(self, texts: Sequence[str], *, k1: float = 0.9, b: float = 0.4) -> None:
        try:
            import bm25s
            import Stemmer
        except ImportError as error:
            raise MissingExtraError(error.name or "bm25s", "evaluate", "BM25") from None
        if not len(texts):
            raise DataError("BM25 needs at least one document")
        self._bm25s = bm25s
        self._stemmer = Stemmer.Stemmer("english")
        self._num_docs = len(texts)
        self._index = bm25s.BM25(method="lucene", k1=k1, b=b)
        tokens = self._tokenize(texts)
        self._has_words = len(tokens.vocab) > 0
        if self._has_words:
            self._index.index(tokens, show_progress=False)

    def _tokenize(self, texts: Sequence[str]) -> Any:
        return self._bm25s.tokenize(
            list(texts), stopwords=STOP_WORDS, stemmer=self._stemmer, show_progress=False, allow_empty=True
        )

    def scores(self, query: str) -> NDArray[np.float32]:
        """Score of every document, float32 (N,); 0 where no word matches."""
        words = self._query_words(query)
        if not words or not self._has_words:
            return np.zeros(self._num_docs, np.float32)
        return np.asarray(self._index.get_scores(words), np.float32)

    def _query_words(self, query: str) -> list[str]:
        words = self._bm25s.tokenize(
            [query], stopwords=STOP_WORDS, stemmer=self._stemmer, return_ids=False, show_progress=False
        )[0]
        return [w for w in words if w in self._index.vocab_dict] if self._has_words else []

    def mean_query_terms(self, queries: Sequence[str]) -> float:
        """Mean number of distinct known words in a query."""
        return float(np.mean([len(set(self._query_words(q))) for q in queries])) if len(queries) else 0.0

    def mean_document_terms(self) -> float:
        """Mean number of distinct words in a document."""
        return len(self._index.scores["data"]) / self._num_docs if self._has_words else 0.0

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
