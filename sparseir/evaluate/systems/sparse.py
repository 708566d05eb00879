"""Systems over an index of ours, an encoder's or BM25's: encode, index, search, measure."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.progress import Progress, silent
from sparseir.data.records import Query
from sparseir.data.stores.tokens import tokens_folder
from sparseir.encode.activity import Activity
from sparseir.encode.indexing import index_documents
from sparseir.encode.options import IndexingOptions
from sparseir.evaluate.judged import JudgedCollection, logger
from sparseir.evaluate.options import EvaluationOptions
from sparseir.evaluate.references import BM25
from sparseir.evaluate.report.rows import SystemResult
from sparseir.evaluate.systems.costs import LATENCY_K, query_costs
from sparseir.evaluate.systems.embeddings import of_channel, spent
from sparseir.evaluate.systems.feedback import evaluate_feedback
from sparseir.evaluate.systems.fitted import evaluate_fitted
from sparseir.evaluate.systems.scored import scored
from sparseir.search.exact_top import search_exactly
from sparseir.search.query_encoder import ModelQueryEncoder
from sparseir.search.rerank import CoilReranker
from sparseir.search.results import Hits
from sparseir.search.runs import Run, run_of
from sparseir.search.searcher import Searcher

if TYPE_CHECKING:
    from sparseir.models.encoder import SparseEncoder

LEXICAL = "+lexical"
"""What follows the name of a model that runs with a lexical channel beside it."""

EXPANDED = "BM25 expanded"
"""BM25 over documents that hold words of their neighbours or of a dense model as well."""


def evaluate_encoder(
    encoder: SparseEncoder | None,
    collection: JudgedCollection,
    index_path: Path,
    options: EvaluationOptions,
    *,
    name: str | None = None,
    lexical: bool = False,
    progress: Progress = silent,
) -> SystemResult:
    """Encode the documents, build an index, search every judged query at depth k, measure.

    The hits of a coil encoder are the best of all documents by exact scores, from token vectors stored beside the index.

    Parameters
    ----------
    encoder : None for BM25, an index of the lexical channel alone.
    index_path : the index is built here and kept; an existing one is replaced.
    options : depth, measures, and where an inference-free encoder's query weights come from.
    name : of the system; None for the encoder's kind.
    lexical : index a lexical channel beside the encoder's terms.

    Returns
    -------
    SystemResult : latency is text to hits at k = 10 on one thread, query encoding included.
    """
    # BM25 by itself is what others call so, whatever is tried beside a model.
    channel = options.channel if lexical else options.channel.plain if encoder is None else None
    embed = of_channel(collection, channel)
    # Documents that another system had embedded would have had to be embedded for this one.
    known = (0.0, 0.0) if embed is None else spent(embed)
    exact = encoder is not None and encoder.document_tower.needs_rerank
    indexing = IndexingOptions(
        overwrite=True,
        corpus_idf=options.corpus_idf,
        max_active_dims=options.max_active_dims,
        lexical=channel,
        windows=options.windows,
        embed=embed,
        token_vectors=exact or None,
    )
    cpu = time.process_time()
    indexed = index_documents(index_path, encoder, collection.documents, options=indexing, progress=progress)
    cpu = time.process_time() - cpu + known[1]
    searcher = Searcher.open(index_path, model=queries_by(encoder))
    texts = [q.text for q in collection.queries]
    reranker = CoilReranker.of(searcher) if exact else None

    def search(text: str, k: int) -> Hits:
        return searcher.search(text, k) if reranker is None else search_exactly(reranker, searcher, text, k).hits

    def run(queries: list[Query], k: int) -> Run:
        if reranker is None:
            vectors = searcher.encode_queries([q.text for q in queries])
            named = searcher.named(searcher.search_vectors(vectors, k))
        else:
            hits = [search(q.text, k) for q in queries]
            named = [h.docnos for h in hits], [h.scores.tolist() for h in hits]
        return run_of([q.qid for q in queries], *named)

    asked = Activity()
    asked.add(searcher.encode_queries(texts))
    costs = query_costs(lambda text: search(text, LATENCY_K), texts)
    return scored(
        (name or (BM25 if encoder is None else encoder.kind)) + (LEXICAL if lexical and encoder is not None else ""),
        collection,
        run,
        options,
        costs,
        query_terms=asked.mean_terms,
        document_terms=indexed.activity.mean_terms,
        flops=asked.flops(indexed.activity),
        index_bytes=sum(
            f.stat().st_size
            for place in (index_path, *((tokens_folder(index_path),) if exact else ()))
            for f in place.rglob("*")
            if f.is_file()
        ),
        encode_seconds=indexed.encode_seconds,
        build_seconds=indexed.build_seconds + known[0],
        cpu_seconds=cpu,
    )


def queries_by(encoder: SparseEncoder | None) -> ModelQueryEncoder | None:
    """The model that reads queries, where they are not looked up."""
    return ModelQueryEncoder(encoder) if encoder is not None and encoder.query_table is None else None


def evaluate_bm25(
    collection: JudgedCollection, options: EvaluationOptions, *, expanded: bool = False, progress: Progress = silent
) -> SystemResult:
    """BM25 over stems of title and text as built: the first of `evaluate_words`."""
    found = evaluate_words(collection, options, fault=logger.warning, expanded=expanded, progress=progress)
    return next(found)


def evaluate_words(
    collection: JudgedCollection,
    options: EvaluationOptions,
    *,
    fault: Callable[[str], None],
    expanded: bool = False,
    progress: Progress = silent,
) -> Iterator[SystemResult]:
    """BM25 over stems of title and text, as built, fitted and with feedback: an index without a learned model, of which nothing is kept.

    Parameters
    ----------
    fault : takes one line where nothing could be fitted.
    expanded : with the words of neighbours or of a dense model that `options.channel` asks for.
    """
    with tempfile.TemporaryDirectory(prefix="sparseir-bm25-") as folder:
        path, name = Path(folder) / "index", EXPANDED if expanded else BM25
        result = evaluate_encoder(None, collection, path, options, name=name, lexical=expanded, progress=progress)
        yield result
        yield from evaluate_feedback(result, path, collection, options)
        yield from evaluate_fitted(result, path, collection, options, fault=fault, keep=False, progress=progress)
