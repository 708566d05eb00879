"""A batch of documents on its way into a segment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.config import IndexConfig
from indexer.errors import DataError
from indexer.format.layout import BLOCK_SHIFT, LAYOUT_RULES, STANDARD, LayoutRules
from indexer.format.manifest import SegmentEntry
from indexer.format.names import name_sections
from indexer.format.segment import DTYPES, MAX_DOCS, Payload, SegmentHeader, SegmentWriter
from indexer.format.stored import field_sections, metadata_section
from indexer.interchange.batches import VectorBatch
from indexer.inversion.invert import Postings, invert
from indexer.inversion.prune import prune
from indexer.inversion.tables import TermTables, describe
from indexer.progress import Progress, silent
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

    def pruned(self, config: IndexConfig) -> Documents:
        """The same documents with their vectors cut as the config says."""
        return replace(self, vectors=prune(self.vectors, config))

    def slice(self, start: int, stop: int) -> Documents:
        """Documents start..stop."""
        names = None if self.docnos is None else self.docnos[start:stop]
        fields = None if self.fields is None else self.fields[start:stop]
        return Documents(self.vectors.slice(start, stop), names, fields)


def as_vectors(vectors: Any, source: str = "vectors") -> SparseVectors:
    """Checked rows from SparseVectors or a scipy sparse matrix.

    Raises
    ------
    DataError : see SparseVectors.from_arrays.
    """
    if isinstance(vectors, SparseVectors):
        # A plainly constructed one is trusted nowhere: what it holds decides where the C library writes.
        return SparseVectors.from_arrays(
            vectors.indptr, vectors.term_ids, vectors.weights, vectors.num_terms, source=source
        )
    if hasattr(vectors, "tocsr"):
        return SparseVectors.from_scipy(vectors, source=source)
    raise DataError(f"{source}: expected SparseVectors or a scipy sparse matrix, not {type(vectors).__name__}")


def in_memory(vectors: Any) -> bool:
    """Whether the input is one matrix rather than batches."""
    return isinstance(vectors, SparseVectors) or hasattr(vectors, "tocsr")


def read_batches(
    vectors: Any, docnos: Iterable[str] | None, fields: Iterable[Mapping[str, Any]] | None
) -> Iterator[Documents]:
    """Checked documents from what a caller passes: one matrix, or batches of matrices or of VectorBatch.

    Raises
    ------
    DataError : vectors that cannot be indexed; names or fields that are not one a row; both ways of naming.
    """
    names = None if docnos is None else iter(docnos)
    stored = None if fields is None else iter(fields)
    if not in_memory(vectors) and not isinstance(vectors, Iterable):
        raise DataError(f"vectors: expected a matrix or batches of matrices, not {type(vectors).__name__}")
    batches = [vectors] if in_memory(vectors) else vectors
    rows = 0
    for number, batch in enumerate(batches):
        source = "vectors" if in_memory(vectors) else f"vectors, batch {number}"
        named = batch.docnos if isinstance(batch, VectorBatch) else None
        checked = as_vectors(batch.vectors if isinstance(batch, VectorBatch) else batch, source)
        if named is not None and names is not None:
            raise DataError("the batches carry docnos already; pass none beside them")
        own = named if names is None else _take(names, len(checked), "docnos", rows)
        yield Documents(checked, own, None if stored is None else _take(stored, len(checked), "fields", rows))
        rows += len(checked)
    for what, rest in (("docnos", names), ("fields", stored)):
        if rest is not None and next(rest, None) is not None:
            raise DataError(f"{rows} rows of vectors beside more {what}; expected one each")


def _take(values: Iterator[Any], count: int, what: str, rows: int) -> list[Any]:
    taken = list(islice(values, count))
    if len(taken) < count:
        raise DataError(f"{rows + count} or more rows of vectors beside {rows + len(taken)} {what}; expected one each")
    return taken


def concatenate(parts: Sequence[Documents]) -> Documents:
    """All documents of some batches; either every batch has names (fields) or none.

    Raises
    ------
    DataError
    """
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return Documents(SparseVectors.empty(0, 1))
    named, stored = {p.docnos is not None for p in parts}, {p.fields is not None for p in parts}
    if len(named) > 1 or len(stored) > 1:
        raise DataError("some batches have docnos (or fields) and some have none; expected all or none")
    return Documents(
        SparseVectors.concatenate([p.vectors for p in parts]),
        [name for p in parts for name in p.docnos or ()] if True in named else None,
        [row for p in parts for row in p.fields or ()] if True in stored else None,
    )


def gather(vectors: Any, docnos: Iterable[str] | None, fields: Iterable[Mapping[str, Any]] | None) -> Documents:
    """All documents of the input at once."""
    documents = concatenate(list(read_batches(vectors, docnos, fields)))
    if len(documents) > MAX_DOCS:
        raise DataError(
            f"{len(documents)} documents in one segment; at most {MAX_DOCS}: build from several parts with add"
        )
    return documents


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
    final : False for a run that will be merged: it needs neither bounds nor to outlive a crash.
    """

    scale: float
    ordinal_base: int
    order: NDArray[np.uint32] | None = None
    config: IndexConfig
    num_threads: int = 1
    progress: Progress = silent
    final: bool = True


@dataclass(frozen=True, slots=True)
class Built:
    """What a build made of its input.

    Parameters
    ----------
    segments : their entries, files durable.
    num_docs, num_terms : of the input.
    scale : doc_scale, None where no weight was seen.
    notes : sentences for a person.
    """

    segments: tuple[SegmentEntry, ...]
    num_docs: int
    num_terms: int
    scale: float | None
    notes: tuple[str, ...]


def write_documents(path: Path, documents: Documents, plan: SegmentPlan) -> SegmentEntry:
    """Write one segment file from documents, durably (the folder's entry is the caller's to sync)."""
    keep = plan.config.stored_weights != "none"
    plan.progress("inverting", 0, None)
    postings = invert(documents.vectors, plan.scale, order=plan.order, keep_weights=keep, num_threads=plan.num_threads)
    plan.progress("summarising", 0, None)
    rules = LAYOUT_RULES[plan.config.layout] if plan.final else STANDARD
    tables = describe(postings, plan.num_threads, bounds=plan.final, rules=rules)
    sections: dict[str, Payload] = {**posting_sections(postings, tables, rules)}
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
        flags=rules.flags,
    )
    return write_sections(path, header, sections, num_clipped=postings.num_clipped, plan=plan)


def posting_sections(postings: Postings, tables: TermTables, rules: LayoutRules) -> dict[str, NDArray[Any]]:
    """Sections of the inverted part in one of the layouts."""
    sections = {
        "TERM": postings.term_ids,
        "TREC": tables.trec,
        "IMPA": postings.impacts,
        "CELL": tables.cell,
        "WNID": tables.wnid,
        "WNST": tables.wnst,
        "LADD": tables.ladd,
        "SMAX": tables.smax,
        "BITS": tables.bits,
    }
    sections |= {"DOCO": tables.doco, "DOCB": tables.docb} if rules.packed else {"DOCS": postings.docs}
    return sections | ({"BMAX": tables.bmax, "BLEV": tables.blev} if rules.has_blocks else {})


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
    path: Path, header: SegmentHeader, sections: Mapping[str, Payload], *, num_clipped: int, plan: SegmentPlan
) -> SegmentEntry:
    """Write a finished segment; empty sections are left out unless their size says so much."""
    writer = SegmentWriter(path, len(sections))
    try:
        for done, name in enumerate(n for n in DTYPES if n in sections):
            plan.progress("writing", done, len(sections))
            writer.add(name, sections[name])
        size, crc = writer.finish(header, durable=plan.final)
    finally:
        writer.close()
    plan.progress("writing", len(sections), len(sections))
    return SegmentEntry(
        file=path.name,
        bytes=size,
        header_crc32=crc,
        num_docs=header.num_docs,
        num_postings=header.num_postings,
        num_clipped=num_clipped,
    )
