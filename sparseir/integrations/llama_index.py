"""A retriever and sparse embeddings for LlamaIndex."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparseir.errors import MissingExtraError
from sparseir.integrations.sources import fed, indices_and_values, loaded, searched, text_and_metadata
from sparseir.search.filters.filters import Filter
from sparseir.search.searcher import Searcher

if TYPE_CHECKING:
    from sparseir.models.encoder import SparseEncoder
    from sparseir.text_index import Index

try:
    from llama_index.core.base.embeddings.base_sparse import BaseSparseEmbedding
    from llama_index.core.bridge.pydantic import PrivateAttr
    from llama_index.core.retrievers import BaseRetriever
    from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
except ModuleNotFoundError as error:
    raise MissingExtraError("llama-index-core", "llama-index", __name__) from error


class SparseIRRetriever(BaseRetriever):
    """Retrieves from an index of this package.

    Nodes have the docno as id, the stored text as text, and docno, score and the other stored fields as metadata.

    Parameters
    ----------
    index : a folder, a `Searcher` or a `sparseir.Index`.
    k : nodes a query. filter : which documents may be found (docs/filters.md).
    feedback : hits whose words a second search adds to the query (docs/feedback.md); 0 for none.
    options : of LlamaIndex's retrievers.
    """

    def __init__(
        self,
        index: str | Path | Searcher | Index,
        *,
        k: int = 10,
        filter: Filter | None = None,
        feedback: int = 0,
        **options: Any,
    ) -> None:
        self.index, self.k, self.filter, self.feedback = searched(index), k, filter, fed(feedback)
        super().__init__(**options)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        hits = self.index.search(query_bundle.query_str, self.k, filter=self.filter, feedback=self.feedback)
        return [
            NodeWithScore(node=TextNode(id_=data["docno"], text=text, metadata=data), score=data["score"])
            for text, data in map(text_and_metadata, hits)
        ]


class SparseIREmbedding(BaseSparseEmbedding):
    """Vectors of an encoder of this package; texts and queries go through their own towers.

    Parameters
    ----------
    model : folder, hub id or loaded encoder. device : auto, cpu or cuda. options : of LlamaIndex's embeddings.
    """

    _encoder: Any = PrivateAttr()

    def __init__(self, model: str | Path | SparseEncoder, *, device: str = "auto", **options: Any) -> None:
        name = str(model) if isinstance(model, str | Path) else model.fingerprint
        super().__init__(**{"model_name": name, **options})
        self._encoder = loaded(model, device)

    @classmethod
    def class_name(cls) -> str:
        """What serialised components call it."""
        return "SparseIREmbedding"

    def _get_query_embedding(self, query: str) -> dict[int, float]:
        return _weights(self._encoder.encode_queries([query]).row(0))

    async def _aget_query_embedding(self, query: str) -> dict[int, float]:
        return await asyncio.to_thread(self._get_query_embedding, query)

    def _get_text_embedding(self, text: str) -> dict[int, float]:
        return self._get_text_embeddings([text])[0]

    async def _aget_text_embedding(self, text: str) -> dict[int, float]:
        return await asyncio.to_thread(self._get_text_embedding, text)

    def _get_text_embeddings(self, texts: list[str]) -> list[dict[int, float]]:
        vectors = self._encoder.encode_documents(texts)
        return [_weights(vectors.row(i)) for i in range(len(texts))]


def _weights(row: tuple[Any, Any]) -> dict[int, float]:
    return dict(zip(*indices_and_values(row), strict=True))
