"""Documents as one request of Milvus: columns packed here, because pymilvus looks at every weight of every row in Python."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer import SparseVectors


@dataclass(frozen=True, slots=True)
class StoreRows:
    """Documents of a collection.

    Parameters
    ----------
    ids : int64 (n,), ascending ordinals. docnos : names.
    fields, meta : JSON of each document's stored fields, and of what filters read (`MetaFields.row`).
    vectors : impacts, at least one in a row; term ids ascend.
    """

    ids: NDArray[np.int64]
    docnos: list[str]
    fields: list[bytes]
    meta: list[bytes]
    vectors: SparseVectors

    def __len__(self) -> int:
        return len(self.docnos)

    def slice(self, begin: int, end: int) -> StoreRows:
        """Documents begin..end."""
        at = slice(begin, end)
        return StoreRows(self.ids[at], self.docnos[at], self.fields[at], self.meta[at], self.vectors.slice(begin, end))

    def request(self, name: str) -> Any:
        """The protobuf message that writes them into a collection, in the place of what has their ids."""
        schema = importlib.import_module("pymilvus.grpc_gen.schema_pb2")
        data = schema.DataType
        request = importlib.import_module("pymilvus.grpc_gen.milvus_pb2").UpsertRequest(
            collection_name=name, num_rows=len(self)
        )
        columns = {
            column: request.fields_data.add(type=data.Value(kind), field_name=column) for column, kind in KINDS.items()
        }
        columns["id"].scalars.long_data.data.extend(self.ids.tolist())
        columns["docno"].scalars.string_data.data.extend(self.docnos)
        columns["fields"].scalars.json_data.data.extend(self.fields)
        columns["meta"].scalars.json_data.data.extend(self.meta)
        vectors = columns["sparse"].vectors
        vectors.dim = vectors.sparse_float_vector.dim = self.vectors.num_terms
        vectors.sparse_float_vector.contents.extend(_packed(self.vectors))
        return request


KINDS = {"id": "Int64", "docno": "VarChar", "fields": "JSON", "meta": "JSON", "sparse": "SparseFloatVector"}
"""Columns of a collection, and what the protocol calls their kinds."""


def send(client: Any, request: Any, timeout: float) -> None:
    """Write through the connection of a MilvusClient.

    Raises
    ------
    Exception : what grpc and pymilvus raise.
    """
    connection = client._get_connection()
    answer = connection._stub.Upsert(request, timeout=timeout)
    importlib.import_module("pymilvus.client.utils").check_status(answer.status)


def as_json(value: object) -> bytes:
    """JSON in UTF-8, with the numbers JSON has."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _packed(vectors: SparseVectors) -> list[bytes]:
    """Rows of (uint32 term, float32 weight), little-endian, as Milvus keeps them."""
    pairs = np.empty((vectors.nnz, 2), "<u4")
    pairs[:, 0] = vectors.term_ids
    pairs[:, 1] = vectors.weights.astype("<f4").view("<u4")
    raw = pairs.tobytes()
    return [raw[8 * begin : 8 * end] for begin, end in pairwise(vectors.indptr.tolist())]
