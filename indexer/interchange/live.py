"""What an export copies of an index: its live documents by ordinal, and their postings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from indexer.errors import ConfigError
from indexer.format.term_lists import pieces, read_lists
from indexer.index import Index
from indexer.interchange.matrices.transpose import Triples
from indexer.segment import Segment
from indexer.soundness import check_to_copy

Weights = Literal["impact", "scaled", "stored"]
"""impact: the integers 1..255 an index scores with. scaled: float32(impact · doc_scale). stored: the float weights of an
index built with stored_weights."""

DROPPED = np.uint32(2**32 - 1)
"""In place of the row of a deleted document."""
PIECE = 1 << 20
"""Postings that are looked at together."""


def check_weights(index: Index, weights: str) -> None:
    """Refuse weights that an index cannot give.

    Raises
    ------
    ConfigError
    """
    if weights not in get_args(Weights):
        raise ConfigError(f"weights is {weights!r}; expected one of {', '.join(get_args(Weights))}")
    if weights == "stored" and any(len(s.section("FWGT")) == 0 and s.header.num_postings for s in index.segments):
        raise ConfigError("this index stores no float weights; export impacts, or build it with stored_weights")


class LiveDocuments:
    """Rows of the export: live documents by ordinal, of an index checked before.

    Attributes
    ----------
    count : number of rows.
    rows : for each segment uint32 (num_docs,), the row of each doc_id, DROPPED for deleted ones.
    ordinals : int64 (count,), ascending: the ordinal of each row.
    """

    def __init__(self, index: Index) -> None:
        check_to_copy(index)
        self._segments = index.segments
        ids = [np.flatnonzero(s.live).astype(np.uint32) for s in index.segments]
        nothing = np.zeros(0, np.int64)
        ordinals = np.concatenate([nothing, *(s.ordinals[i] for s, i in zip(index.segments, ids, strict=True))])
        order = np.argsort(ordinals, kind="stable")
        self.count = len(order)
        self.ordinals = ordinals[order].astype(np.int64)
        numbers = np.repeat(np.arange(len(ids), dtype=np.uint32), [len(i) for i in ids])
        self._segment_of = numbers[order]
        self._doc_of = np.concatenate([np.zeros(0, np.uint32), *ids])[order]
        row_of = np.empty(len(order), np.uint32)
        row_of[order] = np.arange(len(order), dtype=np.uint32)
        self.rows: list[NDArray[np.uint32]] = []
        start = 0
        for segment, live in zip(index.segments, ids, strict=True):
            rows = np.full(segment.num_docs, DROPPED, np.uint32)
            rows[live] = row_of[start : start + len(live)]
            self.rows.append(rows)
            start += len(live)

    def docnos(self, first: int, last: int) -> list[str]:
        """Names of rows first..last."""
        numbers = self._segment_of[first:last]
        names = np.empty(len(numbers), object)
        for number in np.unique(numbers).tolist():
            here = numbers == number
            names[here] = self._segments[number].docnos(self._doc_of[first:last][here])
        return list(names)

    def docno_bytes(self) -> NDArray[np.int64]:
        """int64 (count,): UTF-8 bytes of each name."""
        out = np.zeros(self.count, np.int64)
        for segment, rows in zip(self._segments, self.rows, strict=True):
            live = rows != DROPPED
            offsets = segment.section("NAMO").astype(np.int64)
            numbered = np.char.str_len(segment.ordinals.astype(str)) if not len(offsets) else np.diff(offsets)
            out[rows[live]] = numbered[live]
        return out


def live_postings(segment: Segment, rows: NDArray[np.uint32], weights: Weights, scale: float) -> Iterator[Triples]:
    """(term id, row, value) of the live postings of a segment; values are impacts, or the bits of float32 weights."""
    for begin, end in pieces(segment.section("TREC")["df"], PIECE):
        yield live_lists(segment, (begin, end), rows, weights, scale)


def live_lists(
    segment: Segment, span: tuple[int, int], rows: NDArray[np.uint32], weights: Weights, scale: float
) -> Triples:
    """As `live_postings`, of the lists span[0]..span[1]."""
    lists = read_lists(segment, *span)
    here = slice(int(lists.start[0]), int(lists.start[-1]))
    at = rows[lists.doc_ids()]
    terms = np.repeat(lists.term_ids, np.diff(lists.start).astype(np.int64))
    if weights == "stored":
        assert lists.weights is not None
        values = lists.weights[here].astype(np.float32).view(np.uint32)
    elif weights == "scaled":
        values = (lists.impacts[here].astype(np.float64) * scale).astype(np.float32).view(np.uint32)
    else:
        values = lists.impacts[here].astype(np.uint32)
    if segment.num_deleted == 0:
        return terms, at, values
    live = at != DROPPED
    return terms[live], at[live], values[live]
