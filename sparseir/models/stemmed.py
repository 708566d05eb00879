"""Whole words counted by their stems: the rule, and a tokenizer that gives texts the numbers of stems. No torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sparseir.config.lexical import LexicalConfig
from sparseir.errors import DataError
from sparseir.lexical.analysis import Analyzer

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

UNKNOWN = "[UNK]"
"""The last entry of a vocabulary of whole words: what every word outside it is, which never weighs anything."""


class WordStems:
    """What a word is counted as: its stem, or nothing where it is a stop word or holds neither letter nor digit.

    As Lucene's English analyzer, which Anserini has by default: stop words first, then Porter's stems.

    Parameters
    ----------
    language : of Snowball's stemmers; "porter" is Porter's own. Stop words are that language's, English ones alone.

    Raises
    ------
    ConfigError : a language without a stemmer.
    """

    def __init__(self, language: str) -> None:
        self.language = language
        self._analyzer = Analyzer(LexicalConfig(language=language))

    def __call__(self, word: str) -> str | None:
        return self._analyzer.stem(word) if any(map(str.isalnum, word)) else None


class StemmedTokenizer:
    """A tokenizer of whole words whose terms are stems; all else is the tokenizer's own.

    Parameters
    ----------
    tokenizer : finds the words, and numbers the stems (a WordLevel model with [UNK]).
    stems : what a word is counted as.

    Raises
    ------
    DataError : a vocabulary without [UNK].
    """

    def __init__(self, tokenizer: Tokenizer, stems: WordStems) -> None:
        self.tokenizer, self.stems = tokenizer, stems
        unknown = tokenizer.token_to_id(UNKNOWN)
        if unknown is None:
            raise DataError(f"a tokenizer of stems needs {UNKNOWN} among its terms, which this one has not")
        self._unknown: int = unknown
        self._numbers: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tokenizer, name)

    def encode(self, text: str, *, add_special_tokens: bool = False) -> Encoding:
        """The stems of a text, with the places of their words in it; specials are not added, whatever is asked.

        Raises
        ------
        TypeError : something that is no text.
        """
        from tokenizers import PreTokenizedString, Token

        if not isinstance(text, str) or any("\ud800" <= character <= "\udfff" for character in text):
            raise TypeError("expected a text")
        words = PreTokenizedString(text)
        normalizer, splitter = self.tokenizer.normalizer, self.tokenizer.pre_tokenizer
        if normalizer is not None:
            words.normalize(normalizer.normalize)
        splitter.pre_tokenize(words)
        words.tokenize(lambda word: [Token(self.number(word), word, (0, len(word)))])
        return words.to_encoding()

    def encode_batch(self, texts: Sequence[str], *, add_special_tokens: bool = False) -> list[Encoding]:
        """`encode` of each text, with add_special_tokens as there."""
        return [self.encode(text) for text in texts]

    def number(self, word: str) -> int:
        """The number of a word's stem, [UNK]'s where it has none."""
        known = self._numbers.get(word)
        if known is not None:
            return known
        stem = self.stems(word)
        found = None if stem is None else self.tokenizer.token_to_id(stem)
        if len(self._numbers) >= _MOST_WORDS:
            self._numbers.clear()
        number = self._numbers[word] = self._unknown if found is None else found
        return number

    def to_str(self, pretty: bool = False) -> str:
        """The tokenizer as JSON, with the stemmer: equal exactly where all texts get equal numbers; pretty as the tokenizer's."""
        return json.dumps({**json.loads(self.tokenizer.to_str(pretty)), "stemmer": self.stems.language})


_MOST_WORDS = 1 << 20
"""Words whose numbers are remembered; beyond them the memory is emptied."""
