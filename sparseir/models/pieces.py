"""Word pieces of short texts, a word at a time: BERT's tokenizers cut every word for itself, and queries repeat their words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from sparseir.models.stemmed import StemmedTokenizer

_MOST_WORDS = 1 << 16
"""Words that are remembered."""

_LONGEST = 64
"""Characters of a word that is remembered."""

_WORD = re.compile(r"[a-zA-Z0-9]+|[^a-zA-Z0-9 ]")
"""In printable ASCII: what BERT's pre-tokenizer makes words of, letters and digits together, other signs alone."""

_WORD_SIGN = re.compile(r"[^a-zA-Z0-9 ]")


class RememberedPieces:
    """Ids of the pieces of a text in printable ASCII: those that its tokenizer gives, in a fifth of the time that it takes.

    Parameters
    ----------
    tokenizer : cuts a word that has not been seen. signs : one character of each string that the tokenizer looks for in whole
        texts, such as "[MASK]"; texts with one of these are left to it.
    """

    def __init__(self, tokenizer: Tokenizer | StemmedTokenizer, signs: frozenset[str]) -> None:
        self._tokenizer, self._signs = tokenizer, tuple(signs)
        self._pieces: dict[str, list[int]] = {}

    @classmethod
    def of(cls, tokenizer: Tokenizer | StemmedTokenizer) -> RememberedPieces | None:
        """For a tokenizer that cuts every word for itself, as BERT's does; None for all others, and where it looks for strings in whole
        texts that have no sign of their own.

        Parameters
        ----------
        tokenizer : without truncation.
        """
        parts = tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.model
        if [type(part).__name__ for part in parts] != ["BertNormalizer", "BertPreTokenizer", "WordPiece"]:
            return None
        added = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
        # What is not printable may be normalised to what is.
        signs = [_WORD_SIGN.search(text) if text.isascii() and text.isprintable() else None for text in added]
        found = frozenset(sign.group() for sign in signs if sign is not None)
        return None if None in signs else cls(tokenizer, found)

    def ids(self, text: str) -> set[int] | None:
        """Ids of the text's pieces, each once; None for a text that the tokenizer has to read.

        Parameters
        ----------
        text : a query.
        """
        if not text.isascii() or not text.isprintable():
            return None
        for sign in self._signs:
            if sign in text:
                return None
        found: set[int] = set()
        for word in _WORD.findall(text):
            pieces = self._pieces.get(word)
            found.update(self._cut(word) if pieces is None else pieces)
        return found

    def _cut(self, word: str) -> list[int]:
        pieces: list[int] = self._tokenizer.encode(word, add_special_tokens=False).ids
        if len(word) <= _LONGEST:
            if len(self._pieces) >= _MOST_WORDS:
                self._pieces.clear()
            self._pieces[word] = pieces
        return pieces
