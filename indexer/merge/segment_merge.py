"""Writing the segment a merge makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.format.folder import next_number
from indexer.format.manifest import SegmentEntry
from indexer.format.segment import DTYPES, SegmentHeader, SegmentWriter
from indexer.merge.documents import MergedDocuments
from indexer.merge.postings import MergeShape, MergeSource, PostingMerge
from indexer.merge.spools import SectionSpools

_POSTING_SECTIONS = ("TERM", "TREC", "IMPA", "CELL", "WNID", "WNST", "LADD", "SMAX", "BITS")


def write_merged(folder: Path, sources: Sequence[MergeSource], shape: MergeShape) -> SegmentEntry:
    """Merge sources into a new segment file, durably.

    The doc_ids are written while the lists are merged; everything else that grows with them waits in spools.
    """
    number = next_number(folder)
    path = folder / f"{number:06d}.seg"
    merge, documents = PostingMerge(sources, shape), MergedDocuments(sources, shape.num_docs)
    spools = SectionSpools(folder, number)
    first, *others = ("DOCB", "DOCO") if shape.rules.packed else ("DOCS",)
    others += ["BMAX", "BLEV"] if shape.rules.has_blocks else []
    waiting = [*_POSTING_SECTIONS, *others] + (["FWGT"] if shape.keep_weights else [])
    document_sections = documents.sections(spools)
    writer = SegmentWriter(path, 1 + len(waiting) + len(document_sections))

    def docs() -> Iterator[NDArray[Any]]:
        for sections in merge:
            for name in waiting:
                spools.append(name, sections[name])
            yield sections[first]

    try:
        writer.add(first, docs())
        for name in waiting:
            dtype = np.dtype("<f2") if name == "FWGT" and shape.half else DTYPES[name]
            writer.add(name, spools.read(name, dtype))
        for name, payload in document_sections.items():
            writer.add(name, payload)
        header = SegmentHeader(
            num_docs=shape.num_docs,
            num_terms=merge.num_terms,
            num_postings=merge.num_postings,
            ordinal_base=documents.ordinal_base,
            flags=shape.rules.flags,
        )
        size, crc = writer.finish(header)
    finally:
        writer.close()
        spools.close()
    return SegmentEntry(
        file=path.name,
        bytes=size,
        header_crc32=crc,
        num_docs=shape.num_docs,
        num_postings=merge.num_postings,
        num_clipped=merge.num_clipped,
    )
