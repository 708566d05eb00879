"""Filters in the language of Milvus."""

from __future__ import annotations

import json

from indexer import Index
from sparseir.errors import ConfigError, DataError
from sparseir.search.filters.grammar import All, AnyOf, Condition, Node, Not, parse_filter


def condition_of(index: Index, text: str) -> str:
    """An expression (docs/filters.md) as Milvus takes it.

    Raises
    ------
    DataError : no filter, a field that was not declared by --metadata, or a value that is not of its kind.
    ConfigError : a field of lists, `startswith`, or `not` before a condition or parentheses.
    """
    return _written(index, parse_filter(text))


def _written(index: Index, node: Node) -> str:
    if isinstance(node, Not):
        raise ConfigError("filter: Milvus is not asked for `not`; write != or the opposite relation")
    if isinstance(node, All | AnyOf):
        word = " and " if isinstance(node, All) else " or "
        return word.join(f"({_written(index, part)})" for part in node.parts)
    return _compared(index, node)


def _compared(index: Index, condition: Condition) -> str:
    kind = index.field_kinds.get(condition.field)
    if kind is None:
        known = ", ".join(index.field_kinds) or "none"
        raise DataError(f"filter: there is no field {condition.field!r}; fields declared by --metadata: {known}")
    if kind not in ("int", "float", "str") or condition.op == "startswith":
        raise ConfigError(
            f"filter: Milvus is asked for numbers and strings by = != < <= > >= in, not {kind} {condition.op}"
        )
    try:
        values = [value if kind == "str" else float(value) for value in condition.values]
    except ValueError:
        raise DataError(f"filter: field {condition.field!r} is of numbers, not {condition.values}") from None
    name = f"fields[{json.dumps(condition.field)}]"
    if condition.op != "in":
        return f"{name} {condition.op} {json.dumps(values[0])}"
    # JSON fields take neither `in` nor `exists` in milvus-lite.
    relation, word = ("!=", " and ") if condition.negated else ("==", " or ")
    return "(" + word.join(f"{name} {relation} {json.dumps(value, ensure_ascii=False)}" for value in values) + ")"
