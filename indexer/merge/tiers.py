"""Which segments an addition merges: small ones of one tier with each other, so that few are left and each byte is seldom
written again.

As Lucene's tiered policy, but of segments that follow each other, which keeps ordinals in the order of segments. The size s
of a segment is its bytes times the share of its documents that are live. Its tier is 0 below FLOOR, else
1 + ⌊log_WIDTH(s / FLOOR)⌋, or that of a later segment where that is higher. As soon as a tier holds WIDTH segments they are
merged to one, which mostly belongs to the tier above. So at most WIDTH - 1 segments a tier are left, and a posting is
written about once a tier: both grow with the logarithm of the index.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, groupby

from indexer.format.manifest import SegmentEntry

FLOOR = 1 << 20
"""Bytes below which segments count as equal: merging so few takes about as long as adding one more."""

WIDTH = 4
LARGEST = 1 << 30
"""No merge of an addition writes more: it would keep one addition for long. `compact_index` merges whatever there is."""


def live_bytes(entry: SegmentEntry) -> int:
    """About the bytes that a segment would have without its deleted documents."""
    deleted = entry.deletes.count if entry.deletes else 0
    return entry.bytes * (entry.num_docs - deleted) // max(1, entry.num_docs)


def to_merge(sizes: Sequence[int]) -> tuple[int, int] | None:
    """The segments begin..end that should become one, or None.

    Merges that the result of a merge asks for are one with it: no segment is written only to be merged at once.

    Parameters
    ----------
    sizes : live bytes of all segments in their order, the newest last.
    """
    found: tuple[int, int] | None = None
    now = [(size, number, number + 1) for number, size in enumerate(sizes)]
    while (run := _full_tier([size for size, _, _ in now])) is not None:
        begin, end = run
        merged = (sum(size for size, _, _ in now[begin:end]), now[begin][1], now[end - 1][2])
        if found is not None and not (merged[1] <= found[0] and found[1] <= merged[2]):
            break  # another place; the next addition comes to it
        found = merged[1:]
        now[begin:end] = [merged]
    return found


def _full_tier(sizes: Sequence[int]) -> tuple[int, int] | None:
    """The segments of the lowest tier that holds WIDTH or more; only the newest of them, where all are too many bytes."""
    end = len(sizes)
    newest_first = accumulate((_tier(size) for size in reversed(sizes)), max)
    for _, same in groupby(newest_first):
        begin = first = end - len(list(same))
        while sum(sizes[first:end]) > LARGEST:
            first += 1
        if end - begin >= WIDTH and end - first > 1:
            return first, end
        end = begin
    return None


def _tier(size: int) -> int:
    tier, limit = 0, FLOOR
    while size >= limit:
        tier, limit = tier + 1, limit * WIDTH
    return tier
