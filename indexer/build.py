"""Building an index: sparse vectors in, a committed folder out."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from indexer.config import IndexConfig
from indexer.format.folder import check_target, copy_query_side, field_kinds, next_number, publish
from indexer.format.lock import write_lock
from indexer.format.manifest import MANIFEST_FILE, EncoderEntry, Manifest, read_manifest
from indexer.index import Index, open_index
from indexer.inversion.documents import (
    Built,
    Documents,
    SegmentPlan,
    concatenate,
    in_memory,
    read_batches,
    write_documents,
)
from indexer.inversion.invert import number_slots
from indexer.inversion.quantize import choose_scale
from indexer.inversion.reorder import (
    ForwardRows,
    count_slots,
    fill_forward,
    inverse_frequency,
    order_rows,
    wanted_order,
)
from indexer.merge.runs import StreamPlan, build_streamed
from indexer.progress import Progress, silent
from indexer.vectors import SparseVectors
from indexer.version import __version__

BYTES_INVERTED = 5
"""Bytes a posting takes while an index is built in memory, beside the input."""


class BuildOptions(TypedDict, total=False):
    """Keywords of `build_index` that concern this one build.

    query_side : folder with the encoder's query side; copied into the index.
    encoder : the model the vectors come from: its fingerprint, or the whole entry.
    overwrite : replace an index that stands at the path; without it that is an error.
    memory_budget : bytes of working memory beyond the input; 0 sets no limit.
    num_threads : threads of the build.
    progress : called as work goes on.
    """

    query_side: str | Path | None
    encoder: EncoderEntry | str | None
    overwrite: bool
    memory_budget: int
    num_threads: int
    progress: Progress


def build_index(
    path: str | Path,
    vectors: Any,
    *,
    docnos: Iterable[str] | None = None,
    fields: Iterable[Mapping[str, Any]] | None = None,
    config: IndexConfig | None = None,
    **options: Unpack[BuildOptions],
) -> Index:
    """Build an index folder from sparse vectors, commit it and open it.

    Parameters
    ----------
    path : the folder to make; its parents must exist.
    vectors : SparseVectors, a scipy sparse matrix, or an iterable of such batches. Row i gets ordinal i.
    docnos : external name of each row; without them a document's name is its ordinal.
    fields : stored fields of each row, JSON values by name.
    config : see IndexConfig.
    options : see BuildOptions.

    Raises
    ------
    DataError : input that cannot be indexed; the row is named.
    ConfigError : the path holds something else, or an index and overwrite was not asked for.
    LockedError : another writer holds the index.
    """
    folder, chosen = Path(path), config or IndexConfig()
    check_target(folder, bool(options.get("overwrite", False)))
    folder.mkdir(exist_ok=True)
    with write_lock(folder):
        generation, number = 1, next_number(folder)
        if (folder / MANIFEST_FILE).exists():
            generation = read_manifest(folder).generation + 1
        plan = StreamPlan(
            folder=folder,
            number=number,
            config=chosen,
            memory=options.get("memory_budget", 0),
            num_threads=options.get("num_threads", 1),
            progress=options.get("progress", silent),
        )
        built = _built(read_batches(vectors, docnos, fields), in_memory(vectors), plan)
        manifest = Manifest(
            generation=generation,
            num_terms=built.num_terms,
            doc_scale=built.scale,
            next_ordinal=built.num_docs,
            segments=built.segments,
            encoder=_encoder_entry(options.get("encoder")),
            query_side=copy_query_side(folder, options.get("query_side"), number),
            fields=field_kinds(folder, built.segments),
            config=chosen.as_dict(),
            created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            sparseir_version=__version__,
        )
        publish(folder, manifest)
    absent = [name for name in chosen.metadata if name not in manifest.fields] if built.num_docs else []
    notes = tuple(f"no document has the field {name!r}; searches cannot filter by it" for name in absent)
    return open_index(folder, notes=built.notes + notes)


def _built(batches: Iterator[Documents], whole: bool, plan: StreamPlan) -> Built:
    """The new segment: in memory where no budget forbids it, otherwise from spilled runs."""
    if plan.memory and not whole:
        return build_streamed(batches, plan)
    documents = concatenate(list(batches)).pruned(plan.config)
    if plan.memory and documents.vectors.nnz * BYTES_INVERTED > plan.memory:
        return build_streamed([documents], plan)
    scale = plan.config.doc_scale or choose_scale(documents.vectors.weights)
    if not len(documents):
        return Built((), 0, documents.vectors.num_terms, scale, ())
    order, notes = order_documents(documents.vectors, plan.config.order, plan.num_threads, plan.progress)
    segment_plan = SegmentPlan(
        scale=scale or 1.0,
        ordinal_base=0,
        order=order,
        config=plan.config,
        num_threads=plan.num_threads,
        progress=plan.progress,
    )
    entry = write_documents(plan.folder / f"{plan.number:06d}.seg", documents, segment_plan)
    return Built((entry,), len(documents), documents.vectors.num_terms, scale, notes)


def order_documents(
    vectors: SparseVectors, order: str, threads: int, progress: Progress
) -> tuple[NDArray[np.uint32] | None, tuple[str, ...]]:
    """(row of each doc_id, or None for the input order; notes for a person)."""
    kind, notes = wanted_order(order, len(vectors))
    if kind == "input" or len(vectors) < 2:
        return None, notes
    progress("ordering", 0, None)
    slots, _, num_slots = number_slots(vectors)
    rows = ForwardRows.allocate(len(vectors), num_slots)
    idf = inverse_frequency(count_slots(slots, num_slots), len(vectors))
    fill_forward(rows, 0, vectors, slots, idf, threads)
    return order_rows(rows, kind, threads), notes


def _encoder_entry(encoder: EncoderEntry | str | None) -> EncoderEntry | None:
    return EncoderEntry(fingerprint=encoder) if isinstance(encoder, str) else encoder
