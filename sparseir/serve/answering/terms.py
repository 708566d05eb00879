"""Terms of a served index: what they are called, which channel they are of, and where in a text they are."""

from __future__ import annotations

import re
from typing import Any

from indexer import Index
from indexer.interchange import Vocabulary
from sparseir.lexical.channel import LexicalChannel, has_channel
from sparseir.lexical.queries import LearnedQueries, LexicalQueryEncoder
from sparseir.models.panics import Tokenizing
from sparseir.search.query_encoder import ModelQueryEncoder, QueryEncoder

_NUMBER = re.compile(r"0|[1-9]\d{0,9}", re.ASCII)

Word = tuple[int, int, set[int]]
"""Where a word of a text starts and ends, and the terms it gives."""


class TextTerms:
    """Finds terms in texts.

    Parameters
    ----------
    tokenizer : the `tokenizers.Tokenizer` of the learned terms, or None.
    lexical : the channel of stemmed words, or None.
    """

    def __init__(self, tokenizer: Any = None, lexical: LexicalChannel | None = None) -> None:
        self._tokenizer, self._lexical = tokenizer, lexical

    def of(self, text: str) -> set[int] | None:
        """Terms that a text says itself; None where nothing tells."""
        if self._tokenizer is None and self._lexical is None:
            return None
        with Tokenizing([text]):
            pieces = [] if self._tokenizer is None else self._tokenizer.encode(text, add_special_tokens=False).ids
        return {*pieces, *(() if self._lexical is None else self._lexical.terms_of(text))}

    def words(self, text: str) -> list[Word]:
        """The words of a text in order. Where the two channels cut it differently, what overlaps is one word."""
        merged: list[Word] = []
        for start, end, terms in sorted([*self._pieces(text), *self._stems(text)], key=lambda word: word[:2]):
            if merged and start < merged[-1][1]:
                begin, last, before = merged[-1]
                merged[-1] = (begin, max(last, end), before | terms)
            else:
                merged.append((start, end, terms))
        return merged

    def _pieces(self, text: str) -> list[Word]:
        """Words that the tokenizer splits into pieces."""
        if self._tokenizer is None:
            return []
        with Tokenizing([text]):
            encoding = self._tokenizer.encode(text, add_special_tokens=False)
        words: dict[int, Word] = {}
        for number, term_id, (start, end) in zip(encoding.word_ids, encoding.ids, encoding.offsets, strict=True):
            if number is None:
                continue
            begin, last, terms = words.get(number, (start, end, set()))
            words[number] = (min(begin, start), max(last, end), terms | {term_id})
        return [word for word in words.values() if word[1] > word[0]]

    def _stems(self, text: str) -> list[Word]:
        if self._lexical is None:
            return []
        places = self._lexical.analyzer.places(text)
        return [(start, end, self._lexical.terms_of(text[start:end])) for start, end in places]


class Terms:
    """Strings of terms both ways, their channels, and their places.

    Parameters
    ----------
    index : a snapshot. encoder : its query side, or None where texts cannot be encoded.

    Attributes
    ----------
    texts : finds the terms in texts.
    """

    def __init__(self, index: Index, encoder: QueryEncoder | None) -> None:
        lexical: LexicalChannel | None = None
        learned: LearnedQueries | None = encoder
        if isinstance(encoder, LexicalQueryEncoder):
            lexical, learned = encoder.lexical, encoder.learned
        elif index.query_side is not None and has_channel(index.query_side):
            lexical = LexicalChannel.load(index.query_side)
        self._vocabulary = Vocabulary.of_index(index.query_files, index.num_terms)
        self._learned, self._num_terms = learned, index.num_terms
        self._first_stem = index.num_terms if lexical is None else lexical.first_term
        self._ids: dict[str, int] | None = None
        self.texts = TextTerms(_tokenizer(learned), lexical)

    def name(self, term_id: int) -> str:
        """String of a term. Beside learned terms, stems are marked, since many a stem is a word piece as well."""
        if self._learned is None or term_id >= self._first_stem:
            return self._vocabulary.term(term_id)
        return self._learned.token(term_id)

    def id(self, name: str) -> int:
        """Id of a term; -1 for an unknown one."""
        if self._learned is None and self._vocabulary.terms is None:  # numbers, of which there may be billions
            number = int(name) if _NUMBER.fullmatch(name) else -1
            return number if number < self._num_terms else -1
        if self._ids is None:
            self._ids = {self.name(term_id): term_id for term_id in range(self._num_terms)}
        return self._ids.get(name, -1)

    def channel(self, term_id: int) -> str:
        """ "lexical" or "learned"."""
        return "lexical" if term_id >= self._first_stem else "learned"


def _tokenizer(learned: Any) -> Any:
    """What says where in a text the terms of a learned query side are; None without one."""
    if isinstance(learned, ModelQueryEncoder):
        return learned.encoder.tokenizer.uncut()
    return getattr(learned, "tokenizer", None)  # a table's
