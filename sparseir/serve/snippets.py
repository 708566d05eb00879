"""The passage of a text that matches best, and its words with their share of the score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_WIDTH = 280
"""Characters of a passage."""
_LEAD = 60
"""Characters before the first matched word, at most."""


def marked(tokenizer: Any, text: str, shares: Mapping[int, float]) -> list[dict[str, Any]]:
    """The text in parts: {"text"} between, and {"text", "share", "terms"} for each word that holds matched terms.

    A word is what the tokenizer splits into pieces; its share is the sum over its matched pieces, each counted once.
    Joined, the parts are the text.
    """
    parts: list[dict[str, Any]] = []
    at = 0
    for start, end, terms in _matched(tokenizer, text, shares):
        if start > at:
            parts.append({"text": text[at:start]})
        share = sum(shares[term] for term in terms)
        parts.append({"text": text[start:end], "share": share, "terms": sorted(terms)})
        at = end
    if at < len(text) or not parts:
        parts.append({"text": text[at:]})
    return parts


def snippet(tokenizer: Any, text: str, shares: Mapping[int, float]) -> list[dict[str, Any]]:
    """The passage whose words hold the largest share of the score, marked as by `marked`; the beginning where none does."""
    words = _matched(tokenizer, text, shares)
    best, start = -1.0, 0
    for i, (begin, _, _) in enumerate(words):
        held: set[int] = set()
        for _, end, terms in words[i:]:
            if end > begin + _WIDTH - _LEAD:
                break
            held |= terms
        value = sum(shares[term] for term in held)
        if value > best * 1.000001:
            best, start = value, begin
    begin = _boundary(text, max(0, start - _LEAD), start)
    end = _end(text, begin + _WIDTH)
    parts = marked(tokenizer, " ".join(text[begin:end].split()), shares)
    if begin > 0:
        parts.insert(0, {"text": "… "})
    if end < len(text):
        parts.append({"text": " …"})
    return parts


def _matched(tokenizer: Any, text: str, shares: Mapping[int, float]) -> list[tuple[int, int, set[int]]]:
    """(start, end, terms) of each word that holds a matched term."""
    if tokenizer is None or not shares or not text:
        return []
    encoding = tokenizer.encode(text, add_special_tokens=False)
    words: dict[int, tuple[int, int, set[int]]] = {}
    for number, term_id, (start, end) in zip(encoding.word_ids, encoding.ids, encoding.offsets, strict=True):
        if number is None:
            continue
        begin, last, terms = words.get(number, (start, end, set()))
        if term_id in shares:
            terms.add(term_id)
        words[number] = (min(begin, start), max(last, end), terms)
    return [word for word in words.values() if word[2] and word[1] > word[0]]


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
