"""Sparse vectors in, index folder out. Nothing here imports a model or torch."""

from __future__ import annotations

from indexer.build import build_index
from indexer.compact import compact_index
from indexer.config import IndexConfig
from indexer.index import Index, open_index
from indexer.update import add_documents, delete_documents
from indexer.vectors import SparseVectors
from indexer.verify import verify_index

__all__ = [
    "Index",
    "IndexConfig",
    "SparseVectors",
    "add_documents",
    "build_index",
    "compact_index",
    "delete_documents",
    "open_index",
    "verify_index",
]
