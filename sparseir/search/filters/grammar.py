"""The language of filters: text to a tree of conditions. What they mean is in `expressions`.

    filter    = all { "or" all }                     loosest
    all       = negation { "and" negation }
    negation  = "not" negation | "(" filter ")" | condition
    condition = field ( "=" | "!=" | ">=" | ">" | "<=" | "<" | "startswith" ) value
              | field [ "not" ] "in" "(" value { "," value } ")"

Keywords are keywords only where the grammar has one: a field may be called or. Fields and values with spaces, commas,
parentheses or relations are quoted, author="de la Cruz"; inside, a backslash takes the next character as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field as default
from typing import NamedTuple

from sparseir.errors import DataError

EXAMPLE = "lang=en and (year>=2000 or not topic in (law, tax))"
RELATIONS = ("=", "!=", ">=", ">", "<=", "<", "startswith", "in")
_SYMBOLS = ("=", "!=", "<", ">", ">=", "<=", "(", ")", ",")
_TOKEN = re.compile(
    r"""\s*(?:("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(>=|<=|!=|=|<|>|\(|\)|,)|((?:(?!!=)[^\s=<>(),"'])+))""", re.DOTALL
)
_WIDTH = 120
"""Characters of a filter that a fault shows."""
_DEEPEST = 64
"""Parentheses and negations in each other."""


@dataclass(frozen=True, slots=True)
class Condition:
    """field op values.

    Parameters
    ----------
    op : "in", also for =, or another of RELATIONS with one value.
    negated : for != and not in: the document has the field, and `in` does not hold.
    place, value_places : where the field and each value begin in the text.
    """

    field: str
    op: str
    values: tuple[str, ...]
    negated: bool = False
    place: int = default(default=0, compare=False)
    value_places: tuple[int, ...] = default(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Not:
    """What its part does not allow."""

    part: Node


@dataclass(frozen=True, slots=True)
class All:
    """Documents that all parts allow."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Documents that one part allows, or more."""

    parts: tuple[Node, ...]


Node = Condition | Not | All | AnyOf


def parse_filter(text: str) -> Node:
    """The tree of an expression.

    Raises
    ------
    DataError : the text is no filter; what was expected is said, with a caret under the place.
    """
    return _Parser(text).whole()


def conditions(node: Node) -> Iterator[Condition]:
    """All conditions of a tree, in their order."""
    if isinstance(node, Condition):
        yield node
        return
    for part in (node.part,) if isinstance(node, Not) else node.parts:
        yield from conditions(part)


def fault(text: str, place: int, what: str) -> DataError:
    """The error of a filter: what is wrong, and the filter with a caret under the place."""
    start = max(0, min(place - _WIDTH // 2, len(text) - _WIDTH))
    shown = "".join(c if c.isprintable() else " " for c in text[start : start + _WIDTH])
    before, after = "…" if start else "", "…" if start + _WIDTH < len(text) else ""
    return DataError(f"filter: {what}\n  {before}{shown}{after}\n  {' ' * (len(before) + place - start)}^")


class _Token(NamedTuple):
    text: str
    quoted: bool
    place: int

    def is_word(self, *words: str) -> bool:
        return not self.quoted and self.text.lower() in words

    def is_symbol(self, *symbols: str) -> bool:
        return not self.quoted and self.text in symbols


class _Parser:
    """Recursive descent, one method a rule."""

    def __init__(self, text: str) -> None:
        self._text, self._tokens, self._at = text, list(_tokens(text)), 0
        self._depth = 0

    def whole(self) -> Node:
        node = self._any()
        if self._at < len(self._tokens):
            raise self._expected("'and' or 'or'")
        return node

    def _any(self) -> Node:
        parts = [self._all()]
        while self._accept("or"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _all(self) -> Node:
        parts = [self._negation()]
        while self._accept("and"):
            parts.append(self._negation())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _negation(self) -> Node:
        negates = self._is_word(0, "not") and not self._is_relation(1)
        if not negates and not self._is_symbol(0, "("):
            return self._condition()
        if self._depth == _DEEPEST:
            raise fault(self._text, self._place, f"more than {_DEEPEST} negations and parentheses in each other")
        self._at += 1
        self._depth += 1
        node: Node = Not(self._negation()) if negates else self._any()
        self._depth -= 1
        if not negates:
            self._take(")", "'and', 'or' or ')'")
        return node

    def _condition(self) -> Condition:
        if self._at == len(self._tokens) or self._tokens[self._at].is_symbol(*_SYMBOLS):
            raise self._expected("a field")
        name = self._tokens[self._at]
        self._at += 1
        negated = self._is_word(0, "not") and self._is_word(1, "in")
        self._at += negated
        if not self._is_relation(0):
            raise self._expected(f"one of {' '.join(RELATIONS)} after {name.text!r}")
        op = self._tokens[self._at].text.lower()
        self._at += 1
        values = [self._value()] if op != "in" else list(self._list())
        if op in ("=", "!="):
            negated, op = op == "!=", "in"
        return Condition(
            name.text, op, tuple(v.text for v in values), negated, name.place, tuple(v.place for v in values)
        )

    def _list(self) -> Iterator[_Token]:
        self._take("(", "'(' after in")
        yield self._value()
        while not self._is_symbol(0, ")"):
            self._take(",", "',' or ')'")
            yield self._value()
        self._at += 1

    def _value(self) -> _Token:
        if self._at == len(self._tokens) or self._tokens[self._at].is_symbol(*_SYMBOLS):
            raise self._expected("a value")
        self._at += 1
        return self._tokens[self._at - 1]

    def _accept(self, word: str) -> bool:
        found = self._is_word(0, word)
        self._at += found
        return found

    def _take(self, symbol: str, what: str) -> None:
        if not self._is_symbol(0, symbol):
            raise self._expected(what)
        self._at += 1

    def _is_word(self, ahead: int, *words: str) -> bool:
        at = self._at + ahead
        return at < len(self._tokens) and self._tokens[at].is_word(*words)

    def _is_symbol(self, ahead: int, *symbols: str) -> bool:
        at = self._at + ahead
        return at < len(self._tokens) and self._tokens[at].is_symbol(*symbols)

    def _is_relation(self, ahead: int) -> bool:
        return self._is_word(ahead, *RELATIONS)

    @property
    def _place(self) -> int:
        return self._tokens[self._at].place if self._at < len(self._tokens) else len(self._text.rstrip())

    def _expected(self, what: str) -> DataError:
        at_end = self._at == len(self._tokens)
        found = "at the end" if at_end else f"before {self._tokens[self._at].text[:_WIDTH]!r}"
        return fault(self._text, self._place, f"expected {what} {found}; write for example: {EXAMPLE}")


def _tokens(text: str) -> Iterator[_Token]:
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            place = at + len(text[at:]) - len(text[at:].lstrip())
            raise fault(text, place, f"{text[place]} begins a quotation that does not end")
        number = match.lastindex or 0
        token = match[number]
        quoted = number == 1
        yield _Token(
            re.sub(r"\\(.)", r"\1", token[1:-1], flags=re.DOTALL) if quoted else token, quoted, match.start(number)
        )
        at = match.end()
