"""Qdrant: named sparse vectors of float32, bodies of upserts that fit its limit on requests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import ClassVar

from indexer.interchange.jsonl.writer import weight_texts
from indexer.interchange.stores.numbers import Floats, same
from indexer.interchange.stores.pairs import PairTexts
from indexer.interchange.stores.store import Layout, Limits, Parsed, Row, Store, number
from indexer.interchange.stores.survey import Facts
from indexer.vectors import SparseVectors


class Qdrant(Store):
    """Point ids are numbers, so names are in the payload; the modifier stays none, else Qdrant adds an idf of its own."""

    name = "qdrant"
    title = "Qdrant (sparse vectors)"
    limits = Limits(terms=2**32)
    file = "points-{:05d}.json"
    file_bytes = 16 << 20  # a request holds 32 MB unless the server is told otherwise
    reserved = ("docno",)
    begins, between, ends = b'{"points":[\n', b",\n", b"\n]}\n"
    notes: ClassVar[tuple[str, ...]] = (
        "modifier is none in collection.json: idf would multiply the weights of queries once more",
    )

    def held(self, weights: Floats, layout: Layout) -> Floats:
        """float32."""
        return same(weights)

    def pair(self, key: str) -> str:
        """The id alone: weights are in an array of their own."""
        return key

    def vectors(self, rows: SparseVectors, keys: Mapping[int, str]) -> list[str]:
        """Ids and weights as two arrays."""
        if isinstance(keys, PairTexts) and (columns := keys.columns(rows)) is not None:
            return [f'"indices":[{a}],"values":[{b}]' if a else "" for a, b in zip(*columns, strict=True)]
        ids, weights = list(map(keys.__getitem__, rows.term_ids.tolist())), list(weight_texts(rows.weights))
        return [
            f'"indices":[{"".join(ids[lo:hi])[1:]}],"values":[{",".join(weights[lo:hi])}]' if hi > lo else ""
            for lo, hi in pairwise(rows.indptr.tolist())
        ]

    def line(self, row: Row, layout: Layout) -> str:
        """A point."""
        fields = f",{row.fields}" if row.fields else ""
        vector = f'"text":{{{row.vector}}}' if row.vector else ""
        return f'{{"id":{row.number},"vector":{{{vector}}},"payload":{{"docno":{row.docno}{fields}}}}}'

    def document_lines(self, lines: Iterable[bytes]) -> Iterable[bytes]:
        """All but the brackets around them."""
        return (line for line in lines if line.startswith(b'{"id"'))

    def parse(self, line: bytes, layout: Layout) -> Parsed:
        """A point."""
        point = json.loads(line.rstrip().removesuffix(b","))
        vector = point["vector"].get("text", {"indices": [], "values": []})
        return Parsed(point["id"], point["payload"]["docno"], list(map(str, vector["indices"])), vector["values"])

    def settings(self, layout: Layout, facts: Facts) -> dict[str, str]:
        """The collection."""
        index = {"on_disk": False, "datatype": "float32"}
        body = {"vectors": {}, "sparse_vectors": {"text": {"index": index, "modifier": "none"}}}
        return {"collection.json": json.dumps(body, indent=2) + "\n"}

    def commands(self, layout: Layout) -> list[str]:
        """Create, load, ask."""
        place, kind = f"$HOST/collections/{layout.name}", '-H "Content-Type: application/json"'
        return [
            f'curl -X PUT "{place}" {kind} --data-binary @collection.json',
            f'for f in points-*.json; do curl -sf -X PUT "{place}/points?wait=true" {kind} --data-binary @$f '
            '-o /dev/null || echo "$f: not taken"; done',
            f'curl -X POST "{place}/points/query" {kind} --data-binary @query.json',
        ]

    def request(self, keys: list[str], weights: list[float], k: int, layout: Layout) -> str:
        """A query by a sparse vector."""
        query = {"indices": list(map(int, keys)), "values": list(map(number, weights))}
        return json.dumps({"query": query, "using": "text", "limit": k, "with_payload": True})
