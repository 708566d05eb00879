"""Sparse vectors in, index folder out. Nothing here imports a model or torch.

Names are loaded on first use, so that opening an index does not load what builds one.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from indexer.build import build_index
    from indexer.compact import compact_index
    from indexer.config import IndexConfig
    from indexer.documents import Documents
    from indexer.index import Index
    from indexer.opening import open_index, open_shards
    from indexer.shard_build import build_shards
    from indexer.snapshots.restore import restore_index
    from indexer.snapshots.take import take_snapshot
    from indexer.update import add_documents, delete_documents, replace_query_side
    from indexer.vectors import SparseVectors
    from indexer.verify import verify_index

_HOMES = {
    "Documents": "documents",
    "Index": "index",
    "IndexConfig": "config",
    "SparseVectors": "vectors",
    "add_documents": "update",
    "build_index": "build",
    "build_shards": "shard_build",
    "compact_index": "compact",
    "delete_documents": "update",
    "open_index": "opening",
    "open_shards": "opening",
    "replace_query_side": "update",
    "restore_index": "snapshots.restore",
    "take_snapshot": "snapshots.take",
    "verify_index": "verify",
}

__all__ = [
    "Documents",
    "Index",
    "IndexConfig",
    "SparseVectors",
    "add_documents",
    "build_index",
    "build_shards",
    "compact_index",
    "delete_documents",
    "open_index",
    "open_shards",
    "replace_query_side",
    "restore_index",
    "take_snapshot",
    "verify_index",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'indexer' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"indexer.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
