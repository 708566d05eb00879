"""Whole documents out of an index: the terms of a few, wherever its segments or shards are."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from indexer import Index
from indexer.native.engine import NativeIndex
from sparseir.search.cpu import CpuEngine, open_native
from sparseir.search.engines import Engine
from sparseir.search.remote.index import RemoteIndex

Row = tuple[NDArray[np.uint32], NDArray[np.uint8]]
"""Term ids, ascending, and impacts of a document."""

_REMEMBERED = 4096
"""Documents whose rows are kept, some 2 kB each: what is found first is often found again."""

_AT_ONCE = 64
"""Documents of a segment that are looked up together."""


class DocumentRows:
    """Terms and impacts of documents. May be used by several threads.

    A posting list knows its documents, not the other way round: a document is looked for in the postings of every term that is
    wanted (`sir_document_vectors`). The last ones are remembered.

    Parameters
    ----------
    index : on this machine, or shards behind HTTP. engine : of a searcher of it, whose open files are used.
    fewest : terms of fewer documents may be left out, which most terms are. first_term : and those below it.
    """

    def __init__(self, index: Index, engine: Engine, *, fewest: int = 1, first_term: int = 0) -> None:
        self._index, self._lock, self._fewest, self._first = index, threading.Lock(), fewest, first_term
        self._native: NativeIndex | None = engine.native if isinstance(engine, CpuEngine) else None
        self._rows: dict[int, Row] = {}
        self._places: dict[int, NDArray[np.uint32] | None] = {}

    def of(self, ordinals: NDArray[np.int64]) -> list[Row]:
        """Of each document, in their order."""
        wanted = np.unique(ordinals).tolist()
        known = {ordinal: self._rows.get(ordinal) for ordinal in wanted}
        absent = np.array([ordinal for ordinal, row in known.items() if row is None], np.int64)
        found = {**known, **(self._read(absent) if len(absent) else {})}
        if len(absent):
            with self._lock:
                if len(self._rows) + len(absent) > _REMEMBERED:
                    self._rows.clear()
                self._rows.update({ordinal: found[ordinal] for ordinal in absent.tolist()[:_REMEMBERED]})
        return [found[ordinal] for ordinal in ordinals.tolist()]  # type: ignore[misc]

    def _read(self, ordinals: NDArray[np.int64]) -> dict[int, Row]:
        if isinstance(self._index, RemoteIndex):
            return dict(zip(ordinals.tolist(), self._index.vectors(ordinals), strict=True))
        if self._native is None:
            self._native = open_native(self._index)
        found: dict[int, Row] = {}
        segments, doc_ids = self._index.locate(ordinals)
        for segment in np.unique(segments).tolist():
            here, places = np.flatnonzero(segments == segment), self._looked_at(segment)
            for part in np.split(here, range(_AT_ONCE, len(here), _AT_ONCE)):
                numbers, terms, impacts = self._native.document_vectors(
                    segment, doc_ids[part].astype(np.uint32), places
                )
                order = np.argsort(numbers, kind="stable")  # by document; terms ascend already
                ends = np.searchsorted(numbers[order], np.arange(len(part) + 1))
                for number, ordinal in enumerate(ordinals[part].tolist()):
                    of_one = order[ends[number] : ends[number + 1]]
                    found[ordinal] = terms[of_one], impacts[of_one]
        return found

    def _looked_at(self, segment: int) -> NDArray[np.uint32] | None:
        """Places of the segment's terms that are wanted, and that enough documents of the whole index hold."""
        if self._fewest == 1 and not self._first:
            return None
        found = self._places.get(segment)
        if found is None:
            terms = self._index.segments[segment].section("TERM")
            counts = np.array(self._index.document_frequencies(terms.tolist()), np.int64)
            found = self._places[segment] = np.flatnonzero((counts >= self._fewest) & (terms >= self._first)).astype(
                np.uint32
            )
        return found
