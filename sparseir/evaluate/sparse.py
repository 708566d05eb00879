"""A sparse encoder judged on a collection: encode, index, search, measure."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.progress import Progress, silent
from sparseir.config.lexical import LexicalConfig
from sparseir.encode.activity import Activity
from sparseir.encode.indexing import IndexingOptions, index_documents
from sparseir.evaluate.baselines import LATENCY_K
from sparseir.evaluate.judged import JudgedCollection
from sparseir.evaluate.latency import latencies
from sparseir.evaluate.measures import measure
from sparseir.evaluate.options import EvaluationOptions
from sparseir.evaluate.report import SystemResult
from sparseir.search.query_encoder import ModelQueryEncoder
from sparseir.search.rerank import CoilReranker
from sparseir.search.results import Hits
from sparseir.search.runs import run_of
from sparseir.search.searcher import Searcher

if TYPE_CHECKING:
    from sparseir.models.encoder import SparseEncoder


def evaluate_encoder(
    encoder: SparseEncoder | None,
    collection: JudgedCollection,
    index_path: Path,
    options: EvaluationOptions,
    *,
    progress: Progress = silent,
) -> SystemResult:
    """Encode the documents, build an index, search every judged query at depth k, measure.

    The hits of a coil_tok encoder are reranked by their exact scores.

    Parameters
    ----------
    encoder : None for BM25, an index of the lexical channel alone.
    index_path : the index is built here and kept; an existing one is replaced.
    options : depth, measures, where an inference-free encoder's query weights come from, and whether a lexical channel
        is indexed beside its terms.

    Returns
    -------
    SystemResult : latency is text to hits at k = 10 on one thread, query encoding included.
    """
    channel = LexicalConfig() if options.lexical else None
    indexing = IndexingOptions(overwrite=True, corpus_idf=options.corpus_idf, lexical=channel, windows=options.windows)
    indexed = index_documents(index_path, encoder, collection.documents, options=indexing, progress=progress)
    learned = ModelQueryEncoder(encoder) if encoder is not None and encoder.query_table is None else None
    searcher = Searcher.open(index_path, model=learned)
    texts = [q.text for q in collection.queries]
    vectors = searcher.encode_queries(texts)
    reranker = CoilReranker(encoder) if encoder is not None and encoder.document_tower.needs_rerank else None

    def search(text: str, k: int) -> Hits:
        return searcher.search(text, k) if reranker is None else reranker.search(searcher, text, k)

    if reranker is None:
        named = searcher.named(searcher.search_vectors(vectors, options.k))
    else:
        hits = [search(text, options.k) for text in texts]
        named = [h.docnos for h in hits], [h.scores.tolist() for h in hits]
    run = run_of([q.qid for q in collection.queries], *named)
    queries = Activity()
    queries.add(vectors)
    p50, p95 = latencies(lambda text: search(text, LATENCY_K), texts)
    return SystemResult(
        system="BM25" if encoder is None else encoder.kind + ("+lexical" if options.lexical else ""),
        dataset=collection.name,
        split=collection.split,
        measures=measure(collection.qrels, run, options.measures),
        num_documents=len(collection.documents),
        num_queries=len(texts),
        query_terms=queries.mean_terms,
        document_terms=indexed.activity.mean_terms,
        flops=queries.flops(indexed.activity),
        index_bytes=sum(f.stat().st_size for f in index_path.rglob("*") if f.is_file()),
        encode_seconds=indexed.encode_seconds,
        build_seconds=indexed.build_seconds,
        p50_ms=p50,
        p95_ms=p95,
        run=run,
    )


def evaluate_bm25(collection: JudgedCollection, options: EvaluationOptions) -> SystemResult:
    """BM25 over stems of title and text: an index without a model, of which nothing is kept."""
    with tempfile.TemporaryDirectory(prefix="sparseir-bm25-") as folder:
        return evaluate_encoder(None, collection, Path(folder) / "index", options)
