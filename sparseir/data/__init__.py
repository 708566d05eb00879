"""Corpora, queries, judgements, training pairs and negatives: streaming readers whose errors name file and line.

Names are loaded on first use: a search needs none of the readers of corpora.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparseir.data.corpus.reader import CorpusReader
    from sparseir.data.dataset import Dataset, open_dataset, open_datasets, read_corpus
    from sparseir.data.docstrings import write_docstring_collection
    from sparseir.data.judgements import read_qrels
    from sparseir.data.readers import read_queries
    from sparseir.data.records import Document, Qrels, Query

_HOMES = {
    "CorpusReader": "corpus.reader",
    "Dataset": "dataset",
    "Document": "records",
    "Qrels": "records",
    "Query": "records",
    "open_dataset": "dataset",
    "open_datasets": "dataset",
    "read_corpus": "dataset",
    "read_qrels": "judgements",
    "read_queries": "readers",
    "write_docstring_collection": "docstrings",
}

__all__ = [
    "CorpusReader",
    "Dataset",
    "Document",
    "Qrels",
    "Query",
    "open_dataset",
    "open_datasets",
    "read_corpus",
    "read_qrels",
    "read_queries",
    "write_docstring_collection",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'sparseir.data' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"sparseir.data.{home}"), name)
    globals()[name] = value
    return value
