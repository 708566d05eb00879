"""Corpora, queries, judgements, training pairs and negatives: streaming readers whose errors name file and line."""

from __future__ import annotations

from sparseir.data.corpus.reader import CorpusReader
from sparseir.data.dataset import Dataset, open_dataset, open_datasets, read_corpus
from sparseir.data.docstrings import write_docstring_collection
from sparseir.data.judgements import read_qrels
from sparseir.data.readers import read_queries
from sparseir.data.records import Document, Qrels, Query

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
