"""Compaction: all segments into one, space of deleted documents back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from indexer.config import IndexConfig, WriteOptions
from indexer.errors import IndexFormatError
from indexer.format.folder import field_kinds, keep_damaged, publish, writing
from indexer.format.layout import LAYOUT_RULES
from indexer.format.manifest import SegmentEntry, read_manifest
from indexer.format.term_lists import read_lists
from indexer.index import Index
from indexer.inversion.invert import MAX_IMPACT
from indexer.inversion.weights import WeightTally
from indexer.merge.live import TERMS_AT_ONCE, merge_live
from indexer.merge.postings import MergeShape
from indexer.merge.salvage import LeftBehind, examine
from indexer.opening import open_index
from indexer.progress import Progress, silent
from indexer.soundness import check_ordinals_differ, check_to_copy

_DEFAULT_MEMORY = 256 << 20
_SAME_SCALE = 0.01
"""Scales so near each other are one: weights of 16 bits are not quite those that the scale was chosen from."""


@dataclass(frozen=True, slots=True)
class CompactReport:
    """What a compaction did.

    Parameters
    ----------
    segments_before, bytes_before, bytes_after : of all segment files.
    documents_dropped : deleted documents whose space came back.
    doc_scale : of the impacts from now on. rescaled : whether it was another before.
    clipped : impacts that stay cut to 255.
    notes : sentences for a person.
    left : what of damaged segments is not in the index any more; of a salvage only.
    kept_in : folder in the index that holds the damaged segments as they were, or None.
    """

    segments_before: int
    bytes_before: int
    bytes_after: int
    documents_dropped: int
    doc_scale: float
    rescaled: bool
    clipped: int
    notes: tuple[str, ...] = ()
    left: tuple[LeftBehind, ...] = ()
    kept_in: str | None = None


def compact_index(
    path: str | Path,
    *,
    layout: str | None = None,
    salvage: bool = False,
    num_threads: int = 1,
    memory_budget: int = 0,
    progress: Progress = silent,
) -> CompactReport:
    """Merge all segments into one and drop deleted documents, as one commit. Ordinals and names stay; documents are
    clustered again where the index's config orders them.

    Where weights are stored and doc_scale was left to the build, the scale is chosen again from the weights of all live
    documents. Impacts are made anew from the weights if those of documents added later were cut to the old scale, or if
    it uses less than half of the 255 steps; otherwise impacts, and with them scores, stay as they are.

    Nothing is done where one segment of the wanted layout and scale, without deletions, is all there is.

    Parameters
    ----------
    path : the index.
    layout : one of IndexConfig's, which it has from then on; None keeps the one it has.
    salvage : where segments are damaged, merge what of them is sound (`indexer.merge.salvage` has the rules), say in the
        report what is left behind, and keep the damaged segments in a folder of the index, with the manifest that named
        them. The scale then stays. An index without damage is compacted as ever.
    num_threads, memory_budget, progress : as for `build_index`.

    Raises
    ------
    ConfigError : no such layout.
    IndexFormatError : damage found in what is merged; with salvage, in the manifest, or in every segment.
    LockedError : another writer holds the index.
    """
    options, folder = WriteOptions(num_threads=num_threads, progress=progress), Path(path)
    read_manifest(folder)
    with writing(folder):
        report = _salvaged(folder, layout, options, memory_budget) if salvage else None
        return report or _compacted(folder, layout, options, memory_budget)


def _compacted(folder: Path, layout: str | None, options: WriteOptions, memory_budget: int) -> CompactReport:
    """Commit one segment in place of all, where that changes anything."""
    index = open_index(folder)
    before = sum(s.entry.bytes for s in index.segments)
    dropped = sum(s.num_deleted for s in index.segments)
    config = IndexConfig.from_dict(index.manifest.config)
    config = config if layout is None else replace(config, layout=layout)
    rules = LAYOUT_RULES[config.layout]
    kept = config.as_dict() == index.manifest.config and all(s.header.rules == rules for s in index.segments)
    reads_weights = config.stored_weights != "none" and not config.doc_scale
    if reads_weights:
        check_to_copy(index)
    scale = _chosen_scale(index, config) if reads_weights else None
    rescaled = scale is not None
    clipped = sum(s.entry.num_clipped for s in index.segments)
    if len(index.segments) < 2 and not dropped and kept and not rescaled:
        notes = _notes(config, clipped)
        return CompactReport(len(index.segments), before, before, 0, index.doc_scale, False, clipped, notes)
    shape = MergeShape(
        num_docs=index.num_docs,
        scale=scale or 0.0,
        stored_weights=config.stored_weights,
        options=options,
        memory=memory_budget or _DEFAULT_MEMORY,
        rules=rules,
    )
    segments: tuple[SegmentEntry, ...] = ()
    if not reads_weights:
        check_to_copy(index)
    if index.num_docs:
        entry = merge_live(folder, index.segments, config, shape, index.num_terms)
        segments = (entry if rescaled else replace(entry, num_clipped=clipped),)
    publish(
        folder,
        replace(
            index.manifest,
            generation=index.generation + 1,
            segments=segments,
            doc_scale=scale or index.manifest.doc_scale,
            config=config.as_dict(),
            fields=field_kinds(folder, segments) if segments else index.manifest.fields,  # filters still know them
        ),
    )
    after = sum(s.bytes for s in segments)
    cut = sum(s.num_clipped for s in segments)
    notes = _notes(config, cut, scale)
    return CompactReport(len(index.segments), before, after, dropped, scale or index.doc_scale, rescaled, cut, notes)


def _salvaged(folder: Path, layout: str | None, options: WriteOptions, memory_budget: int) -> CompactReport | None:
    """Commit what is sound of an index with damaged segments, and keep those; None where none is damaged."""
    manifest = read_manifest(folder)
    config = IndexConfig.from_dict(manifest.config)
    config = config if layout is None else replace(config, layout=layout)
    found = examine(folder, manifest, config)
    if not found.damaged:
        return None
    if not found.segments:
        raise IndexFormatError(
            f"index '{folder}': in none of its {len(manifest.segments)} segments is a document sound "
            f"({found.left[0].reason if found.left else 'all are deleted'}); restore or rebuild it"
        )
    check_ordinals_differ(Index(folder, manifest, found.segments))
    shape = MergeShape(
        num_docs=sum(int(segment.live.sum()) for segment in found.segments),
        stored_weights=config.stored_weights,
        options=options,
        memory=memory_budget or _DEFAULT_MEMORY,
        rules=LAYOUT_RULES[config.layout],
    )
    kept_in = keep_damaged(folder, manifest, found.damaged)
    entry = merge_live(folder, found.segments, config, shape, manifest.num_terms)
    clipped = sum(segment.entry.num_clipped for segment in found.segments)
    segments = (replace(entry, num_clipped=clipped),)
    kinds = field_kinds(folder, segments)
    changed = replace(
        manifest, generation=manifest.generation + 1, segments=segments, config=config.as_dict(), fields=kinds
    )
    publish(folder, changed)
    return CompactReport(
        segments_before=len(manifest.segments),
        bytes_before=sum(before.bytes for before in manifest.segments),
        bytes_after=entry.bytes,
        documents_dropped=sum(before.deletes.count for before in manifest.segments if before.deletes),
        doc_scale=manifest.doc_scale or 1.0,
        rescaled=False,
        clipped=clipped,
        notes=_notes(config, clipped),
        left=found.left,
        kept_in=kept_in.name,
    )


def _notes(config: IndexConfig, clipped: int, scale: float | None = None) -> tuple[str, ...]:
    """What a person should know of the scale."""
    if scale is not None:
        return (f"impacts were made anew from the stored weights; 255 now stands for {MAX_IMPACT * scale:.6g}",)
    if clipped and config.doc_scale:
        return (f"{clipped:,} impacts stay cut to 255: the index was built with doc_scale={config.doc_scale:g}",)
    if clipped and config.stored_weights == "none":
        return (
            f"{clipped:,} impacts stay cut to 255: their weights are not stored (--set stored_weights=f32), so only a new "
            "index of all documents can have a larger scale",
        )
    return ()


def _chosen_scale(index: Index, config: IndexConfig) -> float | None:
    """The doc_scale that the stored weights of all live documents ask for; None where the present one is to stay.

    The index must have been checked.
    """
    present = index.manifest.doc_scale
    if present is None:
        return None
    tally = WeightTally()
    for segment in index.segments:
        if not segment.num_deleted:
            tally.add_weights(segment.section("FWGT"))
            continue
        num_terms, live = segment.header.num_terms, segment.live
        for begin in range(0, num_terms, TERMS_AT_ONCE):
            lists = read_lists(segment, begin, min(begin + TERMS_AT_ONCE, num_terms))
            if lists.weights is not None:  # a segment that lacks them is refused when it is merged
                weights = lists.weights[int(lists.start[0]) : int(lists.start[-1])]
                tally.add_weights(weights[live[lists.doc_ids()]])
    wanted = tally.scale or present
    return wanted if wanted > present * (1 + _SAME_SCALE) or wanted < present / 2 else None
