"""A small judged collection that is searched while an encoder trains."""

from __future__ import annotations

import numpy as np

from indexer import SparseVectors
from sparseir.config.data import DataConfig
from sparseir.encode.activity import Activity
from sparseir.evaluate.measures import measure
from sparseir.models.encoder import SparseEncoder
from sparseir.train.material.collection import open_collection

_RERANKED = 100
"""Hits of COIL's norms that are scored exactly."""


class DevSet:
    """`data.dev_dataset`, or its judged documents and `data.dev_documents` others."""

    def __init__(self, config: DataConfig) -> None:
        assert config.dev_dataset is not None
        dataset = open_collection(config.dev_dataset, config)
        names = [d.docno for d in dataset.corpus()]
        qrels = dataset.qrels(config.dev_split, docnos=set(names))
        self.queries = dataset.queries(config.dev_split)
        self.qrels = {query.qid: qrels[query.qid] for query in self.queries}
        if config.dev_documents is not None:
            judged = {docno for row in self.qrels.values() for docno in row}
            others = [docno for docno in names if docno not in judged]
            drawn = np.random.default_rng(0).permutation(len(others))[: config.dev_documents]
            kept = judged | {others[i] for i in drawn}
            names = [docno for docno in names if docno in kept]
        self.docnos, kept = names, set(names)
        # The corpus is read again: of one that is large, no text is held that is not searched.
        self._documents = [d for d in dataset.corpus() if d.docno in kept]

    def evaluate(self, encoder: SparseEncoder) -> dict[str, float]:
        """nDCG@10, mean terms of documents and queries, and FLOPS."""
        texts = [encoder.text_of(d) for d in self._documents]
        documents = encoder.encode_documents(texts, dtype="native")
        queries = encoder.encode_queries([q.text for q in self.queries], dtype="native")
        depth = _RERANKED if encoder.document_tower.needs_rerank else 10
        hits = [_best(documents, queries.row(row), depth) for row in range(len(self.queries))]
        if encoder.document_tower.needs_rerank:
            hits = self._reranked(encoder, hits)
        run = {
            query.qid: {self.docnos[i]: score for i, score in found[:10]}
            for query, found in zip(self.queries, hits, strict=True)
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

    def _reranked(self, encoder: SparseEncoder, hits: list[list[tuple[int, float]]]) -> list[list[tuple[int, float]]]:
        """Hits of each query by their exact scores, as they are served."""
        from sparseir.search.rerank import CoilReranker

        exact = CoilReranker(encoder)
        out = []
        for query, found in zip(self.queries, hits, strict=True):
            scores = exact.scores(query.text, [self._documents[i].content for i, _ in found])
            pairs = [(i, score) for (i, _), score in zip(found, scores, strict=True)]
            out.append(sorted(pairs, key=lambda pair: -pair[1]))
        return out


def _best(documents: SparseVectors, query: tuple[np.ndarray, np.ndarray], k: int) -> list[tuple[int, float]]:
    """(row, score) of the k best documents with a score above 0, ties by smaller row."""
    table = np.zeros(documents.num_terms, np.float64)
    table[query[0]] = query[1]
    total = np.concatenate([[0.0], np.cumsum(table[documents.term_ids] * documents.weights)])
    scores = total[documents.indptr[1:]] - total[documents.indptr[:-1]]
    order = np.lexsort((np.arange(len(scores)), -scores))[:k]
    return [(int(i), float(scores[i])) for i in order if scores[i] > 1e-9]
