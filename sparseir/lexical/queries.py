"""The query side of an index with a lexical channel: idf of stems, beside the learned query's weights where there are any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from indexer import Index, SparseVectors
from sparseir.errors import ConfigError, DataError
from sparseir.lexical.bm25 import idf
from sparseir.lexical.channel import LexicalChannel

_MOST_WORDS = 1 << 16
"""Words of queries whose terms and weights are remembered."""

Encoded = tuple[NDArray[np.uint32], NDArray[np.float32]]


class LearnedQueries(Protocol):
    """The learned part of a query."""

    def encode(self, text: str) -> Encoded: ...

    def encode_batch(self, texts: Sequence[str]) -> SparseVectors: ...

    def token(self, term_id: int) -> str: ...


@dataclass(frozen=True, slots=True)
class _Word:
    """A word of queries: its term, what that weighs, and the terms it adds, with what these weigh."""

    term: int
    weight: float
    added: tuple[tuple[int, float], ...]


class LexicalQueryEncoder:
    """weight of a stem in a query = (count · fitted factor + Σ shares) · alpha · idf / full_weight; learned terms weigh as
    their encoder says. The shares are those that other stems of the query, each once, add of it (`AddedWords`).

    Document frequencies and the number of documents are those of the index's own posting lists, so they are right after
    every change; deleted documents count until they are compacted away, as in Lucene. Of a channel whose documents get words
    that are not their own, the documents that say a word count (`sparseir.lexical.frequencies`).

    Parameters
    ----------
    channel : of the index.
    index : the snapshot that is searched.
    learned : encoder of the terms before the channel's; None for a BM25 index.
    alpha : what BM25 counts; None for the channel's own.

    Attributes
    ----------
    lexical, learned : the channel, and the encoder of the other terms.

    Raises
    ------
    ConfigError : alpha below 0.
    """

    def __init__(
        self,
        channel: LexicalChannel,
        index: Index,
        *,
        learned: LearnedQueries | None = None,
        alpha: float | None = None,
    ) -> None:
        self.alpha = channel.config.weight if alpha is None else checked_alpha(alpha)
        self.num_terms = index.num_terms
        self.lexical, self.learned, self._index = channel, learned, index
        self._num_docs = index.num_stored
        self._words: dict[str, _Word] = {}

    def encode(self, text: str) -> Encoded:
        """Terms (ascending) and weights of one query.

        Raises
        ------
        DataError : no text.
        """
        stems = self.stems(text)
        if self.learned is None:
            return stems
        learned = self.learned.encode(text)
        return np.concatenate([learned[0], stems[0]]), np.concatenate([learned[1], stems[1]])

    def encode_batch(self, texts: Sequence[str]) -> SparseVectors:
        """One row per text."""
        rows = self._stems(texts)
        if self.learned is not None:
            learned = self.learned.encode_batch(texts)
            rows = [
                (np.concatenate([a[0], b[0]]), np.concatenate([a[1], b[1]]))
                for a, b in zip((learned.row(i) for i in range(len(rows))), rows, strict=True)
            ]
        indptr = np.concatenate([[0], np.cumsum([len(terms) for terms, _ in rows])]).astype(np.int64)
        term_ids = np.concatenate([np.zeros(0, np.uint32), *(terms for terms, _ in rows)])
        weights = np.concatenate([np.zeros(0, np.float32), *(weights for _, weights in rows)])
        return SparseVectors(indptr, term_ids, weights, self.num_terms)

    def token(self, term_id: int) -> str:
        """The string of a term: a stem, or what the learned encoder calls it."""
        if term_id >= self.lexical.first_term or self.learned is None:
            return self.lexical.token(term_id)
        return self.learned.token(term_id)

    def channel(self, term_id: int) -> str:
        """ "lexical" or "learned"."""
        return "lexical" if term_id >= self.lexical.first_term else "learned"

    def stems(self, text: str) -> Encoded:
        """The channel's terms (ascending) and weights of one query.

        Raises
        ------
        DataError : no text.
        """
        return self._stems([text])[0]

    def _stems(self, texts: Sequence[str]) -> list[Encoded]:
        """As `stems`; the words of all texts are looked up together, since an index may be far away."""
        for text in texts:
            if not isinstance(text, str):
                raise DataError(f"a query is {type(text).__name__}; expected text")
        words = [list(self.lexical.analyzer.words(text)) if self.alpha else [] for text in texts]
        known = {word: self._words.get(word) for own in words for word in own}
        unknown = [word for word, weighed in known.items() if weighed is None]
        weighed = {**known, **self._look_up(unknown)} if unknown else known
        return [_summed([weighed[word] for word in own]) for own in words]

    def weights_as_built(self, terms: Sequence[int]) -> list[float]:
        """alpha · idf / full_weight of terms of the channel, 0 of those that no document holds: what was fitted left out."""
        counts = self._index.document_frequencies(terms) if terms else []
        own = [self.lexical.own_frequency(term, count) for term, count in zip(terms, counts, strict=True)]
        full = self.lexical.full_weight
        return [self.alpha * idf(count, self._num_docs) / full if count else 0.0 for count in own]

    @property
    def first_word(self) -> int:
        """The smallest term id of a word; learned terms are below."""
        return self.lexical.first_term

    def word_weights(self, terms: NDArray[np.uint32]) -> NDArray[np.float64]:
        """What each term weighs in a query that says it once: 0 for learned ones, and for words that no document says."""
        words = terms[terms >= self.lexical.first_term].tolist()
        factors = [self.lexical.fitted_factor(term) for term in words]
        weights = np.zeros(len(terms))
        weights[terms >= self.lexical.first_term] = np.array(self.weights_as_built(words)) * factors
        return weights

    def _look_up(self, words: list[str]) -> dict[str, _Word]:
        """Words of queries; weight 0 for a stop word and for one that no document holds."""
        lexical = self.lexical
        stems = [lexical.analyzer.stem(word) for word in words]
        terms = [lexical.first_term + (-1 if stem is None else lexical.table.find(stem)) for stem in stems]
        added = {term: lexical.added_words(term) for term in terms if term >= lexical.first_term}
        wanted = list(dict.fromkeys([*added, *(other for pairs in added.values() for other, _ in pairs)]))
        weights = dict(zip(wanted, self.weights_as_built(wanted), strict=True))
        found = {}
        for word, term in zip(words, terms, strict=True):
            shares = [(other, share * weights[other]) for other, share in added.get(term, [])]
            weight = weights.get(term, 0.0) * lexical.fitted_factor(term)
            found[word] = _Word(term, weight, tuple((other, own) for other, own in shares if own))
        if len(self._words) + len(found) > _MOST_WORDS:
            self._words.clear()
        self._words.update(found)
        return found


def _summed(words: Sequence[_Word | None]) -> Encoded:
    said = [word for word in words if word is not None]
    found: dict[int, float] = {}
    for word in said:
        if word.weight:
            found[word.term] = found.get(word.term, 0.0) + word.weight
    for word in {word.term: word for word in said}.values():
        for term, weight in word.added:
            found[term] = found.get(term, 0.0) + weight
    terms = np.array(sorted(found), np.uint32)
    return terms, np.array([found[term] for term in terms.tolist()], np.float32)


def checked_alpha(alpha: float) -> float:
    """A weight of the channel, refused if it is no number of at least 0.

    Raises
    ------
    ConfigError
    """
    if not 0 <= alpha < float("inf"):
        raise ConfigError(f"alpha is {alpha}; expected a number of at least 0")
    return float(alpha)
