"""Vespa: whole numbers in a weighted set, scored by wand: scores equal ours to the bit."""

from __future__ import annotations

import json
import re
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from indexer.interchange.live import Weights
from indexer.interchange.stores.numbers import Floats
from indexer.interchange.stores.store import Kind, Layout, Parsed, Row, Store
from indexer.interchange.stores.survey import Facts

_TYPES: dict[Kind, str] = {"str": "string", "int": "long", "float": "double", "bool": "bool", "json": "string"}
_INDEXING = {"string": "summary | index", "bool": "summary | attribute"}
_SERVICES = """<?xml version="1.0" encoding="utf-8" ?>
<services version="1.0">
  <container id="default" version="1.0">
    <search/>
    <document-api/>
  </container>
  <content id="content" version="1.0">
    <redundancy>1</redundancy>
    <documents>
      <document type="{name}" mode="index"/>
    </documents>
    <nodes>
      <node distribution-key="0" hostalias="node1"/>
    </nodes>
  </content>
</services>
"""
_SCHEMA = """schema {name} {{
  document {name} {{
    field docno type string {{
      indexing: summary | attribute
    }}
{fields}    field sparse type weightedset<int> {{
      indexing: attribute
      attribute: fast-search
    }}
  }}
  rank-profile lsr {{
    first-phase {{
      expression: rawScore(sparse)
    }}
  }}
  document-summary names {{
    summary docno {{}}
  }}
}}
"""


class Vespa(Store):
    """Impacts and integer query weights; rawScore(sparse) is their integer sum."""

    name = "vespa"
    title = "Vespa (weightedset<int>, wand)"
    weights: ClassVar[tuple[Weights, ...]] = ("impact",)
    exact_sums = 1 << 53
    field_names = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
    unwritable = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff]")
    strict_fields = True
    reserved = ("docno", "sparse", "documentid", "sddocname", "relevance")
    notes: ClassVar[tuple[str, ...]] = (
        "totalTargetHits is how many hits wand must find exactly; ask for no more than it in hits",
    )

    def held(self, weights: Floats, layout: Layout) -> Floats:
        """Whole numbers."""
        return np.floor(weights)

    def added(self, scores: NDArray[np.float64], layout: Layout) -> NDArray[np.float64]:
        """64-bit integers."""
        return scores

    def line(self, row: Row, layout: Layout) -> str:
        """A put."""
        fields = f",{row.fields}" if row.fields else ""
        place = f'"id:{layout.name}:{layout.name}::{row.docno[1:]}'
        return f'{{"put":{place},"fields":{{"docno":{row.docno}{fields},"sparse":{{{row.vector}}}}}}}'

    def parse(self, line: bytes, layout: Layout) -> Parsed:
        """The fields of a put."""
        fields = json.loads(line)["fields"]
        return Parsed(None, fields["docno"], list(fields["sparse"]), list(fields["sparse"].values()))

    def settings(self, layout: Layout, facts: Facts) -> dict[str, str]:
        """An application of one node."""
        fields = "".join(_field(name, _TYPES[kind]) for name, kind in layout.fields.items())
        schema = _SCHEMA.format(name=layout.name, fields=fields)
        return {
            "application/services.xml": _SERVICES.format(name=layout.name),
            f"application/schemas/{layout.name}.sd": schema,
        }

    def commands(self, layout: Layout) -> list[str]:
        """Deploy, feed, ask."""
        return [
            "vespa deploy --wait 300 application",
            "for f in documents-*.jsonl; do vespa feed $f; done",
            'curl -X POST "$HOST/search/" -H "Content-Type: application/json" --data-binary @query.json',
        ]

    def request(self, keys: list[str], weights: list[float], k: int, layout: Layout) -> str:
        """A query in YQL; its tokens are a parameter."""
        tokens = ",".join(f"{key}:{int(weight)}" for key, weight in zip(keys, weights, strict=True))
        asked = {
            "yql": f"select docno from {layout.name} where ({{totalTargetHits:{k}}}wand(sparse, @tokens))",
            "tokens": f"{{{tokens}}}",
            "hits": k,
            "ranking.profile": "lsr",
        }
        return json.dumps(asked, ensure_ascii=False)


def _field(name: str, kind: str) -> str:
    indexing = _INDEXING.get(kind, "summary | attribute")
    return f"    field {name} type {kind} {{\n      indexing: {indexing}\n    }}\n"
