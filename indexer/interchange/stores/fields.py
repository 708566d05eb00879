"""Stored fields on their way to another engine: by row, under names and in kinds that it takes."""

from __future__ import annotations

import json
import mmap
from array import array
from pathlib import Path
from typing import Any, cast

import numpy as np

from indexer.format.stored import GROUP, group_texts
from indexer.index import Index
from indexer.interchange.live import DROPPED, LiveDocuments
from indexer.interchange.stores.lint import Finding, shown
from indexer.interchange.stores.store import Kind, Store

_BATCH = 256


class StoredFields:
    """The fields of all live documents, spooled by document and read by row.

    One pass over the index unpacks every group once, whatever the order of the rows. Memory: 16 bytes a document.
    Disk: the fields as JSON, in `folder`.

    Attributes
    ----------
    kinds : kind of each field, by the name it is exported under, in the order of first sight.
    findings : names that were changed, strings that the target cannot hold, fields too long for it.
    """

    def __init__(self, index: Index, documents: LiveDocuments, store: Store, folder: Path) -> None:
        self._store = store
        self._places = np.zeros((documents.count, 2), np.int64)
        self._long: array[int] = array("q")
        seen: dict[str, set[Kind]] = {}
        path, end = folder / "fields", 0
        self._unwritable = 0
        with path.open("wb") as file:
            for segment, rows in zip(index.segments, documents.rows, strict=True):
                if not len(segment.section("FLDO")):
                    continue
                for group in range(-(-segment.num_docs // GROUP)):
                    here = rows[group * GROUP : (group + 1) * GROUP].tolist()
                    for row, text in zip(here, group_texts(segment, group), strict=True):
                        if row == DROPPED or text == b"{}":
                            continue
                        self._look(json.loads(text), row, len(text), seen)
                        file.write(text)
                        self._places[row] = end, len(text)
                        end += len(text)
        self._names = _renamed(list(seen), store)
        self.kinds = {self._names[name]: _kind(kinds) for name, kinds in seen.items()}
        self._text_only = (
            {name for name, kind in self.kinds.items() if kind == "json"} if store.strict_fields else set()
        )
        self._file = path.open("rb")
        self._bytes = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) if end else b""
        self._rewrites = (
            bool(self._text_only)
            or self._unwritable > 0
            or store.strict_fields
            or any(old != new for old, new in self._names.items())
        )

    def _look(self, row: dict[str, Any], number: int, size: int, seen: dict[str, set[Kind]]) -> None:
        for name, value in row.items():
            if value is not None:
                seen.setdefault(name, set()).add(_kind_of(value))
            elif name not in seen:
                seen[name] = set()
        unwritable = self._store.unwritable
        if unwritable is not None and any(unwritable.search(text) for text in _strings(row)):
            self._unwritable += 1
        if self._store.limits.field_bytes is not None and size > self._store.limits.field_bytes:
            self._long.append(number)

    @property
    def findings(self) -> list[Finding]:
        """What is to be said of them."""
        found = []
        changed = [old for old, new in self._names.items() if old != new]
        title = self._store.title
        if changed:
            to = ", ".join(self._names[old] for old in changed[:3])
            text = f"{len(changed):,} stored fields have names that {title} or the export keeps for itself ({shown(changed)}): written as {to}"
            found.append(Finding("changed", "field-names", len(changed), text))
        if self._unwritable:
            text = f"{self._unwritable:,} documents have characters in their fields that {title} refuses: written as spaces"
            found.append(Finding("changed", "characters", self._unwritable, text))
        if self._long:
            text = (
                f"{len(self._long):,} documents have more than the {self._store.limits.field_bytes:,} bytes of stored fields that "
                f"{title} takes: their fields would be left out; export an index with shorter texts"
            )
            found.append(Finding("lossy", "long-fields", len(self._long), text))
        return found

    def texts(self, first: int, last: int) -> list[str]:
        """Members of the JSON objects of rows first..last, without braces; "" for documents without fields."""
        places = self._places[first:last].tolist()
        long = {row for row in self._long if first <= row < last} if self._long else ()
        raw = [self._bytes[at + 1 : at + size - 1].decode() if size else "" for at, size in places]
        if long:
            raw = ["" if first + i in long else text for i, text in enumerate(raw)]
        return [self._rewritten(text) for text in raw] if self._rewrites else raw

    def _rewritten(self, text: str) -> str:
        if not text:
            return ""
        row = {self._names[name]: value for name, value in json.loads(f"{{{text}}}").items()}
        if self._store.strict_fields:
            row = {name: _as_text(value) if name in self._text_only else value for name, value in row.items()}
            row = {name: value for name, value in row.items() if value is not None}
        if self._store.unwritable is not None:
            row = cast("dict[str, Any]", _cleaned(row, self._store))
        return json.dumps(row, ensure_ascii=False, separators=(",", ":"))[1:-1]

    def close(self) -> None:
        """Let go of the spool."""
        if isinstance(self._bytes, mmap.mmap):
            self._bytes.close()
        self._file.close()


def _kind_of(value: Any) -> Kind:
    kinds: dict[type, Kind] = {str: "str", bool: "bool", int: "int", float: "float"}
    return kinds.get(type(value), "json")


def _kind(kinds: set[Kind]) -> Kind:
    if len(kinds) == 1:
        return next(iter(kinds))
    return "float" if kinds == {"int", "float"} else "json"


def _as_text(value: Any) -> Any:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for part in value.items() for item in part for text in _strings(item)]
    return [text for item in value for text in _strings(item)] if isinstance(value, list) else []


def _cleaned(value: Any, store: Store) -> Any:
    assert store.unwritable is not None
    if isinstance(value, str):
        return store.unwritable.sub(" ", value)
    if isinstance(value, dict):
        return {_cleaned(name, store): _cleaned(item, store) for name, item in value.items()}
    return [_cleaned(item, store) for item in value] if isinstance(value, list) else value


def _renamed(names: list[str], store: Store) -> dict[str, str]:
    """A name for each field that the target takes; no two alike."""
    taken: set[str] = set(store.reserved)
    fitting = [name for name in names if store.field_names.fullmatch(name) and name not in taken]
    taken.update(fitting)
    out = {name: name for name in fitting}
    for name in names:
        if name in out:
            continue
        made = "".join(c if c.isascii() and c.isalnum() else "_" for c in name).strip("_") or "field"
        made = made if made[0].isalpha() else f"field_{made}"
        while made in taken:
            made += "_"
        taken.add(made)
        out[name] = made
    return {name: out[name] for name in names}
