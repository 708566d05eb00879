"""Kinds of metadata: numbers, truth values and strings, and lists of each."""

from __future__ import annotations

from collections.abc import Iterable

DTYPES = {"int": "<i8", "float": "<f8", "bool": "u1", "str": "<u4"}
"""Of the values of a column; strings are codes."""

KINDS = (*DTYPES, *(f"list[{kind}]" for kind in DTYPES))


def element_kind(kind: str) -> str:
    """Kind of the values in a list of this kind; of anything else the kind itself."""
    return kind[5:-1] if is_list(kind) else kind


def is_list(kind: str) -> bool:
    return kind.startswith("list[")


def common_kind(kinds: Iterable[str]) -> str | None:
    """The kind that holds the values of all of these: an int beside floats is a float, one value beside lists a list of one.

    None where strings, numbers and truth values meet.
    """
    found = set(kinds)
    elements = {element_kind(kind) for kind in found}
    if len(elements) > 1 and elements != {"int", "float"}:
        return None
    element = "float" if len(elements) > 1 else elements.pop()
    return f"list[{element}]" if any(map(is_list, found)) else element
