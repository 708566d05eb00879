"""Milvus: SPARSE_FLOAT_VECTOR under an inverted index; the loader works for a server and for milvus-lite."""

from __future__ import annotations

import json
import re
from typing import Any, ClassVar

from indexer.interchange.stores.numbers import Floats, same
from indexer.interchange.stores.store import Layout, Limits, Parsed, Row, Store, number
from indexer.interchange.stores.survey import Facts

_LOADER = '''"""Load the documents beside this file: python load.py http://HOST:19530, or a path for milvus-lite. Needs pymilvus."""

import glob
import json
import os
import sys

from pymilvus import DataType, MilvusClient

HERE = os.path.dirname(os.path.abspath(__file__))
ROWS = 2000


def main(uri):
    with open(os.path.join(HERE, "collection.json"), encoding="utf-8") as file:
        made = json.load(file)
    name, client = made["collectionName"], MilvusClient(uri, timeout=60)
    schema = client.create_schema(auto_id=False, enable_dynamic_field=True)
    schema.add_field("id", DataType.INT64, is_primary=True)
    longest = int(made["schema"]["fields"][1]["elementTypeParams"]["max_length"])
    schema.add_field("docno", DataType.VARCHAR, max_length=longest)
    schema.add_field("sparse", DataType.SPARSE_FLOAT_VECTOR)
    index = made["indexParams"][0]
    indexes = client.prepare_index_params()
    indexes.add_index("sparse", index_type=index["indexType"], metric_type="IP", params=index["params"])
    client.create_collection(name, schema=schema, index_params=indexes)
    for path in sorted(glob.glob(os.path.join(HERE, "documents-*.jsonl"))):
        rows = []
        with open(path, encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                row["sparse"] = {int(term): float(weight) for term, weight in row["sparse"].items()}
                rows.append(row)
                if len(rows) == ROWS:
                    client.upsert(name, rows)
                    rows = []
        if rows:
            client.upsert(name, rows)
    client.flush(name)
    client.load_collection(name)
    client.close()


main(sys.argv[1])
'''


class Milvus(Store):
    """float32 weights, ids as they are, no drop ratio."""

    name = "milvus"
    title = "Milvus (SPARSE_FLOAT_VECTOR)"
    limits = Limits(terms=2**32 - 2, docno_bytes=65_535, field_bytes=65_536, empty=False)
    field_names = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
    notes: ClassVar[tuple[str, ...]] = (
        "drop_ratio_search is 0 in query.json: a larger one leaves out small weights of the query",
    )

    def held(self, weights: Floats, layout: Layout) -> Floats:
        """float32."""
        return same(weights)

    def line(self, row: Row, layout: Layout) -> str:
        """A row; fields beside the schema's go into the dynamic field."""
        fields = f",{row.fields}" if row.fields else ""
        return f'{{"id":{row.number},"docno":{row.docno}{fields},"sparse":{{{row.vector}}}}}'

    def parse(self, line: bytes, layout: Layout) -> Parsed:
        """A row."""
        row = json.loads(line)
        return Parsed(row["id"], row["docno"], list(row["sparse"]), list(row["sparse"].values()))

    def settings(self, layout: Layout, facts: Facts) -> dict[str, str]:
        """The body that creates the collection over HTTP, and a loader in Python."""
        longest = max(64, int(facts.docno_bytes.max(initial=0)))
        fields: list[dict[str, Any]] = [
            {"fieldName": "id", "dataType": "Int64", "isPrimary": True},
            {"fieldName": "docno", "dataType": "VarChar", "elementTypeParams": {"max_length": str(longest)}},
            {"fieldName": "sparse", "dataType": "SparseFloatVector"},
        ]
        index = {
            "fieldName": "sparse",
            "indexName": "sparse",
            "metricType": "IP",
            "indexType": "SPARSE_INVERTED_INDEX",
            "params": {"inverted_index_algo": "DAAT_MAXSCORE"},
        }
        schema = {"autoId": False, "enableDynamicField": True, "fields": fields}
        body = {"collectionName": layout.name, "schema": schema, "indexParams": [index]}
        return {"collection.json": json.dumps(body, indent=2) + "\n", "load.py": _LOADER}

    def commands(self, layout: Layout) -> list[str]:
        """Create and load in one, ask over HTTP."""
        return [
            'python load.py "$HOST"',
            'curl -X POST "$HOST/v2/vectordb/entities/search" -H "Content-Type: application/json" --data-binary @query.json',
        ]

    def request(self, keys: list[str], weights: list[float], k: int, layout: Layout) -> str:
        """A search over HTTP."""
        asked = {
            "collectionName": layout.name,
            "data": [dict(zip(keys, map(number, weights), strict=True))],
            "annsField": "sparse",
            "limit": k,
            "outputFields": ["docno"],
            "searchParams": {"metricType": "IP", "params": {"drop_ratio_search": 0.0, "dim_max_score_ratio": 1.0}},
        }
        return json.dumps(asked)
