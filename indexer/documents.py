"""A batch of documents on its way into a segment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.config import IndexConfig
from indexer.errors import DataError
from indexer.invert import Postings, invert
from indexer.manifest import SegmentEntry
from indexer.names import name_sections
from indexer.progress import Progress, silent
from indexer.segment import DTYPES, MAX_DOCS, Payload, SegmentHeader, SegmentWriter
from indexer.stored import field_sections, metadata_section
from indexer.tables import BLOCK_SHIFT, TermTables, describe
from indexer.vectors import SparseVectors


@dataclass(frozen=True, slots=True, eq=False)
class Documents:
    """Checked rows with what travels beside them, in input order.

    Parameters
    ----------
    vectors : one row a document.
    docnos : names, or None to call each document by its ordinal.
    fields : stored fields, or None.
    """

    vectors: SparseVectors
    docnos: Sequence[str] | None = None
    fields: Sequence[Mapping[str, Any]] | None = None

    def __len__(self) -> int:
        return len(self.vectors)


def as_vectors(vectors: Any, source: str = "vectors") -> SparseVectors:
    """Checked rows from SparseVectors, a scipy sparse matrix, or an iterable of either.

    Raises
    ------
    DataError : see SparseVectors.from_arrays; row numbers count within the batch.
    """
    if isinstance(vectors, SparseVectors):
        # A plainly constructed one is trusted nowhere: what it holds decides where the C library writes.
        return SparseVectors.from_arrays(
            vectors.indptr, vectors.term_ids, vectors.weights, vectors.num_terms, source=source
        )
    if hasattr(vectors, "tocsr"):
        return SparseVectors.from_scipy(vectors, source=source)
    if isinstance(vectors, Iterable):
        parts = [as_vectors(batch, f"{source}, batch {i}") for i, batch in enumerate(vectors)]
        return SparseVectors.concatenate(parts) if parts else SparseVectors.empty(0, 1)
    raise DataError(
        f"{source}: expected SparseVectors, a scipy sparse matrix or batches of them, not {type(vectors).__name__}"
    )


def gather(vectors: Any, docnos: Iterable[str] | None, fields: Iterable[Mapping[str, Any]] | None) -> Documents:
    """Documents from what a caller passes; lengths must agree."""
    rows = as_vectors(vectors)
    names = None if docnos is None else list(docnos)
    stored = None if fields is None else list(fields)
    for what, have in (("docnos", names), ("fields", stored)):
        if have is not None and len(have) != len(rows):
            raise DataError(f"{len(rows)} rows of vectors beside {len(have)} {what}; expected one each")
    if len(rows) > MAX_DOCS:
        raise DataError(
            f"{len(rows)} documents in one segment; at most {MAX_DOCS}: build from several batches with add"
        )
    return Documents(rows, names, stored)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SegmentPlan:
    """How documents become a segment.

    Parameters
    ----------
    scale : doc_scale.
    ordinal_base : ordinal of the first document.
    order : row of each doc_id, or None for the input order.
    config : of the index.
    num_threads, progress : as for a build.
    """

    scale: float
    ordinal_base: int
    order: NDArray[np.uint32] | None = None
    config: IndexConfig
    num_threads: int = 1
    progress: Progress = silent


def write_documents(path: Path, documents: Documents, plan: SegmentPlan) -> SegmentEntry:
    """Write one segment file from documents, durably (the folder's entry is the caller's to sync)."""
    keep = plan.config.stored_weights != "none"
    plan.progress("inverting", 0, None)
    postings = invert(documents.vectors, plan.scale, order=plan.order, keep_weights=keep, num_threads=plan.num_threads)
    plan.progress("summarising", 0, None)
    sections: dict[str, Payload] = {**posting_sections(postings, describe(postings, plan.num_threads))}
    if keep:
        weights = postings.weights
        assert weights is not None
        sections["FWGT"] = weights.astype("<f2") if plan.config.stored_weights == "f16" else weights
    sections |= document_sections(documents, plan.order, plan.config.metadata)
    header = SegmentHeader(
        num_docs=len(documents),
        num_terms=len(postings.term_ids),
        num_postings=len(postings.impacts),
        ordinal_base=plan.ordinal_base,
    )
    return write_sections(path, header, sections, num_clipped=postings.num_clipped, progress=plan.progress)


def posting_sections(postings: Postings, tables: TermTables) -> dict[str, NDArray[Any]]:
    """Sections of the inverted part."""
    return {
        "TERM": postings.term_ids,
        "TREC": tables.trec,
        "DOCS": postings.docs,
        "IMPA": postings.impacts,
        "CELL": tables.cell,
        "WNID": tables.wnid,
        "WNST": tables.wnst,
        "LADD": tables.ladd,
        "BMAX": tables.bmax,
        "BLEV": tables.blev,
        "SMAX": tables.smax,
        "BITS": tables.bits,
    }


def document_sections(
    documents: Documents, order: NDArray[np.uint32] | None, metadata: Sequence[str]
) -> dict[str, Payload]:
    """Sections of ordinals, names, stored fields and metadata."""
    sections: dict[str, Payload] = {}
    if order is not None:
        sections["ORDN"] = order
        sections["BORD"] = np.minimum.reduceat(order, np.arange(0, len(order), 1 << BLOCK_SHIFT)).astype(np.uint32)
    if documents.docnos is not None:
        sections |= name_sections(documents.docnos, order)
    if documents.fields is not None:
        rows = documents.fields
        by_doc_id = rows if order is None else [rows[i] for i in order.tolist()]
        sections |= field_sections(by_doc_id)
        sections |= metadata_section(by_doc_id, metadata)
    return sections


def write_sections(
    path: Path, header: SegmentHeader, sections: Mapping[str, Payload], *, num_clipped: int, progress: Progress
) -> SegmentEntry:
    """Write a finished segment; empty sections are left out unless their size says so much."""
    writer = SegmentWriter(path, len(sections))
    try:
        for done, name in enumerate(n for n in DTYPES if n in sections):
            progress("writing", done, len(sections))
            writer.add(name, sections[name])
        size, crc = writer.finish(header)
    finally:
        writer.close()
    progress("writing", len(sections), len(sections))
    return SegmentEntry(
        file=path.name,
        bytes=size,
        header_crc32=crc,
        num_docs=header.num_docs,
        num_postings=header.num_postings,
        num_clipped=num_clipped,
    )
