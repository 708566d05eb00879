"""Sparse vectors from and to the files other tools read: Anserini JSON vectors, scipy .npz, Big-ANN .csr, CIFF.

Names are loaded on first use: a search wants the vocabulary alone.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from indexer.interchange.batches import BatchLimits, VectorSource
    from indexer.interchange.sources import open_vectors
    from indexer.interchange.vocabulary import Vocabulary
    from indexer.interchange.write import write_vectors

_HOMES = {
    "BatchLimits": "batches",
    "VectorSource": "batches",
    "Vocabulary": "vocabulary",
    "open_vectors": "sources",
    "write_vectors": "write",
}

__all__ = ["BatchLimits", "VectorSource", "Vocabulary", "open_vectors", "write_vectors"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'indexer.interchange' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"indexer.interchange.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
