"""Writing the segment a merge makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from indexer.format.folder import next_number
from indexer.format.layout import WEIGHT_TYPES
from indexer.format.manifest import SegmentEntry
from indexer.format.segment import DTYPES, Payload, SegmentHeader
from indexer.format.segment_writer import write_segment
from indexer.inversion.segment_write import posting_names
from indexer.merge.documents import MergedDocuments
from indexer.merge.postings import MergeShape, MergeSource, PostingMerge
from indexer.merge.spools import SectionSpools


def write_merged(folder: Path, sources: Sequence[MergeSource], shape: MergeShape) -> SegmentEntry:
    """Merge sources into a new segment file, durably.

    The doc_ids are written while the lists are merged; everything else that grows with them waits in spools.
    """
    number = next_number(folder)
    merge, documents = PostingMerge(sources, shape), MergedDocuments(sources, shape.num_docs)
    spools = SectionSpools(folder, number)
    first = "DOCB" if shape.rules.packed else "DOCS"
    waiting = [name for name in posting_names(shape.rules, shape.stored_weights) if name != first]

    def docs() -> Iterator[NDArray[Any]]:
        for pieces in merge:
            for name in waiting:
                spools.append(name, pieces[name])
            yield pieces[first]

    def header() -> SegmentHeader:
        return SegmentHeader(
            num_docs=shape.num_docs,
            num_terms=merge.num_terms,
            num_postings=merge.num_postings,
            ordinal_base=documents.ordinal_base,
            flags=shape.rules.flags,
        )

    sections: dict[str, Payload] = {first: docs()}
    for name in waiting:
        dtype = WEIGHT_TYPES[shape.stored_weights] if name == "FWGT" else DTYPES[name]
        sections[name] = spools.read(name, dtype)
    try:
        sections |= documents.sections(spools)
        entry = write_segment(folder / f"{number:06d}.seg", shape.num_docs, sections, header)
    finally:
        spools.close()
    return replace(entry, num_clipped=merge.num_clipped)
