"""Building an index larger than memory: runs of bounded size are inverted and spilled, then merged in the final order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.config import BuildOptions, IndexConfig
from indexer.documents import Documents
from indexer.format import files
from indexer.format.layout import LAYOUT_RULES
from indexer.format.manifest import SegmentEntry
from indexer.format.segment import SegmentFile
from indexer.inversion.invert import TABLE_TERMS
from indexer.inversion.prune import pruned
from indexer.inversion.reorder import (
    BUDGET_WIDTH,
    ForwardRows,
    count_slots,
    fill_forward,
    inverse_frequency,
    order_rows,
    wanted_order,
)
from indexer.inversion.segment_write import Built, SegmentPlan, write_documents
from indexer.inversion.weights import WeightTally
from indexer.merge.postings import MergeShape, MergeSource
from indexer.merge.segment_merge import write_merged
from indexer.merge.spools import SectionSpools
from indexer.soundness import check_sections

BYTES_PER_POSTING = 28
"""Working memory of a run: the batches and their concatenation (16 bytes a posting) and what inversion makes of them."""

_SMALLEST_RUN = 1 << 12
_WIDE_VOCABULARY = "documents keep their input order: the vocabulary is too large to cluster within a memory budget"


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamPlan:
    """How a streamed build works.

    Parameters
    ----------
    folder, number : where runs go, and the number in their names.
    config : of the index.
    options : of the build; memory_budget is the bytes to work in.
    """

    folder: Path
    number: int
    config: IndexConfig
    options: BuildOptions


class RunSpiller:
    """Collects documents and spills them as runs: segments in input order that carry their float weights.

    Attributes
    ----------
    num_docs, num_terms : of all documents so far.
    tally : of their weights.
    """

    def __init__(self, plan: StreamPlan) -> None:
        self._plan = plan
        self._limit = max(_SMALLEST_RUN, plan.options.memory_budget // BYTES_PER_POSTING)
        self._pending: list[Documents] = []
        self._postings = 0
        self._idf: NDArray[np.float32] | None = None
        self._forward: SectionSpools | None = None
        self.entries: list[SegmentEntry] = []
        self.num_docs, self.num_terms = 0, 1
        self.tally = WeightTally(plan.config.stored_weights)
        self.orders = wanted_order(plan.config.order, 1 << 31)[0] != "input"

    def add(self, documents: Documents) -> None:
        """Take a batch; a run is spilled before memory would run out."""
        documents = pruned(documents, self._plan.config, self.tally)
        vectors = documents.vectors
        self.num_terms = max(self.num_terms, vectors.num_terms)
        row = 0
        while row < len(documents):
            room = self._limit - self._postings
            end = int(np.searchsorted(vectors.indptr, vectors.indptr[row] + room, side="right")) - 1
            end = min(len(documents), max(end, row + 1 if self._postings == 0 else row))
            if end > row:
                self._pending.append(documents.slice(row, end))
                self._postings += int(vectors.indptr[end] - vectors.indptr[row])
            if end < len(documents):
                self.spill()
            row = end

    def spill(self) -> None:
        """Write what is pending as one run."""
        if not self._pending:
            return
        documents = Documents.concatenate(self._pending)
        self._pending, self._postings = [], 0
        plan = self._plan
        scaled = plan.config.doc_scale > 0
        path = plan.folder / f"{plan.number:06d}.run{len(self.entries):04d}"
        weighed = not scaled or plan.config.prune_postings or plan.config.stored_weights != "none"
        keep = "f32" if weighed else "none"
        segment_plan = SegmentPlan(
            scale=plan.config.doc_scale or 1.0,
            ordinal_base=plan.options.first_ordinal + self.num_docs,
            config=replace(plan.config, stored_weights=keep),
            options=BuildOptions(num_threads=plan.options.num_threads),
            final=False,
        )
        self.entries.append(write_documents(path, documents, segment_plan))
        self._spool_forward(documents)
        self.num_docs += len(documents)
        plan.options.progress("spilling runs", self.num_docs, None)

    def _spool_forward(self, documents: Documents) -> None:
        vectors = documents.vectors
        if self.num_terms > TABLE_TERMS:
            self.orders = False
        if not self.orders:
            return
        if self._forward is None:
            self._forward = SectionSpools(self._plan.folder, self._plan.number)
            df = count_slots(vectors.term_ids, vectors.num_terms)
            self._idf = inverse_frequency(df, len(vectors))
        assert self._idf is not None
        if len(self._idf) < self.num_terms:  # terms first seen after the first run are rare
            rare = np.full(self.num_terms - len(self._idf), self._idf.max(), np.float32)
            self._idf = np.concatenate([self._idf, rare])
        rows = ForwardRows.allocate(len(vectors), TABLE_TERMS, BUDGET_WIDTH)
        fill_forward(rows, 0, vectors, vectors.term_ids, self._idf, self._plan.options.num_threads)
        narrow = rows.slots.astype(np.uint16) if self.num_terms <= 65536 else rows.slots
        self._forward.append(f"forward{narrow.itemsize}", narrow)
        self._forward.append("levels", rows.weights)

    def order(self) -> tuple[NDArray[np.uint32] | None, tuple[str, ...]]:
        """(row of each doc_id, or None for the input order; notes). Reads the spooled rows through the page cache."""
        kind, notes = wanted_order(self._plan.config.order, self.num_docs)
        if kind == "input":
            return None, notes
        if self._forward is None or not self.orders:
            return None, (_WIDE_VOCABULARY,)
        self._plan.options.progress("ordering", 0, None)
        weights = self._forward.map("levels", np.dtype(np.uint8)).reshape(-1, BUDGET_WIDTH)
        parts = [self._forward.map(f"forward{size}", np.dtype(f"<u{size}")) for size in (2, 4)]
        if len(parts[0]) and len(parts[1]):  # the vocabulary outgrew 16 bits on the way
            slots = np.concatenate([parts[0].astype(np.uint32), parts[1]])
        else:
            slots = parts[0] if len(parts[0]) else parts[1]
        rows = ForwardRows(slots.reshape(-1, BUDGET_WIDTH), weights, self.num_terms)
        return order_rows(rows, kind, self._plan.options.num_threads), notes

    def close(self) -> None:
        if self._forward is not None:
            self._forward.close()


def build_streamed(batches: Iterable[Documents], plan: StreamPlan) -> Built:
    """Build one segment from batches of documents within a memory budget."""
    spiller = RunSpiller(plan)
    try:
        for documents in batches:
            spiller.add(documents)
        spiller.spill()
        stored = spiller.tally.finish()
        order, notes = spiller.order()
    finally:
        spiller.close()
    scale = plan.config.doc_scale or spiller.tally.scale
    if not spiller.num_docs:
        return Built((), 0, spiller.num_terms, scale, notes)
    entry = _merge_runs(spiller, order, scale, plan)
    notes += (*stored, *spiller.tally.cut_notes(entry, scale))
    return Built((entry,), spiller.num_docs, spiller.num_terms, scale, notes)


def _merge_runs(
    spiller: RunSpiller, order: NDArray[np.uint32] | None, scale: float | None, plan: StreamPlan
) -> SegmentEntry:
    doc_ids = np.arange(spiller.num_docs, dtype=np.uint32)
    if order is not None:
        doc_ids[order] = np.arange(spiller.num_docs, dtype=np.uint32)
    sources, at = [], 0
    for entry in spiller.entries:
        segment = SegmentFile(plan.folder / entry.file)
        check_sections(segment)  # a run was on disk, and its bytes go into the index
        sources.append(MergeSource(segment, doc_ids[at : at + entry.num_docs]))
        at += entry.num_docs
    # Impacts that are final in the runs travel as they are, unless weights must be compared with each other first.
    travelling = bool(plan.config.doc_scale) and not plan.config.prune_postings
    shape = MergeShape(
        num_docs=spiller.num_docs,
        scale=0.0 if travelling else scale or 0.0,
        stored_weights=plan.config.stored_weights,
        options=plan.options,
        memory=plan.options.memory_budget,
        rules=LAYOUT_RULES[plan.config.layout],
        cap=plan.config.prune_postings,
    )
    entry = write_merged(plan.folder, sources, shape)
    for run in spiller.entries:
        files.discard(plan.folder / run.file)
    clipped = sum(run.num_clipped for run in spiller.entries) if travelling else entry.num_clipped
    return replace(entry, num_clipped=clipped)
