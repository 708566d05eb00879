"""Writing sparse vectors in the formats `open_vectors` reads."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np

from indexer.documents import Documents, read_documents
from indexer.errors import DataError
from indexer.format.partial import spool_folder
from indexer.interchange.ciff.writer import CiffWriter
from indexer.interchange.jsonl.writer import JsonlWriter
from indexer.interchange.matrices.writer import BigAnnWriter, CsrSpool, NpzWriter
from indexer.interchange.output import replacing
from indexer.interchange.sources import format_of
from indexer.interchange.vocabulary import Vocabulary
from indexer.vectors import SparseVectors

LARGEST_STEP = (1 << 24) - 1
"""The largest whole number written when weights are scaled: float32 holds every integer up to here."""


class _Writer(Protocol):
    def add(self, batch: Documents, docnos: list[str]) -> None: ...

    def finish(self, path: Path) -> None: ...


@dataclass(frozen=True, slots=True)
class Written:
    """What was written to a file.

    Parameters
    ----------
    num_rows, nnz, num_terms : rows, weights, vocabulary size.
    """

    num_rows: int
    nnz: int
    num_terms: int


def write_vectors(
    path: str | Path,
    batches: Any,
    *,
    vocabulary: Vocabulary | None = None,
    scale: float | None = None,
    description: str = "",
) -> Written:
    """Write batches to a file whose ending says the format; it appears whole or not at all.

    Parameters
    ----------
    path : .jsonl, .json (either with .gz), .npz, .csr or .ciff.
    batches : a matrix, or documents in batches, of which one is held at a time. Docnos in every batch or in none (then:
        the row number, where the format needs names). Stored fields are passed over: no format holds them.
    vocabulary : strings of the terms; left out, a term is written as its id in decimal. .npz and .csr keep it beside
        the matrix.
    scale : weight of one step: weights are written as the whole numbers max(1, floor(weight / scale + ½)), as the
        impact-ordered engines of Lucene and PISA need. Left out, the weights themselves, float32 bit-equal.
    description : the header's text in CIFF.

    Raises
    ------
    DataError : an unknown ending, docnos that are missing or too many, a weight the format cannot hold (CIFF: no whole
        number and no scale).
    """
    path = Path(path)
    if scale is not None and not (np.isfinite(scale) and scale > 0):
        raise DataError(f"scale is {scale}; expected a positive number")
    with ExitStack() as stack:
        file = stack.enter_context(replacing(path))
        folder = stack.enter_context(spool_folder(path))
        writer = _writer(path, file, vocabulary, folder, description)
        rows = nnz = 0
        num_terms = 1
        named: bool | None = None
        for batch in read_documents(batches):
            if named is None:
                named = batch.docnos is not None
            docnos = _names(batch, rows, named)
            if scale is not None:
                batch = replace(batch, vectors=scaled(batch.vectors, scale, first_row=rows))
            writer.add(batch, docnos)
            rows += len(batch)
            nnz += batch.vectors.nnz
            num_terms = max(num_terms, batch.vectors.num_terms)
        writer.finish(path)
    return Written(rows, nnz, num_terms)


def _writer(path: Path, file: IO[bytes], vocabulary: Vocabulary | None, folder: Path, description: str) -> _Writer:
    kind = format_of(path)
    if kind == "jsonl":
        return JsonlWriter(file, vocabulary or Vocabulary.integers())
    if kind == "npz":
        return NpzWriter(file, vocabulary, CsrSpool(folder))
    if kind == "bigann":
        return BigAnnWriter(file, vocabulary, CsrSpool(folder))
    if kind == "ciff":
        return CiffWriter(file, vocabulary or Vocabulary.integers(), folder, description)
    raise DataError("unknown ending; expected .jsonl, .json, .npz, .csr or .ciff", path=path)


def _names(batch: Documents, first_row: int, named: bool) -> list[str]:
    if named != (batch.docnos is not None):
        raise DataError("some batches have docnos and some have none; give all or none")
    if batch.docnos is None:
        return [str(i) for i in range(first_row, first_row + len(batch))]
    return list(batch.docnos)


def scaled(vectors: SparseVectors, scale: float, *, first_row: int = 0) -> SparseVectors:
    """Weights as whole numbers of steps: max(1, floor(weight / scale + ½)), halves up, computed in float64.

    Raises
    ------
    DataError : a weight of more than 2²⁴−1 steps, which float32 could not hold exactly.
    """
    steps = np.maximum(np.floor(vectors.weights.astype(np.float64) / scale + 0.5), 1.0)
    if len(steps) and steps.max() > LARGEST_STEP:
        at = int(np.argmax(steps))
        row = first_row + int(np.searchsorted(vectors.indptr, vectors.indptr[0] + at, side="right")) - 1
        raise DataError(
            f"row {row} has the weight {vectors.weights[at]}, {steps[at]:.0f} steps of {scale}; "
            f"at most {LARGEST_STEP}: choose a larger scale"
        )
    return SparseVectors(vectors.indptr, vectors.term_ids, steps.astype(np.float32), vectors.num_terms)
