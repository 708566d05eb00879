"""Documents on their way through the encoder."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from indexer import Documents, SparseVectors
from indexer.progress import Progress
from sparseir.data.records import Document
from sparseir.encode.kept_parts import KeptParts
from sparseir.encode.lengths import CutCount
from sparseir.encode.token_vectors import StoredTokens
from sparseir.models.query_table import QueryTable, idf_weights

if TYPE_CHECKING:
    from sparseir.models.encoder import SparseEncoder
from sparseir.encode.options import IndexingOptions


def stored_fields(document: Document) -> dict[str, Any]:
    """What an index keeps of a document, to show with its hits and to filter by."""
    fields: dict[str, Any] = dict(document.fields)
    if document.title:
        fields["title"] = document.title
    fields["text"] = document.text
    return fields


class IdfCount:
    """Document frequencies by presence of a query table's tokens in the texts, or of terms in the vectors.

    Parameters
    ----------
    table : what texts are tokenised by. folder : where the table is written, with idf in the place of its weights.
    weighed : count the terms that documents got a weight for, and the documents that got any: DeepCT's authors index nothing
        but the words that got a frequency.
    """

    def __init__(self, table: QueryTable, folder: Path, *, weighed: bool = False) -> None:
        self._table, self._folder, self._weighed = table, folder, weighed
        self._counts = np.zeros(table.num_terms, np.int64)
        self._num_docs = 0

    def add(self, texts: list[str], vectors: SparseVectors) -> None:
        """The next documents, and what they were encoded to."""
        if self._weighed:
            self._counts += np.bincount(vectors.term_ids, minlength=len(self._counts))
            self._num_docs += int(np.count_nonzero(np.diff(vectors.indptr)))
            return
        for ids in self._table.tokenize(texts):
            self._counts[np.unique(np.asarray(ids, np.int64))] += 1
        self._num_docs += len(texts)

    def write(self) -> None:
        """Save the table."""
        QueryTable(self._table.tokenizer, idf_weights(self._counts, self._num_docs)).save(self._folder)


class EncodedStream:
    """Documents on their way through the encoder, counted."""

    def __init__(
        self,
        encoder: SparseEncoder | None,
        documents: Iterable[Document],
        options: IndexingOptions,
        progress: Progress,
        parts: KeptParts | None = None,
        tokens: StoredTokens | None = None,
    ) -> None:
        self.seconds = 0.0
        self._rows = 0
        self.idf: IdfCount | None = None
        self._encoder = encoder
        self.cut = None if encoder is None else CutCount(encoder)
        self._documents = iter(documents)
        self._options = options
        self._progress = progress
        self._parts, self._tokens = parts, tokens

    def __iter__(self) -> Iterator[Documents]:
        while batch := list(islice(self._documents, self._options.batch)):
            start = time.perf_counter()
            texts = [d.content if self._encoder is None else self._encoder.text_of(d) for d in batch]
            vectors = self._encode([d.docno for d in batch], texts)
            self.seconds += time.perf_counter() - start
            if self.idf is not None:
                self.idf.add(texts, vectors)
            self._rows += len(batch)
            self._progress("encoding documents", self._rows, None)
            yield Documents(vectors, [d.docno for d in batch], [stored_fields(d) for d in batch])
        if self.idf is not None:
            self.idf.write()
        if self._tokens is not None:
            self._tokens.join()

    def _encode(self, docnos: list[str], texts: list[str]) -> SparseVectors:
        encoder, options = self._encoder, self._options
        if encoder is None:
            return SparseVectors.empty(len(texts), 1)
        assert self.cut is not None
        self.cut.add(texts)

        def encode() -> SparseVectors:
            if self._tokens is not None:
                return self._tokens.encode(texts, options.dtype)
            return encoder.encode_documents(texts, max_active_dims=options.max_active_dims, dtype=options.dtype)

        if self._tokens is not None:
            self._tokens.next(docnos, texts)
        return encode() if self._parts is None else self._parts.vectors(docnos, texts, encoder.num_terms, encode)
