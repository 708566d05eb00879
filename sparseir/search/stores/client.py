"""Talking to Milvus: one collection of documents, and beside it one that keeps the state of the index."""

from __future__ import annotations

import base64
import importlib
import json
import logging
import time
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from sparseir.errors import SparseIRError
from sparseir.search.stores.places import StorePlace
from sparseir.search.stores.rows import StoreRows, send

T = TypeVar("T")

CONSISTENCY = "Strong"
"""Every read sees every write before it, so that a commit is visible to the search after it."""
_ATTEMPTS, _CHUNK = 4, 60_000
_REFUSED = (9, 100, 700, 1100)
"""Codes of Milvus for what asking again does not change: denied, no such collection or index, a wrong argument."""
_SCHEMA = {"id": "INT64", "docno": "VARCHAR", "fields": "JSON", "meta": "JSON", "sparse": "SPARSE_FLOAT_VECTOR"}
_LOAD = -1
"""The row of the state that says which input a load that goes on is of."""


class StoreError(SparseIRError):
    """A server that does not answer, or a collection that is not one of ours."""


class StoreClient:
    """One collection. Requests that fail are repeated, with growing pauses; writing twice changes nothing.

    Parameters
    ----------
    place : of the collection. client : a client of Milvus in the place of one that is made here.

    Raises
    ------
    StoreError : pymilvus is not installed; no server answers.
    """

    def __init__(self, place: StorePlace, client: Any = None, pause: float = 0.5) -> None:
        self.place, self._pause = place, pause
        self.name, self._state = place.collection, f"{place.collection}_sparseir"
        if client is None:
            try:
                connect = importlib.import_module("pymilvus").MilvusClient
            except ImportError:
                raise StoreError("Milvus needs pymilvus: pip install 'sparseir[milvus]'") from None
            logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # its errors are said here, in one line
            client = self._tried("connect", lambda: connect(place.uri, timeout=place.timeout))
        self._client, self._limit = client, {"timeout": place.timeout}

    @property
    def raw(self) -> Any:
        """The client of Milvus."""
        return self._client

    def exists(self) -> bool:
        """Whether the collection is there."""
        return self._has(self.name)

    def _has(self, name: str) -> bool:
        return bool(self._tried("look", lambda: self._client.has_collection(name, **self._limit)))

    def create(self) -> None:
        """Make the two collections, those that are not there; the one of documents last."""
        kinds = importlib.import_module("pymilvus").DataType

        for name, columns in (
            (self._state, {"id": "INT64", "data": "VARCHAR", "sparse": "SPARSE_FLOAT_VECTOR"}),
            (self.name, _SCHEMA),
        ):
            if self._has(name):
                continue
            schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
            for column, kind in columns.items():
                more = {"max_length": 65_535} if kind == "VARCHAR" else {}
                schema.add_field(column, getattr(kinds, kind), is_primary=column == "id", **more)
            indexes = self._client.prepare_index_params()
            params = {"inverted_index_algo": "DAAT_MAXSCORE"}
            indexes.add_index("sparse", index_type="SPARSE_INVERTED_INDEX", metric_type="IP", params=params)
            self._tried(
                "create",
                partial(
                    self._client.create_collection,
                    name,
                    schema=schema,
                    index_params=indexes,
                    consistency_level=CONSISTENCY,
                    **self._limit,
                ),
            )

    def drop(self) -> None:
        """Remove both collections."""
        for name in (self._state, self.name):  # without its state, the other is no index already
            self._tried("drop", partial(self._client.drop_collection, name, **self._limit))

    def check_shape(self) -> None:
        """Refuse a collection that was not made here.

        Raises
        ------
        StoreError
        """
        said = self._tried("describe", lambda: self._client.describe_collection(self.name, **self._limit))
        found = {field["name"]: getattr(field["type"], "name", str(field["type"])) for field in said["fields"]}
        if found != _SCHEMA:
            raise StoreError(
                f"{self.place}: the collection has fields {found}, expected {_SCHEMA}; name another collection"
            )

    def upsert(self, rows: StoreRows) -> None:
        """Write documents, in the place of those with their ids."""
        request = rows.request(self.name)
        self._tried("write", lambda: send(self._client, request, self.place.timeout))

    def delete(self, condition: str) -> None:
        """Remove documents."""
        self._tried("delete", lambda: self._client.delete(self.name, filter=condition, **self._limit))

    def count(self, condition: str = "") -> int:
        """Of documents."""
        found = self.query(condition, ["count(*)"])
        return int(found[0]["count(*)"])

    def query(self, condition: str, columns: list[str]) -> list[dict[str, Any]]:
        """Rows that a condition holds for."""
        return self._ask(self.name, condition, columns)

    def search(self, rows: list[dict[int, float]], k: int, condition: str) -> list[list[tuple[int, float]]]:
        """(id, score) of the best documents of each query."""
        found = self._tried(
            "search",
            lambda: self._client.search(
                self.name,
                data=rows,
                anns_field="sparse",
                limit=k,
                filter=condition,
                output_fields=["id"],
                search_params={"metric_type": "IP", "params": {"drop_ratio_search": 0.0, "dim_max_score_ratio": 1.0}},
                consistency_level=CONSISTENCY,
                **self._limit,
            ),
        )
        return [[(int(hit["id"]), float(hit["distance"])) for hit in hits] for hits in found]

    def read_state(self) -> bytes | None:
        """What `write_state` wrote last; None before the first.

        Raises
        ------
        StoreError : parts are missing.
        """
        head = self._ask(self._state, "id == 0", ["data"]) if self._has(self._state) else []
        if not head:
            return None
        said = json.loads(head[0]["data"])
        first, last = said["first"], said["last"]
        rows = self._ask(self._state, f"id >= {first} and id < {last}", ["id", "data"])
        rows.sort(key=lambda row: int(row["id"]))
        raw = b"".join(base64.b64decode(row["data"]) for row in rows)
        if zlib.crc32(raw) != said["crc"]:
            raise StoreError(f"{self.place}: the state of the index is damaged; build it again with --overwrite")
        return raw

    def write_state(self, raw: bytes) -> None:
        """Replace the state: its parts first, then the one row that names them."""
        head = self._ask(self._state, "id == 0", ["data"])
        first = json.loads(head[0]["data"])["last"] if head else 1
        parts = [raw[i : i + _CHUNK * 3 // 4] for i in range(0, len(raw), _CHUNK * 3 // 4)]
        for number, part in enumerate(parts, first):
            self._put_state(number, base64.b64encode(part).decode())
        named = {"first": first, "last": first + len(parts), "crc": zlib.crc32(raw)}
        self._put_state(0, json.dumps(named))
        done = f"(id > 0 and id < {first}) or id == {_LOAD}"
        self._tried("delete", lambda: self._client.delete(self._state, filter=done, **self._limit))

    def read_load(self) -> str | None:
        """What `write_load` wrote; None where no load is going on."""
        found = self._ask(self._state, f"id == {_LOAD}", ["data"])
        return str(found[0]["data"]) if found else None

    def write_load(self, of: str) -> None:
        """Say which input a load is of; the state that ends it takes this away."""
        self._put_state(_LOAD, of)

    def _put_state(self, number: int, data: str) -> None:
        row = {"id": number, "data": data, "sparse": {0: 1.0}}
        self._tried("write", lambda: self._client.upsert(self._state, [row], **self._limit))

    def _ask(self, name: str, condition: str, columns: list[str]) -> list[dict[str, Any]]:
        return list(
            self._tried(
                "read",
                lambda: self._client.query(
                    name, filter=condition, output_fields=columns, consistency_level=CONSISTENCY, **self._limit
                ),
            )
        )

    def _tried(self, what: str, call: Callable[[], T]) -> T:
        for attempt in range(_ATTEMPTS):
            try:
                return call()
            except Exception as error:  # pymilvus raises errors of grpc, of its own and plain ones
                last = " ".join(str(getattr(error, "message", error)).split())[:200]
                if getattr(error, "code", None) in _REFUSED:
                    raise StoreError(f"{self.place}: cannot {what}, Milvus refuses it: {last}") from error
                if attempt + 1 < _ATTEMPTS:
                    time.sleep(self._pause * 2**attempt)
        raise StoreError(
            f"{self.place}: cannot {what} after {_ATTEMPTS} attempts of {self.place.timeout:g} s at most: {last}; is the "
            "server there? ?timeout=SECONDS after the address gives it longer"
        )
