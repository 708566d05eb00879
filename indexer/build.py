"""Building an index: sparse vectors in, a committed folder out."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from indexer.config import BuildOptions, IndexConfig
from indexer.documents import Documents, is_whole, read_documents
from indexer.errors import IndexFormatError
from indexer.format.folder import (
    check_target,
    copy_query_side,
    field_kinds,
    make_index_folder,
    next_number,
    publish,
    writing,
)
from indexer.format.manifest import MANIFEST_FILE, EncoderEntry, Manifest, read_manifest
from indexer.index import Index
from indexer.inversion.prune import pruned
from indexer.inversion.reorder import order_documents
from indexer.inversion.segment_write import Built, SegmentPlan, write_documents
from indexer.inversion.weights import WeightTally
from indexer.merge.runs import StreamPlan, build_streamed
from indexer.opening import open_index
from indexer.version import __version__

BYTES_INVERTED = 5
"""Bytes a posting takes while an index is built in memory, beside the input."""


def build_index(
    path: str | Path,
    vectors: Any,
    *,
    docnos: Iterable[str] | None = None,
    fields: Iterable[Mapping[str, Any]] | None = None,
    config: IndexConfig | None = None,
    **options: Any,
) -> Index:
    """Build an index folder from sparse vectors, commit it and open it.

    Parameters
    ----------
    path : the folder to make, with those above it.
    vectors : one matrix (SparseVectors or a scipy sparse one), Documents, or batches of them. Row i gets ordinal i.
    docnos : external name of each row of a matrix; without them a document's name is its ordinal.
    fields : stored fields of each row of a matrix, JSON values by name. Batches of Documents bring names and fields.
    config : see IndexConfig.
    options : see BuildOptions.

    Raises
    ------
    TypeError : an option that BuildOptions does not have.
    DataError : input that cannot be indexed; the row is named.
    ConfigError : the path holds something else, or an index and overwrite was not asked for.
    LockedError : another writer holds the index.
    """
    chosen, folder, config = BuildOptions.of("build_index", options), Path(path), config or IndexConfig()
    check_target(folder, chosen.overwrite)
    make_index_folder(folder)
    with writing(folder):
        generation, number = 1, next_number(folder)
        if (folder / MANIFEST_FILE).exists():
            generation = _next_generation(folder)
        plan = StreamPlan(folder=folder, number=number, config=config, options=chosen)
        built = _built(read_documents(vectors, docnos, fields), is_whole(vectors), plan)
        manifest = Manifest(
            generation=generation,
            num_terms=built.num_terms,
            doc_scale=built.scale,
            next_ordinal=chosen.first_ordinal + built.num_docs,
            segments=built.segments,
            encoder=_encoder_entry(chosen.encoder),
            query_side=copy_query_side(folder, chosen.query_side, number),
            fields=field_kinds(folder, built.segments),
            config=config.as_dict(),
            source=chosen.source,
            shard=chosen.shard,
            created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            sparseir_version=__version__,
        )
        publish(folder, manifest)
    absent = [name for name in config.metadata if name not in manifest.fields] if built.num_docs else []
    notes = tuple(f"no document has the field {name!r}; searches cannot filter by it" for name in absent)
    return open_index(folder, notes=built.notes + notes)


def _next_generation(folder: Path) -> int:
    """One more than that of the index that is replaced; where it cannot be read, a number no index has counted to."""
    try:
        return read_manifest(folder).generation + 1
    except IndexFormatError:
        return int(time.time())


def _built(batches: Iterator[Documents], whole: bool, plan: StreamPlan) -> Built:
    """The new segment: made in memory without a budget, otherwise from runs spilled to disk."""
    config, memory = plan.config, plan.options.memory_budget
    if memory and not whole:
        return build_streamed(batches, plan)
    documents, tally = Documents.concatenate(list(batches)), WeightTally(config.stored_weights)
    if memory and documents.vectors.nnz * BYTES_INVERTED > memory:
        return build_streamed([documents], plan)
    documents = pruned(documents, config, tally)
    stored, scale = tally.finish(), config.doc_scale or tally.scale
    if not len(documents):
        return Built((), 0, documents.vectors.num_terms, scale, ())
    order, notes = order_documents(documents.vectors, config.order, plan.options)
    first = plan.options.first_ordinal
    segment_plan = SegmentPlan(scale=scale or 1.0, ordinal_base=first, order=order, config=config, options=plan.options)
    entry = write_documents(plan.folder / f"{plan.number:06d}.seg", documents, segment_plan)
    notes += (*stored, *tally.cut_notes(entry, scale))
    return Built((entry,), len(documents), documents.vectors.num_terms, scale, notes)


def _encoder_entry(encoder: EncoderEntry | str | None) -> EncoderEntry | None:
    return EncoderEntry(fingerprint=encoder) if isinstance(encoder, str) else encoder
