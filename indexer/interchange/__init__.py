"""Sparse vectors from and to the files other tools read: Anserini JSON vectors, scipy .npz, Big-ANN .csr, CIFF."""

from __future__ import annotations

from indexer.interchange.batches import BatchLimits, VectorSource
from indexer.interchange.sources import open_vectors
from indexer.interchange.vocabulary import Vocabulary
from indexer.interchange.write import write_vectors

__all__ = ["BatchLimits", "VectorSource", "Vocabulary", "open_vectors", "write_vectors"]
