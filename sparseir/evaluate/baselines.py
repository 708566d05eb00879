"""Systems to compare with, run on the same documents and queries."""

from __future__ import annotations

import time
from typing import Any

from sparseir.evaluate.judged import JudgedCollection
from sparseir.evaluate.latency import latencies
from sparseir.evaluate.measures import measure
from sparseir.evaluate.options import EvaluationOptions
from sparseir.evaluate.report import SystemResult
from sparseir.search.runs import Run, run_of

LATENCY_K = 10


def fuse(first: Run, second: Run, *, k: int, constant: int = 60) -> Run:
    """Reciprocal rank fusion: score(d) = Σ over runs 1 / (constant + rank(d)); ties by docno.

    Source: Cormack, Clarke and Büttcher 2009.
    """
    fused: Run = {}
    for qid in {**first, **second}:
        scores: dict[str, float] = {}
        for run in (first, second):
            ranked = sorted(run.get(qid, {}).items(), key=lambda item: -item[1])
            for rank, (docno, _) in enumerate(ranked, 1):
                scores[docno] = scores.get(docno, 0.0) + 1.0 / (constant + rank)
        best = sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:k]
        fused[qid] = dict(best)
    return fused


def evaluate_dense(collection: JudgedCollection, options: EvaluationOptions) -> SystemResult:
    """Exact search by the cosine of dense embeddings (`sparseir.models.dense`) of `options.dense_model`."""
    import numpy as np

    from sparseir.models.dense import DenseEmbedder

    embedder = DenseEmbedder(options.dense_model, max_length=options.dense_length)
    start = time.perf_counter()
    documents = embedder.embed([d.content for d in collection.documents])
    encode_seconds = time.perf_counter() - start
    docnos = [d.docno for d in collection.documents]

    def search(text: str, k: int) -> tuple[list[str], list[float]]:
        scores = documents @ embedder.embed([text], query=True)[0]
        best = np.argsort(-scores, kind="stable")[:k]
        return [docnos[i] for i in best], scores[best].tolist()

    hits = [search(q.text, options.k) for q in collection.queries]
    run = run_of([q.qid for q in collection.queries], [n for n, _ in hits], [s for _, s in hits])
    p50, p95 = latencies(lambda text: search(text, LATENCY_K), [q.text for q in collection.queries], at_most=100)
    return _result(
        "dense",
        collection,
        run,
        options,
        encode_seconds=encode_seconds,
        index_bytes=documents.nbytes,
        p50_ms=p50,
        p95_ms=p95,
    )


def evaluate_hybrid(
    first: SystemResult, second: SystemResult, collection: JudgedCollection, options: EvaluationOptions
) -> SystemResult:
    """Reciprocal rank fusion of two systems' runs."""
    run = fuse(first.run or {}, second.run or {}, k=options.k)
    return _result(f"{first.system}+{second.system}", collection, run, options)


def _result(
    system: str, collection: JudgedCollection, run: Run, options: EvaluationOptions, **costs: Any
) -> SystemResult:
    return SystemResult(
        system=system,
        dataset=collection.name,
        split=collection.split,
        measures=measure(collection.qrels, run, options.measures),
        num_documents=len(collection.documents),
        num_queries=len(collection.queries),
        run=run,
        **costs,
    )
