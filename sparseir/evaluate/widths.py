"""One csr model read at several widths, beside its dense embeddings whole, cut short and projected: quality × bytes × latency."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from indexer import Documents, build_index
from indexer.progress import Progress, silent
from sparseir.data.embeddings import Embeddings
from sparseir.data.records import Query
from sparseir.errors import ConfigError
from sparseir.evaluate.judged import JudgedCollection
from sparseir.evaluate.options import EvaluationOptions
from sparseir.evaluate.report.rows import SystemResult
from sparseir.evaluate.systems.costs import LATENCY_K, query_costs
from sparseir.evaluate.systems.scored import scored
from sparseir.models.codes import DenseCodes
from sparseir.models.encoder import SparseEncoder
from sparseir.search.runs import Run, run_of
from sparseir.search.searcher import Searcher

WIDTHS = (4, 8, 16, 32, 64, 128)
Matrix = NDArray[np.float32]
_Vector = TypeVar("_Vector")


@dataclass(frozen=True, slots=True)
class _Embedded:
    """Dense embeddings of a collection's documents, and of its queries in their order."""

    collection: JudgedCollection
    documents: Matrix
    queries: Matrix


def evaluate_widths(
    encoder: SparseEncoder,
    collection: JudgedCollection,
    *,
    widths: Sequence[int] = WIDTHS,
    options: EvaluationOptions | None = None,
    embeddings: Embeddings | None = None,
    query_embeddings: Embeddings | None = None,
    progress: Progress = silent,
) -> list[SystemResult]:
    """Rows of a table: the dense embeddings, csr at each width, the first dimensions of the embeddings, their principal ones.

    All systems are given the same embeddings, so latency is that of search alone, vector to hits at k = 10 on one thread:
    csr by the index, the others by the product with a matrix of float32. Scores are cosines, of shortened vectors as well.

    Parameters
    ----------
    encoder : of the kind csr.
    widths : latents a text for csr, dimensions for the others, as far as there are so many.
    options : measures and depth.
    embeddings, query_embeddings : of the documents and queries by their names, made before; None: the base embeds them.
    progress : told of texts embedded.

    Raises
    ------
    ConfigError : another kind of encoder, no width of at least 1.
    DataError : embeddings that lack a document or query, or do not fit the encoder.
    """
    chosen = options or EvaluationOptions()
    wanted = tuple(dict.fromkeys(widths))
    if not wanted or min(wanted) < 1:
        raise ConfigError(f"widths: expected numbers of at least 1, found {', '.join(map(str, wanted)) or 'none'}")
    codes = DenseCodes(encoder)
    if embeddings is None:
        texts = [d.content for d in collection.documents]
        documents = codes.embed(texts, progress=lambda done, total: progress("embedding", done, total))
    else:
        documents = embeddings.of([d.docno for d in collection.documents], codes.dimensions)
    if query_embeddings is None:
        queries = codes.embed([q.text for q in collection.queries], query=True)
    else:
        queries = query_embeddings.of([q.qid for q in collection.queries], codes.dimensions)
    embedded = _Embedded(collection, documents, queries)
    rows = [_dense("dense", embedded, lambda matrix: matrix, chosen)]
    rows += [_codes(codes, embedded, width, chosen) for width in wanted if width <= encoder.num_terms]
    shorter = [width for width in wanted if width < documents.shape[1]]
    axes = _principal_axes(documents)
    centre = documents.mean(0)
    rows += [_dense(f"first {w} dimensions", embedded, _cut(w), chosen) for w in shorter]
    rows += [
        _dense(f"PCA, {w} dimensions", embedded, _projected(centre, axes[:, :w]), chosen)
        for w in shorter
        if w <= axes.shape[1]
    ]
    return rows


def _codes(codes: DenseCodes, embedded: _Embedded, width: int, options: EvaluationOptions) -> SystemResult:
    """By an index of codes."""
    documents, queries = (
        codes.encode(matrix, max_active_dims=width) for matrix in (embedded.documents, embedded.queries)
    )
    names = [d.docno for d in embedded.collection.documents]
    with tempfile.TemporaryDirectory(prefix="sparseir-widths-") as folder:
        path = Path(folder) / "index"
        build_index(path, [Documents(documents, names)])
        searcher = Searcher.open(path)
        return _row(
            f"csr, {width} latents",
            embedded.collection,
            [queries.slice(i, i + 1) for i in range(len(queries))],
            lambda row, k: searcher.named(searcher.search_vectors(row, k)),
            options,
            document_terms=documents.nnz / max(1, len(documents)),
            query_terms=queries.nnz / max(1, len(queries)),
            index_bytes=sum(f.stat().st_size for f in path.rglob("*") if f.is_file()),
        )


def _dense(
    name: str, embedded: _Embedded, shorten: Callable[[Matrix], Matrix], options: EvaluationOptions
) -> SystemResult:
    """By the product with all documents."""
    documents, queries = (_unit(shorten(matrix)) for matrix in (embedded.documents, embedded.queries))
    names = [d.docno for d in embedded.collection.documents]

    def search(row: Matrix, k: int) -> tuple[list[list[str]], list[list[float]]]:
        scores = documents @ row
        few = np.argpartition(-scores, k - 1)[:k] if k < len(scores) else np.arange(len(scores))
        best = few[np.lexsort((few, -scores[few]))]
        return [[names[i] for i in best]], [scores[best].tolist()]

    return _row(
        name, embedded.collection, list(queries), search, options, document_terms=documents.shape[1],
        query_terms=queries.shape[1], index_bytes=documents.nbytes,
    )  # fmt: skip


def _row(
    name: str,
    collection: JudgedCollection,
    vectors: list[_Vector],
    search: Callable[[_Vector, int], tuple[list[list[str]], list[list[float]]]],
    options: EvaluationOptions,
    **figures: float,
) -> SystemResult:
    def run(queries: list[Query], k: int) -> Run:
        hits = [search(vector, k) for vector in vectors]
        return run_of([q.qid for q in queries], [names for (names,), _ in hits], [scores for _, (scores,) in hits])

    costs = query_costs(lambda vector: search(vector, LATENCY_K), vectors)
    return scored(name, collection, run, options, costs, **figures)


def _cut(width: int) -> Callable[[Matrix], Matrix]:
    return lambda matrix: np.ascontiguousarray(matrix[:, :width])


def _projected(centre: Matrix, axes: Matrix) -> Callable[[Matrix], Matrix]:
    def projected(matrix: Matrix) -> Matrix:
        return ((matrix - centre) @ axes).astype(np.float32, copy=False)

    return projected


def _principal_axes(documents: Matrix) -> Matrix:
    """(d, min(d, N)): the axes of the documents about their mean, those along which they vary most first."""
    _, _, axes = np.linalg.svd(documents - documents.mean(0), full_matrices=False)
    return np.ascontiguousarray(axes.T)


def _unit(matrix: Matrix) -> Matrix:
    length = np.linalg.norm(matrix, axis=1, keepdims=True)
    return np.divide(matrix, length, out=np.zeros_like(matrix), where=length > 0)
