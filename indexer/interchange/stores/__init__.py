"""Exports for other engines: their bulk files, mappings and queries, and what they would lose of an index.

A target is a `Store`; `open_store` finds it by name.
"""

from __future__ import annotations

from indexer.errors import ConfigError
from indexer.interchange.stores.lucene import Elasticsearch, OpenSearch, OpenSearchAnn
from indexer.interchange.stores.milvus import Milvus
from indexer.interchange.stores.pgvector import Pgvector
from indexer.interchange.stores.qdrant import Qdrant
from indexer.interchange.stores.seismic import Seismic
from indexer.interchange.stores.store import Layout, Store
from indexer.interchange.stores.vespa import Vespa

STORES: dict[str, type[Store]] = {
    store.name: store for store in (OpenSearch, OpenSearchAnn, Elasticsearch, Vespa, Milvus, Qdrant, Pgvector, Seismic)
}
"""Every target, by the name users give."""


def open_store(name: str) -> Store:
    """The target of a name.

    Raises
    ------
    ConfigError : there is none of that name.
    """
    if name not in STORES:
        raise ConfigError(f"format {name!r} does not exist; there are: {', '.join(STORES)}")
    return STORES[name]()


__all__ = ["STORES", "Layout", "Store", "open_store"]
