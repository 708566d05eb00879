"""The passage of a text that matches best, and its words with their share of the score."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sparseir.serve.answering.terms import Word

Words = Callable[[str], list[Word]]
"""Finds the words of a text and their terms."""

_WIDTH = 280
"""Characters of a passage."""
_LEAD = 60
"""Characters before the first matched word, at most."""


def marked(words: Words, text: str, shares: Mapping[int, float]) -> list[dict[str, Any]]:
    """The text in parts: {"text"} between, and {"text", "share", "terms"} for each word that holds matched terms.

    A word's share is the sum over its matched terms, each counted once.
    Joined, the parts are the text.
    """
    parts: list[dict[str, Any]] = []
    at = 0
    for start, end, terms in _matched(words, text, shares):
        if start > at:
            parts.append({"text": text[at:start]})
        share = sum(shares[term] for term in terms)
        parts.append({"text": text[start:end], "share": share, "terms": sorted(terms)})
        at = end
    if at < len(text) or not parts:
        parts.append({"text": text[at:]})
    return parts


def snippet(words: Words, text: str, shares: Mapping[int, float]) -> list[dict[str, Any]]:
    """The passage whose words hold the largest share of the score, marked as by `marked`; the beginning where none does."""
    matched = _matched(words, text, shares)
    best, start = -1.0, 0
    for i, (begin, _, _) in enumerate(matched):
        held: set[int] = set()
        for _, end, terms in matched[i:]:
            if end > begin + _WIDTH - _LEAD:
                break
            held |= terms
        value = sum(shares[term] for term in held)
        if value > best * 1.000001:
            best, start = value, begin
    begin = _boundary(text, max(0, start - _LEAD), start)
    end = _end(text, begin + _WIDTH)
    parts = marked(words, " ".join(text[begin:end].split()), shares)
    if begin > 0:
        parts.insert(0, {"text": "… "})
    if end < len(text):
        parts.append({"text": " …"})
    return parts


def _matched(words: Words, text: str, shares: Mapping[int, float]) -> list[Word]:
    """The words that hold a matched term, with those terms alone."""
    if not shares or not text:
        return []
    found = ((start, end, {term for term in terms if term in shares}) for start, end, terms in words(text))
    return [word for word in found if word[2]]


def _boundary(text: str, low: int, high: int) -> int:
    """Where a passage begins: after a sentence's end between the two, else after a space."""
    if low == 0:
        return 0
    ends = [text.rfind(mark, low, high) + 2 for mark in (". ", "! ", "? ", "\n\n")]
    if max(ends) > low:
        return max(ends)
    space = text.find(" ", low, high)
    return low if space < 0 else space + 1


def _end(text: str, high: int) -> int:
    """Where a passage ends: at the last space before the place, unless the text ends there."""
    if high >= len(text):
        return len(text)
    space = text.rfind(" ", high - 40, high)
    return high if space < 0 else space
