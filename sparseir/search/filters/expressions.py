"""Filters: which documents may be hits, as one bitmap a segment.

    field=value   field!=value   field in (a, b)   field not in (a, b)   field startswith text
    field>=value  field>value    field<=value      field<value

joined by `and`, `or`, `not` and parentheses (`grammar`). What a condition says of a document:

- A document without the field matches no condition, neither = nor !=. `not` turns an answer over: `not lang=en` also
  allows documents without a lang, `lang!=en` does not.
- Numbers compare as numbers; strings by their code points. A date is a string in the form of ISO 8601, year first; one
  that is given short stands for all of its year, month, day, hour or minute when it is compared by an order:
  date<=2021-03 holds for 2021-03-31T10:00. Dates are compared as written, so one field has one time zone.
- A list matches where one of its values does; !=, and not in, where none does. A document whose list is empty lacks the
  field.
"""

from __future__ import annotations

import math
import operator
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer import Index
from indexer.format.kinds import element_kind
from indexer.format.stored import Column
from indexer.segment import Segment
from sparseir.data.passages import rows_of
from sparseir.errors import DataError
from sparseir.search.filters.grammar import All, Condition, Node, Not, conditions, fault, parse_filter

_ORDER: dict[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
    "in": operator.eq,
}
_LEAST, _MOST = -(2**63), 2**63 - 1
DATE = re.compile(r"\d{4}(?:-\d\d(?:-\d\d(?:[T ]\d\d(?::\d\d(?::\d\d)?)?)?)?)?", re.ASCII)


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
        tree = parse_filter(filter)
        for condition in conditions(tree):
            check_condition(index.field_kinds, condition, filter)
        return [_pack(segment.live & _matching(segment, tree)) for segment in index.segments]
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


def matching(index: Index, filter: str) -> NDArray[np.int64]:
    """Ordinals of the live documents that a filter allows, ascending.

    Raises
    ------
    DataError : no filter of this index.
    """
    parts = [
        segment.ordinals[np.unpackbits(bitmap.view(np.uint8), count=segment.num_docs, bitorder="little").astype(bool)]
        for segment, bitmap in zip(index.segments, allowed_documents(index, filter), strict=True)
    ]
    return np.sort(np.concatenate([np.zeros(0, np.int64), *parts]))


def check_condition(kinds: Mapping[str, str], condition: Condition, text: str) -> None:
    """Refuse a condition on what an index cannot filter by.

    Parameters
    ----------
    kinds : of the fields, as `Index.field_kinds`. text : the filter that the condition is of.

    Raises
    ------
    DataError : no such field, a relation it cannot have, a value that is not of its kind.
    """
    name = condition.field
    if name not in kinds:
        import difflib

        known = ", ".join(sorted(kinds)) or "none"
        near = difflib.get_close_matches(name, list(kinds), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise fault(
            text,
            condition.place,
            f"this index cannot filter by {name!r} (it can by: {known}){hint}; fields to filter by are "
            "named when an index is built",
        )
    kind = element_kind(kinds[name])
    if condition.op == "startswith" and kind != "str":
        raise fault(text, condition.place, f"field {name!r} holds no strings, so startswith cannot apply to it")
    if condition.op != "in" and kind == "bool":
        raise fault(text, condition.place, f"field {name!r} is true or false, so {condition.op} cannot apply to it")
    for value, place in zip(condition.values, condition.value_places, strict=True):
        if kind == "bool" and value.lower() not in ("true", "false"):
            raise fault(text, place, f"field {name!r} is true or false; {value!r} is neither")
        if kind in ("int", "float") and (number := number_of(value)) != number:
            raise fault(text, place, f"field {name!r} holds numbers; {value!r} is none")


def number_of(text: str) -> int | float:
    """The number a text spells; NaN where it spells none."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return math.nan


def _matching(segment: Segment, node: Node) -> NDArray[np.bool_]:
    if isinstance(node, Condition):
        column = segment.column(node.field)
        return np.zeros(segment.num_docs, bool) if column is None else _holds(column, node)
    if isinstance(node, Not):
        return ~_matching(segment, node.part)
    merge = np.logical_and if isinstance(node, All) else np.logical_or
    allowed = _matching(segment, node.parts[0])
    for part in node.parts[1:]:
        merge(allowed, _matching(segment, part), out=allowed)
    return allowed


def _holds(column: Column, condition: Condition) -> NDArray[np.bool_]:
    """Which documents the condition holds for; False where there is no value."""
    matches = _compared(column, condition.op, condition.values[0])
    for value in condition.values[1:]:
        matches |= _compared(column, condition.op, value)
    if column.offsets is not None:  # documents with a match among their values
        before = np.concatenate([[0], np.cumsum(matches)])[column.offsets]
        matches = before[1:] > before[:-1]
    return column.valid & ~matches if condition.negated else column.valid & matches


def _compared(column: Column, op: str, text: str) -> NDArray[np.bool_]:
    """`values op text` for each value of the column."""
    kind, values = element_kind(column.kind), column.values
    if kind == "bool":
        return np.asarray(values == (text.lower() == "true"))
    if kind == "str":
        return _within(values, *_codes(column.categories, op, text))
    number = number_of(text)
    if kind == "int":
        return _within(values, *integers_of(op, number))
    try:
        number = float(number)
    except OverflowError:
        number = math.inf if number > 0 else -math.inf
    return np.asarray(_ORDER[op](values, number), bool)


def _within(values: NDArray[Any], low: int, high: int) -> NDArray[np.bool_]:
    """low <= values < high, by as few comparisons as do; the limits may lie outside the type."""
    limits = np.iinfo(values.dtype)
    low, high = max(low, int(limits.min)), min(high, int(limits.max) + 1)
    if low >= high:
        return np.zeros(len(values), bool)
    if high == low + 1:
        return np.asarray(values == low)
    if low == limits.min:
        return np.asarray(values <= high - 1)
    return np.asarray(values >= low) if high > limits.max else (values >= low) & (values <= high - 1)


def integers_of(op: str, number: int | float) -> tuple[int, int]:
    """The integers x with `x op number`, from the first to one beyond the last; exact also beyond 2^53."""
    if isinstance(number, float) and math.isinf(number):
        number = 2**64 if number > 0 else -(2**64)
    low, high = math.ceil(number), math.floor(number)  # equal where the number is whole
    if op == "in":
        return low, high + 1
    if op in (">", ">="):
        return (low if op == ">=" else high + 1), _MOST + 1
    return _LEAST, (high + 1 if op == "<=" else low)


def _codes(known: tuple[str, ...], op: str, text: str) -> tuple[int, int]:
    """The codes of the strings s with `s op text`, from the first to one beyond the last."""
    first = bisect_left(known, text)
    if op == "in":
        return first, first + (first < len(known) and known[first] == text)
    if op == "startswith":
        return first, _end_of_prefix(known, text)
    if op in (">=", "<"):
        return (first, len(known)) if op == ">=" else (0, first)
    beyond = _end_of_period(known, text) if DATE.fullmatch(text) else bisect_right(known, text)
    return (beyond, len(known)) if op == ">" else (0, beyond)


def _end_of_prefix(known: tuple[str, ...], prefix: str) -> int:
    """One beyond the last string that begins so."""
    return bisect_left(known, True, key=lambda s: s[: len(prefix)] > prefix)


def _end_of_period(known: tuple[str, ...], date: str) -> int:
    """One beyond the last string that lies in a year, month, day, hour, minute or second."""
    # 20215 begins with the year 2021 and does not lie in it.
    return _end_of_prefix(known, f"{date}-") if len(date) == 4 else _end_of_prefix(known, date)


def _pack(allowed: NDArray[np.bool_]) -> NDArray[np.uint64]:
    padded = np.zeros(-(-len(allowed) // 64) * 64, bool)
    padded[: len(allowed)] = allowed
    return np.packbits(padded, bitorder="little").view(np.uint64)
