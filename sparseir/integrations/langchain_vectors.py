"""Sparse embeddings for LangChain's vector stores. The interface is in the package langchain-qdrant."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sparseir.errors import MissingExtraError
from sparseir.integrations.sources import indices_and_values, loaded

if TYPE_CHECKING:
    from sparseir.models.encoder import SparseEncoder

try:
    from langchain_qdrant import SparseEmbeddings
    from langchain_qdrant.sparse_embeddings import SparseVector
except ModuleNotFoundError as error:
    raise MissingExtraError("langchain-qdrant", "langchain-qdrant", __name__) from error


class SparseIREmbeddings(SparseEmbeddings):
    """Vectors of an encoder of this package; documents and queries go through their own towers.

    Parameters
    ----------
    model : folder, hub id or loaded encoder. device : auto, cpu or cuda.
    """

    def __init__(self, model: str | Path | SparseEncoder, *, device: str = "auto") -> None:
        self.encoder = loaded(model, device)

    def embed_documents(self, texts: list[str]) -> list[SparseVector]:
        """One vector a text."""
        vectors = self.encoder.encode_documents(texts)
        return [_vector(indices_and_values(vectors.row(i))) for i in range(len(texts))]

    def embed_query(self, text: str) -> SparseVector:
        """The vector of a query."""
        return _vector(indices_and_values(self.encoder.encode_queries([text]).row(0)))


def _vector(row: tuple[list[int], list[float]]) -> SparseVector:
    return SparseVector(indices=row[0], values=row[1])
