"""A collection with the judgements of one split, read once for all systems."""

from __future__ import annotations

from dataclasses import dataclass

from sparseir.data.dataset import Dataset
from sparseir.data.records import Document, Qrels, Query


@dataclass(frozen=True, slots=True)
class JudgedCollection:
    """Documents in corpus order, the judged queries in file order, and their judgements."""

    name: str
    split: str
    documents: list[Document]
    queries: list[Query]
    qrels: Qrels

    @classmethod
    def read(cls, dataset: Dataset, split: str) -> JudgedCollection:
        """Read a collection.

        Raises
        ------
        DataError
            Malformed lines, an unknown split, judgements that name unknown documents or queries.
        """
        documents = list(dataset.corpus())
        qrels = dataset.qrels(split, docnos={d.docno for d in documents})
        queries = [q for q in dataset.queries(split) if q.qid in qrels]
        return cls(dataset.name, split, documents, queries, qrels)
