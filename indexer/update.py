"""Changing an index: add, replace, delete. Each is one atomic commit of one writer; what is on disk is never edited."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.config import AddOptions, IndexConfig
from indexer.documents import Documents, read_documents
from indexer.errors import ConfigError, DataError, LockedError, SparseIRError
from indexer.format import files
from indexer.format.folder import copy_query_side, field_kinds, next_number, publish, writing
from indexer.format.layout import LAYOUT_RULES
from indexer.format.lock import write_lock
from indexer.format.manifest import DeleteFile, EncoderEntry, Manifest, SegmentEntry, read_manifest
from indexer.format.shard_list import is_sharded, shard_folders
from indexer.index import Index
from indexer.interchange.vocabulary_files import FILES as VOCABULARY_FILES
from indexer.inversion.prune import pruned
from indexer.inversion.reorder import order_documents
from indexer.inversion.segment_write import SegmentPlan, write_documents
from indexer.inversion.weights import WeightTally
from indexer.merge.live import merge_live
from indexer.merge.postings import MergeShape
from indexer.merge.tiers import live_bytes, to_merge
from indexer.opening import open_index
from indexer.segment import Segment
from indexer.soundness import check_to_copy, check_to_extend


def replace_query_side(path: str | Path, source: str | Path, *, made_from: str | None = None) -> Index:
    """Put another query side in the place of the index's own, as one commit; no document changes.

    Parameters
    ----------
    path : the index, or the folder of its shards: one commit in each, under the lock of the folder.
    source : folder with a query side whose terms are those of the index, with the same ids.
    made_from : name of the query side that the source was made from (`Manifest.query_side`); where another one is in force
        by now, whose words it lacks, nothing is changed. Shards take no words and are not asked.

    Raises
    ------
    ConfigError : the index carries no query side.
    IndexFormatError : no index there, or a damaged one.
    LockedError : another writer holds it, or has put another query side in place.
    """
    folder = Path(path)
    if is_sharded(folder):
        with write_lock(folder):
            for shard in shard_folders(folder):
                replace_query_side(shard, source)
        return open_index(folder)
    read_manifest(folder)
    with writing(folder):
        index = open_index(folder)
        if index.manifest.query_side is None:
            raise ConfigError(f"'{folder}' carries no query side that another could take the place of")
        if made_from not in (None, index.manifest.query_side):
            raise LockedError(
                f"another writer has changed the query side of '{folder}' meanwhile, and nothing was changed here; do it again"
            )
        side = copy_query_side(folder, source, next_number(folder))
        publish(folder, replace(index.manifest, generation=index.generation + 1, query_side=side))
    return open_index(folder)


@dataclass(frozen=True, slots=True)
class DeleteReport:
    """What a deletion did.

    Parameters
    ----------
    deleted : documents that were there and are gone.
    missing : names (or ordinals) that no live document has, as they were given.
    """

    deleted: int
    missing: tuple[str | int, ...]


def add_documents(
    path: str | Path,
    vectors: Any,
    *,
    docnos: Iterable[str] | None = None,
    fields: Iterable[Mapping[str, Any]] | None = None,
    replace_existing: bool = False,
    **options: Any,
) -> Index:
    """Add documents as a new segment and commit it. Ordinals go on counting; a replaced document gets a new one.

    Small segments are merged in the same commit (option merge). What others know of them stays: ordinals, names, impacts and
    doc_scale; the space of their deleted documents comes back. Where that cannot be done, because one is damaged or the disk
    is full, they stay as they are and the notes of the index returned say so.

    Parameters
    ----------
    path : the index.
    vectors, docnos, fields : as for `build_index`. Weights are quantised with the index's scale; those above 255 steps
        are cut, counted, and said in the notes of the index returned.
    replace_existing : delete live documents of the same docno in the same commit; otherwise such a docno is an error.
    options : see AddOptions; encoder must be the index's own.

    Raises
    ------
    TypeError : an option that AddOptions does not have.
    DataError : input that cannot be indexed, a docno that exists, a term outside the vocabulary of an index whose terms a
        model or a list of strings fixed; any other vocabulary grows.
    ConfigError : vectors of another encoder, or of one where the index does not know its own; a grown query side for an
        index that has none.
    IndexFormatError : damage in the names or ordinals that are looked up.
    LockedError : another writer holds the index.
    """
    chosen, folder = AddOptions.of("add_documents", options), Path(path)
    read_manifest(folder)  # no index there: said before a lock file is made
    with writing(folder):
        index = open_index(folder)
        _check_takes(index, chosen)
        config = IndexConfig.from_dict(index.manifest.config)
        tally = WeightTally(config.stored_weights)
        documents = pruned(Documents.concatenate(list(read_documents(vectors, docnos, fields))), config, tally)
        if len(documents) == 0:
            return index
        num_terms = _num_terms(index, documents, chosen)
        replaced = _replaced(index, documents, chosen, replace_existing=replace_existing)
        notes = tally.finish()
        order, of_order = order_documents(documents.vectors, config.order, chosen)
        scale = index.manifest.doc_scale or config.doc_scale or tally.scale
        plan = SegmentPlan(
            scale=scale or 1.0,
            ordinal_base=index.manifest.next_ordinal,
            order=order,
            config=config,
            options=chosen,
        )
        manifest = replace(index.manifest, num_terms=num_terms, doc_scale=scale)
        entry, of_merge = _commit(index, manifest, documents, plan, replaced, chosen)
    chosen_now = index.manifest.doc_scale is None or config.doc_scale
    remedy = "" if chosen_now else _REMEDIES[config.stored_weights != "none"]
    return open_index(folder, notes=(*of_order, *notes, *tally.cut_notes(entry, scale, remedy), *of_merge))


_REMEDIES = {
    True: "'sparseir index compact' gives the index a scale that holds them",
    False: "only a new index of all documents holds them (of one with stored_weights=f32 compact changes the scale)",
}
"""For weights that an index cannot hold, by whether it stores them."""


def _check_takes(index: Index, options: AddOptions) -> None:
    """Refuse an index that takes no documents, or none of this encoder."""
    check_to_extend(index)
    shard = index.manifest.shard
    if shard is not None:
        raise ConfigError(
            f"'{index.path}' is shard {shard.number} of {shard.of}, whose places in the collection and words "
            "were fixed when all were built; it takes no documents: build the shards again ('sparseir index build --shards')"
        )
    _check_encoder(index.manifest, options.encoder)
    if options.grown_query_side is not None and index.manifest.query_side is None:
        raise ConfigError("grown_query_side replaces the query side of an index; this one carries none")


def _num_terms(index: Index, documents: Documents, options: AddOptions) -> int:
    """Size of the vocabulary with the new documents; what their terms mean decides whether it may grow."""
    num_terms = index.num_terms
    if options.grown_query_side is not None:
        return max(num_terms, documents.vectors.num_terms)
    if terms_are_fixed(index):
        _check_terms(documents, num_terms)
        return num_terms
    return max(num_terms, int(documents.vectors.term_ids.max(initial=0)) + 1)


def _replaced(index: Index, documents: Documents, options: AddOptions, *, replace_existing: bool) -> NDArray[np.int64]:
    """Ordinals of the live documents that the new ones take the place of."""
    taken = _taken(index, documents)
    if replace_existing and options.also_replaced is not None and documents.docnos is not None:
        further = index.ordinals(options.also_replaced(index, documents.docnos))
        taken = np.union1d(taken, further[further >= 0])
    if len(taken) and not replace_existing:
        name = index.docnos(taken[:1])[0]
        others = f" (as are those of {len(taken) - 1} more documents)" if len(taken) > 1 else ""
        raise DataError(
            f"docno {name!r} is in the index already{others}; say --replace (replace_existing=True) to put new ones in their place"
        )
    return taken


def _commit(
    index: Index,
    manifest: Manifest,
    documents: Documents,
    plan: SegmentPlan,
    replaced: NDArray[np.int64],
    options: AddOptions,
) -> tuple[SegmentEntry, tuple[str, ...]]:
    """Write the documents as a segment and publish it with the deletions and merges; the segment's entry, and notes.

    Parameters
    ----------
    manifest : as it was, but for the vocabulary and scale that the documents need.
    """
    folder, grown = index.path, options.grown_query_side
    if grown is not None and not any(Path(grown).iterdir()):
        grown = None
    generation, number = manifest.generation + 1, next_number(folder)
    entry = write_documents(folder / f"{number:06d}.seg", documents, plan)
    segments = (*_with_deletes(folder, index, replaced, generation), entry)
    changed = replace(
        manifest,
        generation=generation,
        segments=segments,
        query_side=manifest.query_side if grown is None else copy_query_side(folder, grown, number),
        next_ordinal=manifest.next_ordinal + len(documents),
        fields=field_kinds(folder, segments),
    )
    changed, notes = _merged(folder, changed, plan.config, options) if options.merge == "tiered" else (changed, ())
    publish(folder, changed)
    return entry, notes


def _merged(
    folder: Path, manifest: Manifest, config: IndexConfig, options: AddOptions
) -> tuple[Manifest, tuple[str, ...]]:
    """The state with the segments merged that the tiers ask for, files written; as it is, and why, where they cannot be."""
    found = to_merge([live_bytes(entry) for entry in manifest.segments])
    if found is None:
        return manifest, ()
    before, entries, after = (
        manifest.segments[part] for part in (slice(found[0]), slice(*found), slice(found[1], None))
    )
    number = next_number(folder)
    try:
        merged = _merge(folder, manifest, entries, config, options)
        segments = (*before, *merged, *after)
        return replace(manifest, segments=segments, fields=field_kinds(folder, segments)), ()
    except SparseIRError as error:
        files.discard(folder / f"{number:06d}.seg")  # on a full disk the manifest needs its room
        return manifest, (f"small segments were not merged, and the documents are added nonetheless: {error}",)


def _merge(
    folder: Path, manifest: Manifest, entries: Sequence[SegmentEntry], config: IndexConfig, options: AddOptions
) -> tuple[SegmentEntry, ...]:
    """Merge segments, checked as a compaction checks them; the entry of the result, none where no document is live."""
    part = Index(folder, manifest, tuple(Segment(folder, entry) for entry in entries))
    check_to_copy(part)
    if not part.num_docs:
        return ()
    shape = MergeShape(
        num_docs=part.num_docs,
        stored_weights=config.stored_weights,
        options=options,
        rules=LAYOUT_RULES[config.layout],
    )
    entry = merge_live(folder, part.segments, config, shape, manifest.num_terms)
    return (replace(entry, num_clipped=sum(e.num_clipped for e in entries)),)


def delete_documents(
    path: str | Path, docnos: Sequence[str] | None = None, *, ordinals: Sequence[int] | None = None
) -> DeleteReport:
    """Mark documents deleted, by name or by ordinal, and commit. Space comes back with `compact_index`.

    Parameters
    ----------
    path : the index. docnos, ordinals : one of both; those the index does not hold are reported, not refused.

    Raises
    ------
    ConfigError : neither or both ways of naming them.
    IndexFormatError : as for `add_documents`.
    LockedError : another writer holds the index.
    """
    if (docnos is None) == (ordinals is None):
        raise ConfigError("name the documents to delete either by docnos or by ordinals")
    folder = Path(path)
    if is_sharded(folder):
        return _delete_in_shards(folder, docnos, ordinals)
    read_manifest(folder)
    with writing(folder):
        index = open_index(folder)
        check_to_extend(index)
        asked: Sequence[str | int] = docnos if docnos is not None else ordinals or ()
        if docnos is not None:
            wanted = index.ordinals(docnos)
        else:
            numbers = np.array(asked, np.int64)
            wanted = np.where(index.locate(numbers)[0] >= 0, numbers, -1)
        missing = tuple(asked[i] for i in np.flatnonzero(wanted < 0).tolist())
        found = np.unique(wanted[wanted >= 0])
        if len(found):
            generation = index.generation + 1
            segments = _with_deletes(folder, index, found, generation)
            publish(folder, replace(index.manifest, generation=generation, segments=segments))
    return DeleteReport(len(found), missing)


def _delete_in_shards(folder: Path, docnos: Sequence[str] | None, ordinals: Sequence[int] | None) -> DeleteReport:
    """One commit in each shard that holds some of them; a fault in one leaves the shards before it changed.

    The lock of the folder around the shards is held throughout, so that no snapshot is taken between these commits.
    """
    deleted = 0
    missing: list[Any] = list(docnos if docnos is not None else ordinals or ())
    with write_lock(folder):
        for shard in shard_folders(folder):
            asked = {"docnos": missing} if docnos is not None else {"ordinals": missing}
            report = delete_documents(shard, **asked)
            deleted, missing = deleted + report.deleted, list(report.missing)
    return DeleteReport(deleted, tuple(missing))


def _check_encoder(manifest: Manifest, encoder: EncoderEntry | str | None) -> None:
    given = encoder.fingerprint if isinstance(encoder, EncoderEntry) else encoder
    if given is not None and manifest.encoder is None and manifest.next_ordinal:
        raise ConfigError(
            "the index does not know the encoder of its vectors, so it cannot take those of a named one, whose terms may "
            "have other numbers; add vectors of the same source without a model, or build a new index with the model"
        )
    if given is not None and manifest.encoder is not None and given != manifest.encoder.fingerprint:
        raise ConfigError(
            f"the index was made with encoder {manifest.encoder.name or manifest.encoder.fingerprint[:12]}, these vectors "
            "come from another; encode them with the same model or build a new index"
        )


def terms_are_fixed(index: Index) -> bool:
    """Whether term ids mean what a model, or a list of strings, says; else they are numbers, and larger ones may come."""
    side = index.query_files
    return index.encoder is not None or (side is not None and any(name in side for name in VOCABULARY_FILES))


def _check_terms(documents: Documents, num_terms: int) -> None:
    terms = documents.vectors.term_ids
    if len(terms) and int(terms.max()) >= num_terms:
        at = int(np.argmax(terms >= num_terms))
        row = int(np.searchsorted(documents.vectors.indptr, at, side="right")) - 1
        raise DataError(
            f"row {row} holds term id {int(terms[at])}; the index has a vocabulary of {num_terms} terms, which is fixed by "
            "a model or by its list of strings: give vectors of the same model, or such as name their terms"
        )


def _taken(index: Index, documents: Documents) -> NDArray[np.int64]:
    """Ordinals of live documents whose name one of the new documents has."""
    names = documents.docnos
    if names is None:
        if not any(s.names.present for s in index.segments):
            return np.zeros(0, np.int64)
        base = index.manifest.next_ordinal
        names = [str(base + i) for i in range(len(documents))]
    found = index.ordinals(names)
    return found[found >= 0]


def _with_deletes(folder: Path, index: Index, ordinals: NDArray[np.int64], generation: int) -> tuple[SegmentEntry, ...]:
    """Segment entries with `ordinals` deleted as well; a touched segment gets a new bitmap file, durable."""
    where, ids = index.locate(ordinals)
    entries = []
    for number, segment in enumerate(index.segments):
        gone = ids[where == number]
        entries.append(_delete_from(folder, segment, gone, generation) if len(gone) else segment.entry)
    return tuple(entries)


def _delete_from(folder: Path, segment: Segment, ids: NDArray[np.int64], generation: int) -> SegmentEntry:
    dead = ~segment.live
    dead[ids] = True
    raw = np.packbits(dead, bitorder="little")
    raw = np.concatenate([raw, np.zeros(-len(raw) % 8, np.uint8)])
    match = re.match(r"\d+", segment.entry.file)
    assert match is not None
    name = f"{match.group()}.del-{generation:06d}"
    with files.created(folder / name) as descriptor:
        files.write(descriptor, raw, 0)
    deletes = DeleteFile(file=name, count=int(dead.sum()), crc32=zlib.crc32(raw.data))
    return replace(segment.entry, deletes=deletes)
