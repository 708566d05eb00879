"""Filters in the language of Milvus.

Milvus reads a JSON column `meta` that holds, of the field that is number i in `--metadata`: under n{i} how many values a
document has, 0 where it lacks the field, and under v{i}_{j} its value j, written as an ASCII string whose order is that of
the values. So a condition of any kind is one of a few comparisons of strings, and its opposite as well: Milvus's own
comparisons differ between its versions on absent keys, on `not`, on characters beyond ASCII and on whole numbers beside
floats.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from indexer.format.kinds import element_kind
from sparseir.errors import ConfigError
from sparseir.search.filters.expressions import DATE, check_condition, integers_of, number_of
from sparseir.search.filters.grammar import All, Condition, Node, Not, conditions, parse_filter

NOTHING, EVERYTHING = "id < 0", "id >= 0"
MOST_COMPARISONS = 4096
_LEAST, _MOST = -(2**63), 2**63 - 1
_BIAS = 1 << 12
"""Above what an integer of 64 bits and the nearest float differ by."""


@dataclass(frozen=True, slots=True)
class MetaFields:
    """The fields of a collection that filters can use.

    Parameters
    ----------
    kinds : of each field, as `Index.field_kinds`.
    names : of the fields, in the order of `--metadata`: their numbers.
    lengths : most values that a document has of each field.
    """

    kinds: Mapping[str, str]
    names: tuple[str, ...]
    lengths: Mapping[str, int]

    def row(self, fields: Mapping[str, Any]) -> dict[str, int | str]:
        """What the column `meta` says of a document with these fields."""
        row: dict[str, int | str] = {}
        for number, name in enumerate(self.names):
            values = values_of(fields.get(name))
            if element_kind(self.kinds.get(name, "")) == "float":
                values = [float(value) for value in values]
            row[f"n{number}"] = len(values)
            row.update((f"v{number}_{j}", spelled(value)) for j, value in enumerate(values))
        return row


def values_of(value: Any) -> list[Any]:
    """The values of a field: of a list its own, else one; of a field that is lacking none."""
    return [one for one in (value if isinstance(value, list) else [value]) if one is not None]


def spelled(value: str | bool | int | float) -> str:
    """A value as ASCII, in the order of such values: truth values, numbers as floats and what these miss, strings in UTF-8."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass").hex()
    rounded = float(value) + 0.0  # one zero
    (bits,) = struct.unpack(">Q", struct.pack(">d", rounded))
    bits = bits ^ (2**64 - 1 if bits >> 63 else 1 << 63)
    missed = value - int(rounded) if isinstance(value, int) else 0
    return f"{bits:016x}{missed + _BIAS:04x}"


def condition_of(meta: MetaFields, text: str) -> str:
    """An expression (docs/filters.md) as Milvus takes it.

    Raises
    ------
    DataError : no filter, a field that was not declared by --metadata, or a value that is not of its kind.
    ConfigError : fields of long lists and long lists of values, which would be more comparisons than Milvus is asked for.
    """
    tree = parse_filter(text)
    total = 0
    for condition in conditions(tree):
        check_condition(meta.kinds, condition, text)
        total += len(condition.values) * max(1, meta.lengths.get(condition.field, 0))
    if total > MOST_COMPARISONS:
        raise ConfigError(
            f"filter: Milvus would compare {total:,} values of each document, at most {MOST_COMPARISONS:,} are asked of it; "
            "name fewer values, or filter by a field of shorter lists"
        )
    return _written(meta, tree, negated=False)


def _written(meta: MetaFields, node: Node, *, negated: bool) -> str:
    """A node or its opposite: milvus-lite has no `not`."""
    if isinstance(node, Not):
        return _written(meta, node.part, negated=not negated)
    if isinstance(node, Condition):
        return _condition(meta, node, negated=negated)
    both = _all if isinstance(node, All) != negated else _any
    return both([_written(meta, part, negated=negated) for part in node.parts])


def _condition(meta: MetaFields, condition: Condition, *, negated: bool) -> str:
    number, kind = meta.names.index(condition.field), element_kind(meta.kinds[condition.field])
    spans = [_span(kind, condition.op, text) for text in condition.values]
    places = range(meta.lengths.get(condition.field, 0))
    some = _any([_within(number, j, spans) for j in places])
    none = _all([_any([f'meta["n{number}"] <= {j}', _outside(number, j, spans)]) for j in places])
    if not condition.negated:
        return none if negated else some
    has = f'meta["n{number}"] {"==" if negated else ">"} 0'
    return _any([has, some]) if negated else _all([has, none])


Span = tuple[str, str | None]
"""Spelled values from the first to one beyond the last; None for no end. Nothing lies in one that ends where it begins."""


def _within(number: int, place: int, spans: Sequence[Span]) -> str:
    name = f'meta["v{number}_{place}"]'
    return _any([_all(list(_bounds(name, low, high))) for low, high in spans])


def _bounds(name: str, low: str, high: str | None) -> Iterator[str]:
    if high == low:
        yield NOTHING
    elif high == low + "0":
        yield f'{name} == "{low}"'
    else:
        yield f'{name} >= "{low}"'
        if high is not None:
            yield f'{name} < "{high}"'


def _outside(number: int, place: int, spans: Sequence[Span]) -> str:
    name = f'meta["v{number}_{place}"]'
    parts = []
    for low, high in spans:
        if high != low:
            parts.append(_any([f'{name} < "{low}"', *([] if high is None else [f'{name} >= "{high}"'])]))
    return _all(parts)


def _span(kind: str, op: str, text: str) -> Span:
    """The spelled values v with `v op text`."""
    if kind == "bool":
        value = spelled(text.lower() == "true")
        return value, value + "0"
    if kind == "str":
        return _strings(op, text)
    number = number_of(text)
    if kind == "int":
        low, high = integers_of(op, number)
        if low >= high or low > _MOST or high <= _LEAST:
            return "", ""
        return "" if low <= _LEAST else spelled(low), None if high > _MOST else spelled(high - 1) + "0"
    try:
        value = spelled(float(number))
    except OverflowError:
        value = spelled(math.inf if number > 0 else -math.inf)
    return _ordered(op, value, value + "0")


def _strings(op: str, text: str) -> Span:
    value = spelled(text)
    if op == "startswith":
        return value, value + "g"  # beyond all digits
    period = spelled(f"{text}-" if len(text) == 4 else text) + "g" if DATE.fullmatch(text) else value + "0"
    return _ordered(op, value, period if op in (">", "<=") else value + "0")


def _ordered(op: str, value: str, beyond: str) -> Span:
    spans: dict[str, Span] = {
        "in": (value, beyond),
        ">=": (value, None),
        ">": (beyond, None),
        "<=": ("", beyond),
        "<": ("", value),
    }
    return spans[op]


def _all(parts: list[str]) -> str:
    return _joined(parts, " and ", EVERYTHING, NOTHING)


def _any(parts: list[str]) -> str:
    return _joined(parts, " or ", NOTHING, EVERYTHING)


def _joined(parts: list[str], word: str, neutral: str, decides: str) -> str:
    kept = list(dict.fromkeys(part for part in parts if part != neutral))
    if decides in kept:
        return decides
    return kept[0] if len(kept) == 1 else word.join(f"({part})" for part in kept) or neutral
