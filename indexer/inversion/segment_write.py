"""From a batch of documents to a segment file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.config import IndexConfig, WriteOptions
from indexer.documents import Documents
from indexer.format.layout import BLOCK_SHIFT, LAYOUT_RULES, STANDARD, LayoutRules
from indexer.format.manifest import SegmentEntry
from indexer.format.names import name_sections
from indexer.format.segment import DTYPES, Payload, SegmentHeader
from indexer.format.segment_writer import write_segment
from indexer.format.stored import field_sections, metadata_section
from indexer.inversion.invert import Postings, invert
from indexer.inversion.tables import TermTables, describe
from indexer.inversion.weights import as_stored


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SegmentPlan:
    """How documents become a segment.

    Parameters
    ----------
    scale : doc_scale.
    ordinal_base : ordinal of the first document.
    order : row of each doc_id, or None for the input order.
    config : of the index.
    options : threads and progress.
    final : False for a run that will be merged: it needs neither bounds nor to outlive a crash.
    """

    scale: float
    ordinal_base: int
    order: NDArray[np.uint32] | None = None
    config: IndexConfig
    options: WriteOptions
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
    config, threads, progress = plan.config, plan.options.num_threads, plan.options.progress
    keep = config.stored_weights != "none"
    progress("inverting", 0, None)
    postings = invert(documents.vectors, plan.scale, order=plan.order, keep_weights=keep, num_threads=threads)
    progress("summarising", 0, None)
    rules = LAYOUT_RULES[config.layout] if plan.final else STANDARD
    tables = describe(postings, threads, bounds=plan.final, rules=rules)
    sections: dict[str, Payload] = {**posting_sections(postings, tables, rules, config.stored_weights)}
    sections |= ordinal_sections(plan.order) | _document_sections(documents, plan.order, config.metadata)
    header = SegmentHeader(
        num_docs=len(documents),
        num_terms=len(postings.term_ids),
        num_postings=len(postings.impacts),
        ordinal_base=plan.ordinal_base,
        flags=rules.flags,
    )
    in_order = {name: sections[name] for name in DTYPES if name in sections}
    entry = write_segment(path, len(documents), in_order, lambda: header, durable=plan.final, progress=progress)
    return replace(entry, num_clipped=postings.num_clipped)


def posting_names(rules: LayoutRules, stored_weights: str) -> tuple[str, ...]:
    """Sections of the inverted part in a layout."""
    docs = ("DOCO", "DOCB") if rules.packed else ("DOCS",)
    blocks = ("BMAX", "BLEV") if rules.has_blocks else ()
    weights = () if stored_weights == "none" else ("FWGT",)
    return ("TERM", "TREC", "IMPA", "CELL", "WNID", "WNST", "LADD", "SMAX", "BITS", *docs, *blocks, *weights)


def posting_sections(
    postings: Postings, tables: TermTables, rules: LayoutRules, stored_weights: str = "none"
) -> dict[str, NDArray[Any]]:
    """The inverted part in a layout, with the weights themselves as the config stores them."""
    arrays = {name.upper(): getattr(tables, name) for name in TermTables.__slots__}
    arrays |= {"TERM": postings.term_ids, "DOCS": postings.docs, "IMPA": postings.impacts}
    if postings.weights is not None:
        arrays["FWGT"] = as_stored(postings.weights, stored_weights)
    return {name: arrays[name] for name in posting_names(rules, stored_weights)}


def ordinal_sections(relative: NDArray[np.uint32] | None) -> dict[str, NDArray[np.uint32]]:
    """ORDN and BORD of documents by doc_id, counted from the segment's base; neither where they count up as doc_ids do."""
    if relative is None:
        return {}
    first = np.arange(0, len(relative), 1 << BLOCK_SHIFT)
    return {"ORDN": relative, "BORD": np.minimum.reduceat(relative, first).astype(np.uint32)}


def relative_ordinals(ordinals: NDArray[np.int64]) -> tuple[int, NDArray[np.uint32] | None]:
    """(smallest ordinal, 0 without any; the distance of each from it, None where they count up as doc_ids do)."""
    base = int(ordinals.min()) if len(ordinals) else 0
    relative = (ordinals - base).astype(np.uint32)
    return base, None if np.array_equal(relative, np.arange(len(relative))) else relative


def _document_sections(
    documents: Documents, order: NDArray[np.uint32] | None, metadata: Sequence[str]
) -> dict[str, Payload]:
    """Names, stored fields and metadata."""
    sections: dict[str, Payload] = {}
    if documents.docnos is not None:
        sections |= name_sections(documents.docnos, order)
    if documents.fields is not None:
        rows = documents.fields
        by_doc_id = rows if order is None else [rows[i] for i in order.tolist()]
        sections |= field_sections(by_doc_id)
        sections |= metadata_section(by_doc_id, metadata)
    return sections
