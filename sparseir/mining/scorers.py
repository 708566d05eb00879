"""Teachers as scorers of pairs: a cross-encoder, a dense embedder, a sparse encoder."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from indexer import SparseVectors
from sparseir.mining.score import PairScorer
from sparseir.models.encoder import SparseEncoder
from sparseir.models.networks.cross_encoder import CrossEncoder
from sparseir.models.networks.dense import DenseEmbedder


class CrossScorer:
    """A cross-encoder's logits."""

    def __init__(self, model: str, *, max_length: int, batch_size: int, device: str) -> None:
        self._model = CrossEncoder(model, max_length=max_length, device=device, bf16=True)
        self._batch_size = batch_size

    def scores(self, queries: Sequence[str], documents: Sequence[str], pairs: NDArray[np.int64]) -> NDArray[np.float32]:
        """See `PairScorer`."""
        texts = [(queries[q], documents[d]) for q, d in pairs.tolist()]
        return self._model.scores(texts, batch_size=self._batch_size)


class DenseScorer:
    """Inner products of a dense embedder's vectors; each text of a part is embedded once."""

    def __init__(self, model: str, *, max_length: int, batch_size: int, device: str) -> None:
        self._model = DenseEmbedder(model, max_length=max_length, device=device, bf16=True)
        self._batch_size = batch_size

    def scores(self, queries: Sequence[str], documents: Sequence[str], pairs: NDArray[np.int64]) -> NDArray[np.float32]:
        """See `PairScorer`."""
        asked = self._model.embed(queries, query=True, batch_size=self._batch_size)
        given = self._model.embed(documents, batch_size=self._batch_size)
        out = np.empty(len(pairs), np.float32)
        for start in range(0, len(pairs), 65_536):  # the vectors of pairs, which are many more than texts
            q, d = pairs[start : start + 65_536].T
            out[start : start + len(q)] = np.einsum("ph,ph->p", asked[q], given[d])
        return out


class SparseScorer:
    """Inner products of a sparse encoder's vectors; each text of a part is encoded once."""

    def __init__(self, model: str, *, batch_size: int, device: str) -> None:
        self._model = SparseEncoder.load(model, device=device)
        self._batch_size = batch_size

    def scores(self, queries: Sequence[str], documents: Sequence[str], pairs: NDArray[np.int64]) -> NDArray[np.float32]:
        """See `PairScorer`."""
        asked = self._model.encode_queries(queries, batch_size=self._batch_size, dtype="native")
        given = self._model.encode_documents(documents, batch_size=self._batch_size, dtype="native")
        return products(asked, given, pairs)


def products(queries: SparseVectors, documents: SparseVectors, pairs: NDArray[np.int64]) -> NDArray[np.float32]:
    """Inner products of rows, float32 (P,). pairs : int64 (P, 2), in order of the queries."""
    out = np.zeros(len(pairs), np.float32)
    weights = np.zeros(queries.num_terms, np.float32)
    ends = np.searchsorted(pairs[:, 0], np.arange(len(queries) + 1))
    for query, (start, end) in enumerate(itertools.pairwise(ends)):
        terms, values = queries.row(query)
        weights[terms] = values
        for place in range(start, end):
            theirs, given = documents.row(int(pairs[place, 1]))
            out[place] = weights[theirs] @ given
        weights[terms] = 0.0
    return out


def open_scorer(kind: str, model: str, *, max_length: int, batch_size: int, device: str) -> PairScorer:
    """A teacher by its kind: cross_encoder, dense or sparse.

    Raises
    ------
    ConfigError : no such model, or one of another kind.
    """
    if kind == "sparse":
        return SparseScorer(model, batch_size=batch_size, device=device)
    made: Callable[..., PairScorer] = CrossScorer if kind == "cross_encoder" else DenseScorer
    return made(model, max_length=max_length, batch_size=batch_size, device=device)
