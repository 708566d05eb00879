"""Filters: which documents may be hits, as one bitmap a segment.

    field=value   field in (a, b)   field>=number   field>number   field<=number   field<number

joined by `and`. A document without the field matches nothing. Values with spaces, commas or parentheses are quoted:
author="de la Cruz".
"""

from __future__ import annotations

import difflib
import operator
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer import Index
from indexer.format.stored import Column
from indexer.index import Segment
from sparseir.data.passages import rows_of
from sparseir.errors import DataError

_SHOWN = 200
"""Characters of a filter that errors show."""

_TOKEN = re.compile(r"""\s*(?:("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(>=|<=|=|<|>|\(|\)|,)|([^\s=<>(),"']+))""")
_ORDER: dict[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
}


@dataclass(frozen=True, slots=True)
class Predicate:
    """field op values; op is "in" (also for =) or an order relation with one value."""

    field: str
    op: str
    values: tuple[str, ...]


def parse_filter(text: str) -> list[Predicate]:
    """The predicates of an expression, all of which must hold.

    Raises
    ------
    DataError : the text is no filter; what was expected and where is said.
    """
    tokens = _tokens(text)
    predicates, at = [], 0
    while True:
        predicate, at = _predicate(text, tokens, at)
        predicates.append(predicate)
        if at == len(tokens):
            return predicates
        if tokens[at][0].lower() != "and" or tokens[at][1]:
            raise _fault(text, f"expected 'and' before {tokens[at][0]!r}")
        at += 1


def allowed_documents(index: Index, filter: str | Sequence[str] | NDArray[np.integer[Any]]) -> list[NDArray[np.uint64]]:
    """Bit d mod 64 of word d // 64 set where doc_id d passes and is not deleted, one bitmap a segment.

    Parameters
    ----------
    filter : an expression, an integer array of ordinals, or a list of docnos. Ordinals and docnos the index does not
        hold are ignored: there is nothing to allow.

    Raises
    ------
    DataError : not a filter, a field the index cannot filter by, a value of another kind than the field's.
    """
    if isinstance(filter, str):
        predicates = parse_filter(filter)
        _check_fields(index, predicates)
        return [_pack(segment.live & _matching(segment, predicates)) for segment in index.segments]
    if isinstance(filter, np.ndarray):
        if filter.ndim != 1 or filter.dtype.kind not in "iu":
            raise DataError(
                f"filter: expected a one-dimensional integer array of ordinals, not {filter.dtype}{filter.shape}"
            )
        ordinals = filter.astype(np.int64)
    else:
        names = list(filter) if isinstance(filter, Iterable) else [filter]  # an iterator can be gone through once
        if not all(isinstance(name, str) for name in names):
            raise DataError("filter: expected an expression, an integer array of ordinals, or a list of docnos")
        ordinals = rows_of(index, names)
    where, doc_ids = index.locate(ordinals)
    bitmaps = []
    for number, segment in enumerate(index.segments):
        allowed = np.zeros(segment.num_docs, bool)
        allowed[doc_ids[where == number]] = True
        bitmaps.append(_pack(allowed))
    return bitmaps


def _tokens(text: str) -> list[tuple[str, bool]]:
    """(token, whether it was quoted)."""
    out, at = [], 0
    stripped = text.rstrip()
    while at < len(stripped):
        match = _TOKEN.match(stripped, at)
        if match is None:
            raise _fault(text, f"unfinished quotation at {stripped[at:].strip()!r}")
        quoted, symbol, word = match.groups()
        out.append((re.sub(r"\\(.)", r"\1", quoted[1:-1]), True) if quoted else (symbol or word, False))
        at = match.end()
    return out


def _predicate(text: str, tokens: list[tuple[str, bool]], at: int) -> tuple[Predicate, int]:
    def take(what: str) -> tuple[str, bool]:
        nonlocal at
        if at == len(tokens):
            raise _fault(text, f"expected {what} at the end")
        at += 1
        return tokens[at - 1]

    def value() -> str:
        token, quoted = take("a value")
        if not quoted and token in ("=", "<", ">", ">=", "<=", "(", ")", ","):
            raise _fault(text, f"expected a value, found {token!r}")
        return token

    field, quoted = take("a field")
    if not quoted and not re.fullmatch(r"[^=<>(),]+", field):
        raise _fault(text, f"expected a field, found {field!r}")
    op, quoted = take("=, in, >=, >, <= or <")
    if quoted or (op not in _ORDER and op not in ("=", "in")):
        raise _fault(text, f"expected =, in, >=, >, <= or < after {field!r}, found {op!r}")
    if op != "in":
        return Predicate(field, "in" if op == "=" else op, (value(),)), at
    if take("(")[0] != "(":
        raise _fault(text, "expected ( after in")
    values = [value()]
    while (separator := take(", or )")[0]) == ",":
        values.append(value())
    if separator != ")":
        raise _fault(text, f"expected , or ) in the list, found {separator!r}")
    return Predicate(field, "in", tuple(values)), at


def _fault(text: str, what: str) -> DataError:
    shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
    return DataError(
        f"filter {shown!r}: {what[:_SHOWN]}; write for example: lang=en and year>=2000 and topic in (law, tax)"
    )


def _check_fields(index: Index, predicates: list[Predicate]) -> None:
    kinds = index.field_kinds
    for predicate in predicates:
        if predicate.field not in kinds:
            known = ", ".join(sorted(kinds)) or "none"
            near = difflib.get_close_matches(predicate.field, list(kinds), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise DataError(
                f"this index cannot filter by {predicate.field!r} (it can by: {known}){hint}; fields to filter by are "
                "named when an index is built"
            )
        if predicate.op in _ORDER and kinds[predicate.field] not in ("int", "float"):
            raise DataError(f"field {predicate.field!r} holds no numbers, so {predicate.op} cannot apply to it")
        for value in predicate.values:
            _parsed(predicate.field, value, kinds[predicate.field])


def _parsed(field: str, value: str, kind: str) -> Any:
    if kind == "str":
        return value
    if kind == "bool":
        if value.lower() not in ("true", "false"):
            raise DataError(f"field {field!r} is true or false; {value!r} is neither")
        return value.lower() == "true"
    try:
        return int(value)
    except ValueError:
        pass
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if number != number:
        raise DataError(f"field {field!r} holds numbers; {value!r} is none")
    return number


def _matching(segment: Segment, predicates: list[Predicate]) -> NDArray[np.bool_]:
    allowed = np.ones(segment.num_docs, bool)
    for predicate in predicates:
        column = segment.column(predicate.field)
        if column is None:
            return np.zeros(segment.num_docs, bool)
        allowed &= column.valid & _holds(column, predicate)
    return allowed


def _holds(column: Column, predicate: Predicate) -> NDArray[np.bool_]:
    wanted = [_parsed(predicate.field, value, column.kind) for value in predicate.values]
    if predicate.op in _ORDER:
        return np.asarray(_ORDER[predicate.op](column.values, wanted[0]), bool)
    if column.kind == "str":
        known = column.categories
        codes = [(bisect_left(known, w), w) for w in wanted]
        wanted = [code for code, w in codes if code < len(known) and known[code] == w]
    matches = np.zeros(len(column.values), bool)
    for value in wanted:  # one comparison each: isin would round integers beyond 2^53 to floats
        matches |= column.values == value
    return matches


def _pack(allowed: NDArray[np.bool_]) -> NDArray[np.uint64]:
    padded = np.zeros(-(-len(allowed) // 64) * 64, bool)
    padded[: len(allowed)] = allowed
    return np.packbits(padded, bitorder="little").view(np.uint64)
