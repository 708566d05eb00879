"""OpenSearch and Elasticsearch: bulk files of Lucene's engines, exact by rank features, approximate by SEISMIC."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from itertools import islice
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from indexer.interchange.stores.lint import Finding, shown
from indexer.interchange.stores.numbers import Floats, bytes_under, nine_bits
from indexer.interchange.stores.store import (
    Kind,
    Layout,
    Limits,
    Parsed,
    Row,
    Store,
    integer_weights,
    number,
)
from indexer.interchange.stores.survey import Facts
from indexer.interchange.vocabulary import Vocabulary

_LARGEST_QUERY_WEIGHT = 64.0
"""FeatureField.newLinearQuery refuses more (MAX_WEIGHT of Lucene)."""
_TERM_BYTES, _ID_BYTES = 32_766, 512
_COMPARES_STRINGS: dict[Kind, Any] = {
    "str": {"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}},
    "int": {"type": "long"},
    "float": {"type": "double"},
    "bool": {"type": "boolean"},
    "json": {"type": "object", "enabled": False},
}
_BULK = (
    'for f in documents-*.ndjson; do curl -s -X POST "$HOST/{name}/_bulk" -H "Content-Type: application/x-ndjson" '
    '--data-binary @$f | grep -q \'"errors":false\' || echo "$f: not all of it was taken"; done'
)


class _Lucene(Store):
    """What both engines share: the bulk API, the mapping of stored fields, 9-bit weights, sums in double precision."""

    file = "documents-{:05d}.ndjson"
    file_bytes = 16 << 20
    limits = Limits(key_bytes=_TERM_BYTES, docno_bytes=_ID_BYTES)
    largest_query_weight = _LARGEST_QUERY_WEIGHT
    reserved = ("docno", "sparse")
    field_names = re.compile(r"[^._\s\0][^.\s\0]*")

    def held(self, weights: Floats, layout: Layout) -> Floats:
        """9 significant bits."""
        return nine_bits(weights)

    def line(self, row: Row, layout: Layout) -> str:
        """An action and a source."""
        fields = f",{row.fields}" if row.fields else ""
        sparse = f',"sparse":{{{row.vector}}}' if row.vector else ""
        return f'{{"index":{{"_id":{row.docno}}}}}\n{{"docno":{row.docno}{fields}{sparse}}}'

    def document_lines(self, lines: Iterable[bytes]) -> Iterable[bytes]:
        """Every second one; the others are actions."""
        return islice(lines, 1, None, 2)

    def parse(self, line: bytes, layout: Layout) -> Parsed:
        """The source; the action before it holds the name only."""
        source = json.loads(line)
        vector = source.get("sparse", {})
        return Parsed(None, source["docno"], list(vector), list(vector.values()))

    def properties(self, layout: Layout) -> dict[str, Any]:
        """The mapping of everything but the vector."""
        stored = {name: _COMPARES_STRINGS[kind] for name, kind in layout.fields.items()}
        return {"docno": {"type": "keyword"}, **stored}

    def commands(self, layout: Layout) -> list[str]:
        """Create, load, ask."""
        kind = '-H "Content-Type: application/json"'
        return [
            f'curl -X PUT "$HOST/{layout.name}" {kind} --data-binary @index.json',
            _BULK.format(name=layout.name),
            f'curl -X POST "$HOST/{layout.name}/_refresh"',
            f'curl -X POST "$HOST/{layout.name}/_search" {kind} --data-binary @query.json',
        ]

    def _request(self, query: dict[str, Any], k: int) -> str:
        return json.dumps({"size": k, "_source": ["docno"], "query": query}, ensure_ascii=False)


class OpenSearch(_Lucene):
    """Exact: a field of rank_features, asked by neural_sparse with the weights of the query given."""

    name = "opensearch"
    title = "OpenSearch (rank_features)"
    notes: ClassVar[tuple[str, ...]] = (
        "ask with neural_sparse and query_tokens, as query.json does: it adds products. A rank_feature query saturates "
        "weights unless it says otherwise, and an analyzer in place of query_tokens brings an idf of its own",
    )

    def key(self, term_id: int, vocabulary: Vocabulary) -> str:
        """The string of a term."""
        return vocabulary.term(term_id)

    def settings(self, layout: Layout, facts: Facts) -> dict[str, str]:
        """The mapping."""
        properties = {**self.properties(layout), "sparse": {"type": "rank_features"}}
        return {"index.json": _text({"mappings": {"_source": {"excludes": ["sparse"]}, "properties": properties}})}

    def request(self, keys: list[str], weights: list[float], k: int, layout: Layout) -> str:
        """A neural_sparse query."""
        tokens = dict(zip(keys, map(number, weights), strict=True))
        return self._request({"neural_sparse": {"sparse": {"query_tokens": tokens}}}, k)


class OpenSearchAnn(_Lucene):
    """Approximate: a field of sparse_vector (SEISMIC, OpenSearch 3.3 and later), bytes under a ceiling."""

    name = "opensearch-ann"
    title = "OpenSearch (sparse_vector, SEISMIC)"
    exact = False
    limits = Limits(term_ids=32_768, docno_bytes=_ID_BYTES)
    notes: ClassVar[tuple[str, ...]] = (
        "the search is approximate: the check ranks by the numbers the target holds, not by what its pruning of "
        "postings and clusters loses on top",
        "force-merge to one segment after loading; below approximate_threshold documents a segment, search is exact",
    )
    _SEARCH_CEILING = 63.75  # byte b is the weight b / 4, so that 255 stays under Lucene's largest query weight

    def held(self, weights: Floats, layout: Layout) -> Floats:
        """Bytes under the ceiling."""
        return bytes_under(weights, layout.ceiling)

    def as_weights(self, held: Floats, layout: Layout) -> Floats:
        """255 is the ceiling."""
        return held * np.float32(layout.ceiling / 255)

    def largest_weight(self, layout: Layout) -> float:
        """The ceiling."""
        return layout.ceiling

    def query_weights(self, term_ids: NDArray[np.uint32], weights: Floats, layout: Layout) -> Floats:
        """Quarters of bytes: max(1, floor(255 w / max w + ½)) / 4, all that the target keeps of a query."""
        steps = integer_weights(term_ids, weights).astype(np.float64)
        return (np.maximum(1, np.floor(steps * 255 / max(1.0, steps.max(initial=0)) + 0.5)) / 4).astype(np.float32)

    def held_query(self, weights: Floats, layout: Layout) -> Floats:
        """Bytes under the ceiling of searches."""
        return bytes_under(weights, self._SEARCH_CEILING)

    def settings(self, layout: Layout, facts: Facts) -> dict[str, str]:
        """Settings and mapping."""
        parameters = {
            "n_postings": 4000,
            "cluster_ratio": 0.1,
            "summary_prune_ratio": 0.4,
            "approximate_threshold": 1_000_000,
            "quantization_ceiling_ingest": layout.ceiling,
            "quantization_ceiling_search": self._SEARCH_CEILING,
        }
        method = {"name": "seismic", "engine": "lucene", "parameters": parameters}
        properties = {**self.properties(layout), "sparse": {"type": "sparse_vector", "method": method}}
        mappings = {"_source": {"excludes": ["sparse"]}, "properties": properties}
        return {"index.json": _text({"settings": {"index": {"sparse": True}}, "mappings": mappings})}

    def commands(self, layout: Layout) -> list[str]:
        """As of OpenSearch, with the merge to one segment."""
        create, load, refresh, ask = super().commands(layout)
        return [create, load, f'curl -X POST "$HOST/{layout.name}/_forcemerge?max_num_segments=1"', refresh, ask]

    def request(self, keys: list[str], weights: list[float], k: int, layout: Layout) -> str:
        """A neural_sparse query over every posting list of the query, without a heap factor."""
        tokens = dict(zip(keys, map(number, weights), strict=True))
        method = {"k": k, "top_n": len(keys), "heap_factor": 1.0}
        return self._request({"neural_sparse": {"sparse": {"query_tokens": tokens, "method_parameters": method}}}, k)


class Elasticsearch(_Lucene):
    """Exact: a field of sparse_vector whose pruning is switched off in the mapping and in every query."""

    name = "elasticsearch"
    title = "Elasticsearch (sparse_vector)"
    notes: ClassVar[tuple[str, ...]] = (
        "pruning is off in index.json and query.json: without prune=false Elasticsearch drops terms by thresholds tuned "
        "for another model, and ranks otherwise without a word",
    )

    def key(self, term_id: int, vocabulary: Vocabulary) -> str:
        """t and the id: names with dots are refused."""
        return f"t{term_id}"

    def lint_terms(self, terms: list[str]) -> Iterable[Finding]:
        """Terms with dots."""
        dotted = [term for term in terms if "." in term]
        if dotted:
            yield Finding(
                "changed",
                "dots",
                len(dotted),
                f"{len(dotted):,} terms hold a dot ({shown(dotted)}), which {self.title} refuses: all terms are written as "
                "t and their id",
            )

    def settings(self, layout: Layout, facts: Facts) -> dict[str, str]:
        """The mapping."""
        sparse = {"type": "sparse_vector", "store": False, "index_options": {"prune": False}}
        return {"index.json": _text({"mappings": {"properties": {**self.properties(layout), "sparse": sparse}}})}

    def request(self, keys: list[str], weights: list[float], k: int, layout: Layout) -> str:
        """A sparse_vector query without pruning."""
        vector = dict(zip(keys, map(number, weights), strict=True))
        return self._request({"sparse_vector": {"field": "sparse", "query_vector": vector, "prune": False}}, k)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
