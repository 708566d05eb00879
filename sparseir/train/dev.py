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
"""Documents that are scored exactly, those of the largest bounds, where an encoder is COIL."""


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
        asked_texts = [q.text for q in self.queries]
        if encoder.document_tower.needs_rerank:
            documents, queries, hits = _by_tokens(encoder, texts, asked_texts)
        else:
            documents = encoder.encode_documents(texts, dtype="native")
            queries = encoder.encode_queries(asked_texts, dtype="native")
            hits = [_best(_scores(documents, queries.row(row)), 10) for row in range(len(queries))]
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


_Hits = list[tuple[int, float]]
"""(row, score) of documents, the best first."""


def _by_tokens(
    encoder: SparseEncoder, texts: list[str], asked: list[str]
) -> tuple[SparseVectors, SparseVectors, list[_Hits]]:
    """Norms of documents and queries, and the hits of each query by exact scores, as they are served."""
    from sparseir.models.token_vectors import token_vectors
    from sparseir.search.rerank import exact_scores

    held = token_vectors(encoder, texts, dtype="native")
    documents = held.norms(encoder.num_terms)
    norms, hits = [SparseVectors.empty(0, encoder.num_terms)], list[_Hits]()
    for text in asked:
        query = token_vectors(encoder, [text], query=True, dtype="native", stored_as="float32")
        norms.append(query.norms(encoder.num_terms, summed=True))
        bounds = _scores(documents, norms[-1].row(0))
        rows = np.lexsort((np.arange(len(bounds)), -bounds))[: min(_RERANKED, np.count_nonzero(bounds))]
        if held.whole.shape[1]:  # then a document need not share a term
            bounds = bounds + held.whole.astype(np.float32) @ query.whole[0]
            rows = np.lexsort((np.arange(len(bounds)), -bounds))[:_RERANKED]
        exact = exact_scores(query, (held.text(row) for row in rows.tolist()))
        pairs = zip(rows.tolist(), exact.tolist(), strict=True)
        hits.append(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))
    return documents, SparseVectors.concatenate(norms), hits


def _scores(documents: SparseVectors, query: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The product of a query with every document, float64 (N,)."""
    table = np.zeros(documents.num_terms, np.float64)
    table[query[0]] = query[1]
    total = np.concatenate([[0.0], np.cumsum(table[documents.term_ids] * documents.weights)])
    return total[documents.indptr[1:]] - total[documents.indptr[:-1]]


def _best(scores: np.ndarray, k: int) -> _Hits:
    """(row, score) of the k best documents with a score above 0, ties by smaller row."""
    order = np.lexsort((np.arange(len(scores)), -scores))[:k]
    return [(int(i), float(scores[i])) for i in order if scores[i] > 1e-9]
