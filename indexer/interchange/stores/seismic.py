"""Seismic: one JSONL of documents, a loader that builds and searches with pyseismic-lsr."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import ClassVar

from indexer.interchange.stores.lint import Finding
from indexer.interchange.stores.numbers import Floats, halves
from indexer.interchange.stores.store import Layout, Parsed, Row, Store, number
from indexer.interchange.stores.survey import Facts
from indexer.interchange.vocabulary import Vocabulary

_SHORT_TERMS = 1 << 16
_LOADER = '''"""Build a Seismic index of documents.jsonl, and ask it query.json: python load.py. Needs pyseismic-lsr."""

import json
import os

import numpy as np
from seismic import {index}, get_seismic_string

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    index = {index}.build(os.path.join(HERE, "documents.jsonl"), n_postings=4000, num_threads=1)
    with open(os.path.join(HERE, "query.json"), encoding="utf-8") as file:
        query = json.load(file)
    terms = np.array(list(query["vector"]), dtype=get_seismic_string())
    weights = np.array(list(query["vector"].values()), np.float32)
    with open(os.path.join(HERE, "documents.jsonl"), encoding="utf-8") as file:
        names = [json.loads(line)["docno"] for line in file]
    for _, score, number in index.search("0", terms, weights, query["k"], len(terms), 1.0):
        print(names[int(number)], score, sep="\\t")


main()
'''


class Seismic(Store):
    """Half floats; the search is approximate."""

    name = "seismic"
    title = "Seismic"
    exact = False
    file = "documents.jsonl"
    file_bytes = 1 << 62
    reserved = ("id", "docno", "content", "vector")
    notes: ClassVar[tuple[str, ...]] = (
        "the search is approximate: the check ranks by the numbers the target holds, not by what pruning loses on top",
    )

    def key(self, term_id: int, vocabulary: Vocabulary) -> str:
        """The string of a term."""
        return vocabulary.term(term_id)

    def held(self, weights: Floats, layout: Layout) -> Floats:
        """Half floats."""
        return halves(weights)

    def lint_documents(self, facts: Facts) -> Iterable[Finding]:
        """Vocabularies beyond 16 bits."""
        if len(facts.used) > _SHORT_TERMS:
            text = f"documents hold {len(facts.used):,} terms, more than 16 bits number: load.py uses SeismicIndexLV"
            yield Finding("changed", "large-vocabulary", len(facts.used), text)

    def line(self, row: Row, layout: Layout) -> str:
        """A document; what is stored as its title and text is the content."""
        stored = json.loads(f"{{{row.fields}}}")
        texts = [text for name in ("title", "text") if isinstance(text := stored.get(name), str) and text]
        fields = f",{row.fields}" if row.fields else ""
        content = json.dumps(" ".join(texts), ensure_ascii=False)
        return f'{{"id":{row.number},"docno":{row.docno},"content":{content}{fields},"vector":{{{row.vector}}}}}'

    def parse(self, line: bytes, layout: Layout) -> Parsed:
        """A document."""
        row = json.loads(line)
        return Parsed(row["id"], row["docno"], list(row["vector"]), list(row["vector"].values()))

    def settings(self, layout: Layout, facts: Facts) -> dict[str, str]:
        """The loader."""
        return {"load.py": _LOADER.format(index=f"SeismicIndex{'LV' if len(facts.used) > _SHORT_TERMS else ''}")}

    def commands(self, layout: Layout) -> list[str]:
        """Build and ask in one."""
        return ["pip install pyseismic-lsr", "python load.py"]

    def request(self, keys: list[str], weights: list[float], k: int, layout: Layout) -> str:
        """A query as Seismic's files have them, and how many hits load.py asks for."""
        vector = dict(zip(keys, map(number, weights), strict=True))
        return json.dumps({"id": 0, "content": "", "vector": vector, "k": k}, ensure_ascii=False)
