"""What a filter allows, as the tests of filters read it."""

from __future__ import annotations

from indexer import Index
from sparseir.search.filters.expressions import allowed_documents


def allowed_ordinals(index: Index, text: str) -> list[int]:
    """Ordinals of the documents that a filter allows, ascending: bit d mod 64 of word d // 64 is doc_id d of a segment."""
    bitmaps = allowed_documents(index, text)
    return sorted(
        int(segment.ordinals[d])
        for segment, bitmap in zip(index.segments, bitmaps, strict=True)
        for d in range(segment.num_docs)
        if int(bitmap[d // 64]) >> (d % 64) & 1
    )
