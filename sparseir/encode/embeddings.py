"""Dense embeddings made elsewhere to a file of sparse vectors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from indexer import Documents
from indexer.interchange import Vocabulary, write_vectors
from indexer.progress import Progress, silent
from sparseir.data.embeddings import Embeddings
from sparseir.encode.collection_record import Encoded
from sparseir.models.codes import DenseCodes

_PART = 1 << 14
"""Rows encoded, and held, at a time."""


def encode_embeddings(
    codes: DenseCodes,
    embeddings: Embeddings,
    output: str | Path,
    *,
    max_active_dims: int | None = None,
    progress: Progress = silent,
) -> Encoded:
    """Write one row of codes per embedding, under its name, in order.

    Parameters
    ----------
    codes : of the model whose base made the embeddings, queries' and documents' alike.
    output : .jsonl[.gz], .npz or .csr. It appears whole or not at all.
    max_active_dims : latents of a row; None for the k of training.

    Raises
    ------
    DataError : embeddings of another length, or with numbers that are not finite.
    """
    embeddings.check(codes.dimensions)
    terms = codes.terms()

    def parts() -> Iterator[Documents]:
        for start in range(0, len(embeddings.ids), _PART):
            rows = codes.encode(embeddings.rows[start : start + _PART], max_active_dims=max_active_dims)
            yield Documents(rows, list(embeddings.ids[start : start + _PART]))
            progress("encoding", start + len(rows), len(embeddings.ids))

    written = write_vectors(output, parts(), vocabulary=Vocabulary.fixed(terms, num_terms=len(terms)))
    return Encoded(written.num_rows, written.nnz)
