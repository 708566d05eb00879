"""Served indexes: a name, a folder, and the snapshot that answers now.

A request takes the current snapshot once and keeps it to its end; a new commit puts another in its place, and the old one
closes when the last request that holds it is done. This module alone opens searchers.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.interchange import Vocabulary
from indexer.native.engine import ENGINES, NativeIndex
from sparseir.errors import DataError, SparseIRError
from sparseir.search.query_encoder import ModelQueryEncoder, QueryEncoder
from sparseir.search.searcher import Searcher
from sparseir.serve.faults import ApiError, bad_request

OFFERED = (*ENGINES, "exact_float", "approximate")
"""Engines a request may name; the gpu engine is chosen for the whole service or not at all."""

_QUICK_SECONDS = 0.0005
"""Searches that take less are run on the event loop: handing one to a thread and back costs about a third of that."""


ATTEMPTS = 5
"""To open two searchers at one commit, while another process may be committing."""


class StaleSnapshotError(Exception):
    """The index was committed to between two openings; the caller refreshes and tries again."""


class TermNames:
    """Strings of terms, both ways.

    Parameters
    ----------
    encoder : the query side, or None where texts cannot be encoded.
    vocabulary : the strings an index of vectors carries.
    """

    def __init__(self, encoder: QueryEncoder | None, vocabulary: Vocabulary) -> None:
        self._encoder = encoder
        self._vocabulary = vocabulary
        self._ids: dict[str, int] | None = None
        self.tokenizer = _tokenizer(encoder)

    def name(self, term_id: int) -> str:
        """String of a term."""
        return self._encoder.token(term_id) if self._encoder is not None else self._vocabulary.term(term_id)

    def id(self, name: str, num_terms: int) -> int:
        """Id of a term; -1 for an unknown one."""
        if self._ids is None:
            self._ids = {self.name(term_id): term_id for term_id in range(num_terms)}
        return self._ids.get(name, -1)


def _tokenizer(encoder: QueryEncoder | None) -> Any:
    """The `tokenizers.Tokenizer` of a query side, which says where in a text its terms are; None without one."""
    if isinstance(encoder, ModelQueryEncoder):
        return encoder.encoder.tokenizer.uncut()
    return getattr(encoder, "tokenizer", None)  # a table's


class Snapshot:
    """One committed state of an index, with a searcher for each engine asked of it so far.

    Attributes
    ----------
    name : of the index in the service. main : the searcher that explanations use; exact whatever the service's engine.
    names : strings of terms. encoder : what turns texts into terms, or None.
    """

    def __init__(self, source: ServedIndex, main: Searcher, side: tuple[QueryEncoder | None, TermNames]) -> None:
        self.name = source.name
        self.main = main
        self.encoder, self.names = side
        self.opened = time.time()
        self._source = source
        self._searchers: dict[str, Searcher] = {"auto": main}
        self._measured: dict[str, Searcher] = {}
        self._lock = threading.Lock()
        self._vectors: NativeIndex | None = None
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
        """A searcher that only requests which ask for its counters use, one at a time under the lock."""
        found = self._measured.get(engine)
        return (found if found is not None else self._open(engine, self._measured)), self._lock

    def _open(self, engine: str, into: dict[str, Searcher]) -> Searcher:
        if engine not in OFFERED and engine != self._source.engine:
            raise bad_request("engine", f"{engine!r} does not exist; there are: {', '.join(OFFERED)}")
        opened = self._source.open(engine)
        if opened.index.generation != self.generation:
            raise StaleSnapshotError
        return into.setdefault(engine, opened)

    @property
    def quick(self) -> bool:
        """Whether a plain search of one text is short enough for the event loop."""
        return self._seconds < _QUICK_SECONDS and self.names.tokenizer is getattr(self.encoder, "tokenizer", self)

    def took(self, seconds: float) -> None:
        """Note what a plain search took of the processor: a moving average over about the last 30.

        Not by the clock: on a busy machine that would call every search long, and send it the longer way.
        """
        self._seconds += (seconds - self._seconds) / 32

    def document_terms(self, ordinal: int) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
        """Term ids and impacts of one document, by ascending term id. Takes milliseconds."""
        index = self.main.index
        if self._vectors is None:
            self._vectors = NativeIndex([s.data for s in index.segments], doc_scale=index.doc_scale)
        where, doc_ids = index.locate([ordinal])
        _, term_ids, impacts = self._vectors.document_vectors(int(where[0]), doc_ids.astype(np.uint32))
        return term_ids, impacts

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
            "fields": dict(index.field_kinds),
        }


class ServedIndex:
    """An index of the service.

    Raises
    ------
    SparseIRError : no index there, a damaged one, or a model that is not its own.
    """

    def __init__(self, name: str, path: Path, *, engine: str, threads: int, model: str | None) -> None:
        self.name, self.path, self.engine = name, path, engine
        self.reloads = self.failures = 0
        self.table = False
        self._threads, self._model = threads, model
        self._refreshing = threading.Lock()
        self._side: tuple[Any, QueryEncoder | None, TermNames] | None = None
        self.current = self._whole_snapshot()

    def open(self, engine: str) -> Searcher:
        """A searcher at the last commit."""
        return Searcher.open(
            self.path,
            engine=engine,
            num_threads=self._threads,
            query_encoder=None if self._side is None else self._side[1],
        )

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
        # The query side travels with an index from its build on: no commit changes it, and a model is slow to load.
        key = (index.query_side, index.manifest.created)
        if self._side is None or self._side[0] != key:
            encoder = self._query_encoder(main)
            vocabulary = Vocabulary.of_index(index.query_files, index.num_terms)
            self._side = (key, encoder, TermNames(encoder, vocabulary))
        return Snapshot(self, main, self._side[1:])

    def _query_encoder(self, main: Searcher) -> QueryEncoder | None:
        self.table = False
        try:
            encoder = main.queries.encoder
        except DataError:
            raise
        except SparseIRError:  # no query side
            if self._model is None:
                return None
            return Searcher.open(self.path, model=self._model).queries.encoder
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
