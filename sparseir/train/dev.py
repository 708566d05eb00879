"""A small judged collection that is searched while an encoder trains."""

from __future__ import annotations

import numpy as np

from indexer import SparseVectors
from sparseir.config.data import DataConfig
from sparseir.data import open_dataset
from sparseir.encode.activity import Activity
from sparseir.evaluate.measures import measure
from sparseir.models.encoder import SparseEncoder


class DevSet:
    """`data.dev_dataset`, or its judged documents and `data.dev_documents` others."""

    def __init__(self, config: DataConfig) -> None:
        assert config.dev_dataset is not None
        dataset = open_dataset(config.dev_dataset, config.data_dir)
        documents = {d.docno: d.content for d in dataset.corpus()}
        self.qrels = dataset.qrels(config.dev_split, docnos=documents)
        self.queries = dataset.queries(config.dev_split)
        if config.dev_documents is not None:
            judged = {docno for row in self.qrels.values() for docno in row}
            others = [docno for docno in documents if docno not in judged]
            drawn = np.random.default_rng(0).permutation(len(others))[: config.dev_documents]
            kept = judged | {others[i] for i in drawn}
            documents = {docno: text for docno, text in documents.items() if docno in kept}
        self.docnos = list(documents)
        self._texts = list(documents.values())

    def evaluate(self, encoder: SparseEncoder) -> dict[str, float]:
        """nDCG@10, mean terms of documents and queries, and FLOPS."""
        documents = encoder.encode_documents(self._texts, dtype="native")
        queries = encoder.encode_queries([q.text for q in self.queries], dtype="native")
        run = {
            query.qid: {self.docnos[i]: score for i, score in _best(documents, queries.row(row), 10)}
            for row, query in enumerate(self.queries)
        }
        asked, given = Activity(), Activity()
        asked.add(queries)
        given.add(documents)
        return {
            "ndcg_10": measure(self.qrels, run, ["nDCG@10"])["nDCG@10"],
            "document_terms": given.mean_terms,
            "query_terms": asked.mean_terms,
            "flops": asked.flops(given),
        }


def _best(documents: SparseVectors, query: tuple[np.ndarray, np.ndarray], k: int) -> list[tuple[int, float]]:
    """(row, score) of the k best documents with a score above 0, ties by smaller row."""
    table = np.zeros(documents.num_terms, np.float64)
    table[query[0]] = query[1]
    total = np.concatenate([[0.0], np.cumsum(table[documents.term_ids] * documents.weights)])
    scores = total[documents.indptr[1:]] - total[documents.indptr[:-1]]
    order = np.lexsort((np.arange(len(scores)), -scores))[:k]
    return [(int(i), float(scores[i])) for i in order if scores[i] > 1e-9]
