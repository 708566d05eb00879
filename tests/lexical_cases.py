"""A stand-in for an encoder, and BM25 by the book, for tests of the lexical channel."""

from __future__ import annotations

import math
from collections import Counter
from types import SimpleNamespace

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from indexer import SparseVectors
from sparseir.data.records import Document
from sparseir.models.query_table import QueryTable

WORDS = ["[UNK]", "cat", "cats", "dog", "dogs", "running", "runs", "park", "weather", "vaccine", "dose", "the"]


class TableEncoder:
    """A document's weight of a known word rises with its count, up to 5; queries weigh by a table."""

    kind, fingerprint = "inference_free", "table"
    config = SimpleNamespace(base="table")

    def __init__(self, words=WORDS, query_weights=None):
        tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
        tokenizer.pre_tokenizer = Whitespace()
        weights = np.linspace(0.5, 3.0, len(words)) if query_weights is None else query_weights
        self.words = list(words)
        self.query_table = QueryTable(tokenizer, np.array(weights, np.float32))
        self.num_terms = len(words)
        self.document_tower = SimpleNamespace(needs_rerank=False)
        self.tokenizer = SimpleNamespace(
            count_longer=lambda texts, most: sum(len(tokenizer.encode(t).ids) > most for t in texts),
            word_pieces=lambda: tokenizer,
            tokenizer=SimpleNamespace(num_special_tokens_to_add=lambda pair: 0),
        )

    def document_length(self):
        return 8

    def text_of(self, document):
        return document.content

    def terms(self):
        return self.words

    def encode_documents(self, texts, *, max_active_dims=None, dtype="native"):
        rows = [Counter(ids) for ids in self.query_table.tokenize(list(texts))]
        weights = [{term: 1.0 + min(n, 5) / 7 for term, n in row.items() if term} for row in rows]
        return SparseVectors.from_rows(weights, self.num_terms)


def documents(texts, start=0):
    return [Document(f"d{start + i}", text) for i, text in enumerate(texts)]


def factor(tf, length, average, *, k1=0.9, b=0.4):
    """What a document brings to BM25, in float64."""
    return tf / (tf + k1 * (1 - b + b * length / average))


def idf(df, num_docs):
    return math.log1p((num_docs - df + 0.5) / (df + 0.5))
