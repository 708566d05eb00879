"""Served indexes: a name, a folder, and the snapshot that answers now.

A request takes the current snapshot once and keeps it to its end; a new commit replaces it, and the old one is closed
when the last request that holds it is done. This module alone opens searchers.
"""

from __future__ import annotations

import threading
import time
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer import Index
from indexer.native.engine import ENGINES
from sparseir.errors import DataError, SparseIRError
from sparseir.lexical.channel import has_channel
from sparseir.search.feedback.expansion import FeedbackExpansion
from sparseir.search.feedback.rows import DocumentRows
from sparseir.search.query_encoder import ModelQueryEncoder, QueryEncoder, open_query_encoder
from sparseir.search.remote.index import RemoteIndex
from sparseir.search.searcher import Searcher
from sparseir.serve.answering.terms import Terms
from sparseir.serve.faults import ApiError, bad_request
from sparseir.serve.settings import Places

OFFERED = (*ENGINES, "exact_float", "approximate")
"""Engines a request may name; the gpu engine is chosen for the whole service or not at all."""

_QUICK_SECONDS = 0.0005
"""Searches that take less are run on the event loop: handing one to a thread and back costs about a third of that."""


ATTEMPTS = 5
"""Attempts to open two searchers at the same commit while another process may be committing."""


class StaleSnapshotError(Exception):
    """The index was committed to between two openings; the caller refreshes and tries again."""


class Snapshot:
    """One committed state of an index, with a searcher for each engine asked of it so far.

    Attributes
    ----------
    name : of the index in the service. main : the searcher that explanations use; exact whatever the service's engine.
    terms : their strings and places. encoder : what turns texts into terms, or None.
    """

    def __init__(self, source: ServedIndex, main: Searcher, side: tuple[QueryEncoder | None, Terms]) -> None:
        self.name = source.name
        self.main = main
        self.encoder, self.terms = side
        self.opened = time.time()
        self._source = source
        self._searchers: dict[str, Searcher] = {"auto": main}
        self._measured: dict[str, Searcher] = {}
        self._lock = threading.Lock()
        self._seconds = 0.0

    @property
    def generation(self) -> int:
        """Number of the commit."""
        return self.main.index.generation

    def searcher(self, engine: str) -> Searcher:
        """The searcher of an engine, opened at its first use.

        Raises
        ------
        ApiError : no such engine, or the index lacks what it needs.
        StaleSnapshotError : the index has a newer commit than this snapshot.
        """
        found = self._searchers.get(engine)
        return found if found is not None else self._open(engine, self._searchers)

    def measured(self, engine: str) -> tuple[Searcher, threading.Lock]:
        """A searcher used only by requests that ask for its counters, one at a time under the lock."""
        found = self._measured.get(engine)
        return (found if found is not None else self._open(engine, self._measured)), self._lock

    def _open(self, engine: str, into: dict[str, Searcher]) -> Searcher:
        if engine not in OFFERED and engine != self._source.engine:
            raise bad_request("engine", f"{engine!r} does not exist; there are: {', '.join(OFFERED)}")
        remote = isinstance(self.main.index, RemoteIndex)
        opened = self.main.with_engine(engine) if remote else self._source.open(engine)
        if opened.index.generation != self.generation:
            raise StaleSnapshotError
        return into.setdefault(engine, opened)

    @property
    def quick(self) -> bool:
        """Whether a plain search of one text is short enough for the event loop."""
        remote = isinstance(self.main.index, RemoteIndex)  # others' answers are waited for
        return self._seconds < _QUICK_SECONDS and self._source.table and not remote

    def took(self, seconds: float) -> None:
        """Record the processor time of a plain search: a moving average over about the last 30.

        Not wall time: on a busy machine every search would then seem long and be handed to a thread.
        """
        self._seconds += (seconds - self._seconds) / 32

    @cached_property
    def feedback(self) -> FeedbackExpansion:
        """What adds words of hits to queries.

        Raises
        ------
        ConfigError : the index has no words.
        """
        return FeedbackExpansion(self.main.index, self.main.engine, self.encoder)

    @cached_property
    def rows(self) -> DocumentRows:
        """Whole documents."""
        return DocumentRows(self.main.index, self.main.engine)

    def document_terms(self, ordinal: int) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
        """Term ids and impacts of one document, by ascending term id. Takes milliseconds."""
        return self.rows.of(np.array([ordinal]))[0]

    def work(self) -> dict[str, int]:
        """Counters of all its searches, over engines."""
        total: dict[str, int] = {}
        for searcher in (*self._searchers.values(), *self._measured.values()):
            for name, value in searcher.stats().items():
                total[name] = total.get(name, 0) + value
        return total

    def describe(self) -> dict[str, Any]:
        """What a client may know of the index."""
        index = self.main.index
        return {
            "name": self.name,
            "documents": index.num_docs,
            "generation": index.generation,
            "segments": len(index.segments),
            "postings": index.num_postings,
            "terms": index.num_terms,
            "queries": None
            if self.encoder is None
            else "table"
            if index.query_side and self._source.table
            else "model",
            "model": None if index.encoder is None else index.encoder.fingerprint,
            "fields": dict(index.field_kinds),
            "words": self.encoder is not None and has_channel(index.query_side),
        }


class ServedIndex:
    """An index of the service.

    Raises
    ------
    SparseIRError : no index there, a damaged one, or a model that is not its own.
    """

    def __init__(
        self, name: str, path: Places, *, engine: str, threads: int, model: str | None, partial: bool = False
    ) -> None:
        self.name, self.path, self.engine = name, path, engine
        self.reloads = self.failures = 0
        self.table = False
        self._threads, self._partial = threads, partial
        self._model: str | ModelQueryEncoder | None = model
        self._refreshing = threading.Lock()
        self._side: tuple[Any, QueryEncoder | None, Terms] | None = None
        self.current = self._whole_snapshot()

    def open(self, engine: str) -> Searcher:
        """A searcher at the last commit."""
        return Searcher.open(self.path, engine=engine, num_threads=self._threads, partial=self._partial)

    def refresh(self) -> bool:
        """Take the newest commit, where there is one; whether there was.

        A commit that cannot be opened leaves the snapshot as it is; the error is raised.
        """
        with self._refreshing:
            index = self.current.main.index
            if index.refresh() is index:
                return False
            try:
                fresh = self._whole_snapshot()
            except Exception:
                self.failures += 1
                raise
            fresh.took(32 * self.current._seconds)
            self.current = fresh
            self.reloads += 1
            return True

    def _whole_snapshot(self) -> Snapshot:
        """The last commit, with the service's engine open."""
        for attempt in range(ATTEMPTS):
            fresh = self._snapshot()
            try:
                fresh.searcher(self.engine)
                break
            except StaleSnapshotError:
                if attempt == ATTEMPTS - 1:
                    raise
        return fresh

    def _snapshot(self) -> Snapshot:
        main = self.open("auto")
        index = main.index
        # A learned query side changes with its folder; words and their document frequencies change with commits.
        commit = index.generation if has_channel(index.query_side) else None
        key = (index.query_side, index.manifest.created, commit, index.num_terms)
        if self._side is None or self._side[0] != key:
            encoder = self._query_encoder(index)
            self._side = (key, encoder, Terms(index, encoder))
        return Snapshot(self, main, self._side[1:])

    def _query_encoder(self, index: Index) -> QueryEncoder | None:
        self.table = False
        try:
            encoder = open_query_encoder(index)
        except DataError:
            raise
        except SparseIRError:  # no query side
            if self._model is None:
                return None
            if isinstance(self._model, str):
                self._model = ModelQueryEncoder.load(self._model)  # once: it takes seconds
            return open_query_encoder(index, self._model)
        self.table = True
        return encoder


class Catalogue:
    """The indexes of a service by name; the first answers requests that name none."""

    def __init__(self, indexes: dict[str, ServedIndex]) -> None:
        self.indexes = indexes
        self._first = next(iter(indexes.values()))

    def get(self, name: str | None) -> ServedIndex:
        """An index by name.

        Raises
        ------
        ApiError : 404, no such index.
        """
        if name is None:
            return self._first
        found = self.indexes.get(name)
        if found is None:
            known = ", ".join(self.indexes)
            raise ApiError(
                404, "unknown_index", f"index: no index is named {name!r}; there are: {known}", field="index"
            )
        return found
