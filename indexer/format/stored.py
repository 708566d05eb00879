"""Stored fields (compressed, fetched lazily) and metadata columns (numpy, for filters)."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.errors import DataError, IndexFormatError
from indexer.format.kinds import DTYPES, KINDS, element_kind, is_list
from indexer.format.segment import Payload, SegmentFile

GROUP = 16
"""Documents compressed together: fetching one unpacks this many."""

_LEVEL = 6
_LARGEST_GROUP = 64 << 20
_MOST_VALUES = 4 << 20
"""Of a group: as JSON it takes at most so many bytes, and so many marks that begin a value or go between two. Beyond, a few
kilobytes that were packed could take gigabytes to read."""


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One filterable field of a segment, by doc_id.

    Parameters
    ----------
    kind : "int" (int64), "float" (float64), "bool" (uint8) or "str" (uint32 codes into `categories`); "list[…]" of these.
    values : the array; anything where `valid` is False. Of lists, the values of all of them, one after another.
    valid : bool (N,), False where a document lacks the field. A list without values is a field that is lacking: of a
        segment where no list has any, nothing else could be said, as such a column has no kind.
    categories : the distinct strings, ascending, of a column of strings; else empty.
    offsets : of lists, (N + 1,): document d has values[offsets[d] : offsets[d + 1]]; else None.
    """

    kind: str
    values: NDArray[Any]
    valid: NDArray[np.bool_]
    categories: tuple[str, ...] = ()
    offsets: NDArray[Any] | None = None

    def as_lists(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """(values, offsets) of the column as one of lists: a value that is no list is a list of one."""
        if self.offsets is not None:
            return self.values, self.offsets
        return self.values[self.valid], np.concatenate([[0], np.cumsum(self.valid)])


def field_sections(fields: Iterable[Mapping[str, Any]]) -> dict[str, Payload]:
    """FLDB and FLDO of documents given by doc_id: FLDB is made as it is written, FLDO after it.

    Raises
    ------
    DataError : a value that JSON cannot hold; while FLDB is written.
    """
    return packed_fields(_texts(fields))


def field_text(row: Mapping[str, Any]) -> str:
    """JSON of one document's fields, as groups hold it."""
    return json.dumps(dict(row), ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _texts(fields: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for number, row in enumerate(fields):
        try:
            text = field_text(row)
            text.encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise DataError(f"stored fields of document {number}: {error}") from None
        yield text


def packed_fields(texts: Iterable[str]) -> dict[str, Payload]:
    """FLDB and FLDO from the JSON of each document's fields, by doc_id."""
    ends = [0]

    def groups() -> Iterator[NDArray[np.uint8]]:
        rows = iter(texts)
        while group := list(islice(rows, GROUP)):
            text = f"[{','.join(group)}]".encode()
            if (what := _excess(text)) is not None:
                raise DataError(
                    f"stored fields of documents {GROUP * (len(ends) - 1)} and following: {what}; cut the texts into passages, "
                    "or store less of them"
                )
            packed = zlib.compress(text, _LEVEL)
            ends.append(ends[-1] + len(packed))
            yield np.frombuffer(packed, np.uint8)

    def offsets() -> Iterator[NDArray[np.uint64]]:
        yield np.array(ends, np.uint64)

    return {"FLDB": groups(), "FLDO": offsets()}


def read_fields(segment: SegmentFile, doc_id: int) -> dict[str, Any]:
    """Stored fields of one document; empty where the segment stores none."""
    rows = read_group(segment, doc_id // GROUP)
    return rows[doc_id % GROUP] if rows else {}


def read_group(segment: SegmentFile, group: int) -> list[dict[str, Any]]:
    """Stored fields of documents GROUP·group and following, as many as are compressed together; empty without fields.

    Raises
    ------
    IndexFormatError
    """
    offsets, blob = segment.section("FLDO"), segment.section("FLDB")
    if len(offsets) == 0:
        return []
    try:
        lo, hi = int(offsets[group]), int(offsets[group + 1])
        if not 0 <= lo <= hi <= len(blob):
            raise ValueError("group outside its section")
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(bytes(blob[lo:hi]), _LARGEST_GROUP + 1)
        if (what := _excess(text)) is not None:
            raise ValueError(what)
        rows = json.loads(text)
        if not isinstance(rows, list) or len(rows) != min(GROUP, segment.header.num_docs - group * GROUP):
            raise ValueError("wrong number of documents")
        return [dict(row) for row in rows]
    except (zlib.error, ValueError, TypeError, IndexError, RecursionError) as error:
        raise IndexFormatError(
            f"segment '{segment.path}': stored fields of documents {group * GROUP} and following are damaged ({error}); "
            "restore or rebuild it",
            section="FLDB",
            invariant="fields-group",
        ) from None


def _excess(text: bytes) -> str | None:
    """What of a group's JSON is more than is read; None where it is not."""
    if len(text) > _LARGEST_GROUP:
        return f"{GROUP} documents together take more than {_LARGEST_GROUP >> 20} MB"
    if sum(map(text.count, (b"[", b"{", b","))) > _MOST_VALUES:
        return f"{GROUP} documents together hold more than {_MOST_VALUES:,} values"
    return None


def group_texts(segment: SegmentFile, group: int) -> list[bytes]:
    """JSON of each document's fields of a group, as a new segment would hold it; empty without fields.

    Raises
    ------
    IndexFormatError : also for what can be read but not written again, such as infinities.
    """
    try:
        return [field_text(row).encode() for row in read_group(segment, group)]
    except (ValueError, RecursionError) as error:
        raise IndexFormatError(
            f"segment '{segment.path}': stored fields of documents {group * GROUP} and following are damaged ({error}); "
            "restore or rebuild it",
            section="FLDB",
            invariant="fields-group",
        ) from None


def metadata_section(fields: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """META of documents given by doc_id.

    Raises
    ------
    DataError : a column that mixes strings with numbers, or holds objects or lists of lists.
    """
    columns = {}
    for name in names:
        values = [row.get(name) if isinstance(row, Mapping) else None for row in fields]
        if any(map(_has_value, values)):  # a column without a value has no kind and is left out
            columns[name] = _column(name, values)
    return pack_columns(columns)


def _has_value(given: Any) -> bool:
    return any(v is not None for v in given) if isinstance(given, list | tuple) else given is not None


def pack_columns(columns: Mapping[str, Column]) -> dict[str, NDArray[Any]]:
    """META from finished columns; nothing from none."""
    if not columns:
        return {}
    header, body = [], bytearray()
    for name, column in columns.items():
        parts = [column.values.tobytes(), np.packbits(column.valid, bitorder="little").tobytes()]
        if element_kind(column.kind) == "str":
            encoded = [c.encode() for c in column.categories]
            parts += [np.cumsum([0, *map(len, encoded)]).astype("<u8").tobytes(), b"".join(encoded)]
        if column.offsets is not None:
            parts.append(column.offsets.astype("<u8").tobytes())
        places = []
        for part in parts:
            places.append([len(body), len(part)])
            body += part + bytes(-len(part) % 8)
        header.append({"name": name, "kind": column.kind, "places": places})
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 4) % 8)
    return {"META": np.frombuffer(len(text).to_bytes(4, "little") + text + bytes(body), np.uint8)}


def _column(name: str, values: list[Any]) -> Column:
    if not any(isinstance(v, list | tuple) for v in values):
        return _values(name, values)
    lists = [[] if v is None else list(v) if isinstance(v, list | tuple) else [v] for v in values]
    lists = [[v for v in row if v is not None] for row in lists]
    flat = _values(name, [v for row in lists for v in row])
    offsets = np.cumsum([0, *map(len, lists)])
    return Column(f"list[{flat.kind}]", flat.values, np.diff(offsets) > 0, flat.categories, offsets)


def _values(name: str, values: list[Any]) -> Column:
    valid = np.array([v is not None for v in values], bool)
    types = {type(v) for v in values if v is not None}
    if types <= {bool}:
        kind = "bool"
    elif types <= {int}:
        kind = "int"
    elif types <= {int, float}:
        kind = "float"
    elif types == {str}:
        categories = sorted({v for v in values if v is not None})
        try:
            "\n".join(categories).encode()
        except UnicodeEncodeError as error:
            raise DataError(f"metadata field {name!r}: {error}") from None
        code = {c: i for i, c in enumerate(categories)}
        codes = np.array([0 if v is None else code[v] for v in values], "<u4")
        return Column("str", codes, valid, tuple(categories))
    else:
        found = ", ".join(sorted(t.__name__ for t in types))
        raise DataError(f"metadata field {name!r} mixes {found}; expected strings alone, or numbers alone")
    try:
        return Column(kind, np.array([0 if v is None else v for v in values], DTYPES[kind]), valid)
    except OverflowError:
        raise DataError(f"metadata field {name!r} holds an integer beyond 64 bits") from None


def column_kinds(segment: SegmentFile) -> dict[str, str]:
    """Kind of each metadata column of a segment."""
    return {c["name"]: c["kind"] for c in _header(segment)[0]}


def read_column(segment: SegmentFile, name: str) -> Column | None:
    """One metadata column by doc_id, or None where the segment lacks it."""
    header, start = _header(segment)
    entry = next((c for c in header if c["name"] == name), None)
    if entry is None:
        return None
    num_docs, raw = segment.header.num_docs, segment.section("META")
    try:
        parts = [raw[start + at : start + at + size] for at, size in entry["places"] if at >= 0 and size >= 0]
        element = element_kind(entry["kind"])
        values = parts[0].view(DTYPES[element])
        valid = np.unpackbits(parts[1], count=num_docs, bitorder="little").astype(bool)
        offsets = parts[-1].view("<u8").astype(np.int64) if is_list(entry["kind"]) else None
        categories: tuple[str, ...] = ()
        if element == "str":
            ends = parts[2].view("<u8").tolist()
            blob = bytes(parts[3])
            categories = tuple(blob[a:b].decode() for a, b in pairwise(ends))
            codes = values[valid] if offsets is None else values
            if len(values) and int(codes.max(initial=0)) >= max(1, len(categories)):
                raise ValueError("code without a string")
        if len(valid) != num_docs or (len(values) if offsets is None else len(offsets) - 1) != num_docs:
            raise ValueError("wrong length")
        if offsets is not None and not (
            offsets[0] == 0 and offsets[-1] == len(values) and (offsets[1:] >= offsets[:-1]).all()
        ):
            raise ValueError("lists that do not follow each other")
        if offsets is not None:  # earlier versions wrote an empty list as a field that is there
            valid = valid & (np.diff(offsets) > 0)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise IndexFormatError(
            f"metadata column {name!r} is damaged ({error}); rebuild", section="META", invariant="metadata-column"
        ) from None
    return Column(entry["kind"], values, valid, categories, offsets)


def _describes_column(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("name"), str)
        and isinstance(entry.get("kind"), str)
        and entry["kind"] in KINDS
        and isinstance(entry.get("places"), list)
    )


def _header(segment: SegmentFile) -> tuple[list[dict[str, Any]], int]:
    raw = segment.section("META")
    if len(raw) == 0:
        return [], 0
    try:
        size = int.from_bytes(bytes(raw[:4]), "little")
        header = json.loads(bytes(raw[4 : 4 + size]))
        if not isinstance(header, list) or not all(_describes_column(c) for c in header):
            raise ValueError("header is no list of columns")
    except (ValueError, RecursionError) as error:
        raise IndexFormatError(
            f"metadata is damaged ({error}); rebuild", section="META", invariant="metadata-header"
        ) from None
    return header, 4 + size
