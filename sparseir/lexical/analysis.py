"""From text to words as the lexical channel counts them: found, lower-cased, stopped, stemmed."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

import Stemmer

from sparseir.config.lexical import LANGUAGE_WORDS, LexicalConfig
from sparseir.errors import ConfigError

NO_STEMMER = "none"

_ENGLISH = (
    "a an and are as at be but by for if in into is it no not of on or such that the their then there these they this "
    "to was will with"
)
ENGLISH_STOP_WORDS = frozenset(_ENGLISH.split())
"""Lucene's, so that figures compare with Anserini's."""

_ASCII_WORD = re.compile(r"\w\w+", re.ASCII)
_WORD = re.compile(r"\w\w+")
_BASIC_PLANE = 0x10000
"""Code points of the scripts in use today; those above would cost `re` the bitmap that makes a set of them fast."""


class Analyzer:
    """Words of a text.

    A word is a run of two or more letters, digits, marks (Unicode's categories L, N, M) and underscores, after NFKC and in
    lower case: the rule of bm25s and scikit-learn, with marks. Single letters are mostly what apostrophes leave ("s", "t")
    and "I"; with them nDCG@10 was .004 and .003 higher on SciFact and NFCorpus, .014 and .013 lower on CACM and a forum.
    Scripts without spaces between words (Chinese, Japanese, Thai) are not cut into words.

    Parameters
    ----------
    config : language and stop words.

    Raises
    ------
    ConfigError : a language that Snowball has no stemmer for.
    """

    def __init__(self, config: LexicalConfig) -> None:
        check_language(config.language)
        self._stemmer = None if config.language == NO_STEMMER else Stemmer.Stemmer(config.language)
        if self._stemmer is not None:
            self._stemmer.maxCacheSize = 0  # callers keep the words they have seen
        self.stop_words = _stop_words(config)

    def words(self, text: str) -> list[str]:
        """Every word in order, stop words included, not stemmed."""
        if text.isascii():
            return _ASCII_WORD.findall(text.lower())
        text = unicodedata.normalize("NFKC", text).lower()
        marks, marked_word = _marks()
        if marks.search(text) is None:
            return _WORD.findall(text)
        return [word for word in marked_word.findall(text) if len(word) > 1]

    def places(self, text: str) -> list[tuple[int, int]]:
        """Where the words are in a text as it is written, (start, end) each; `words` of such a piece says which."""
        return [match.span() for match in _marks()[1].finditer(text) if match.end() > match.start() + 1]

    def stem(self, word: str) -> str | None:
        """What a word is counted as; None for a stop word."""
        if word in self.stop_words:
            return None
        return word if self._stemmer is None else str(self._stemmer.stemWord(word))


def check_language(name: str) -> None:
    """Refuse a language without a stemmer.

    Raises
    ------
    ConfigError : with the nearest names there are.
    """
    known = [NO_STEMMER, *Stemmer.algorithms()]
    if name not in known:
        import difflib

        near = difflib.get_close_matches(name.lower(), known, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ConfigError(f"no stemmer for language {name!r}; {hint}there are: {', '.join(known)}")


def _stop_words(config: LexicalConfig) -> frozenset[str]:
    own = ENGLISH_STOP_WORDS if config.language in ("english", "porter") else frozenset()
    listed = {word.lower() for word in config.stop_words if word != LANGUAGE_WORDS}
    return frozenset(listed | own if LANGUAGE_WORDS in config.stop_words else listed)


@cache
def _marks() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """A mark, and a word with marks in it.

    Python's \\w leaves out the marks that vowels of Indic scripts are written with, and would cut words there. A set of
    marks alone is a bitmap to `re`; one that holds \\w beside them is gone through mark by mark, a hundred times slower.
    """
    marks = "".join(chr(c) for c in range(_BASIC_PLANE) if unicodedata.category(chr(c)).startswith("M"))
    return re.compile(f"[{marks}]"), re.compile(f"\\w+(?:[{marks}]+\\w*)*")
