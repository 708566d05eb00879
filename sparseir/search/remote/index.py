"""Shards on other machines, searched as one index.

Each shard answers for its documents with ordinals and integer scores. These are of one scale, and ordinals count through the
whole collection, so the best of all lists are the hits of one index, to the bit. Queries are encoded here, by the query side
that every shard carries, with document frequencies summed over all of them.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from indexer import Index
from indexer.format.manifest import EncoderEntry, Manifest, ShardEntry
from indexer.format.query_side import QueryFiles
from indexer.shards import check_together, shard_end, share_of
from sparseir.errors import ConfigError
from sparseir.search.remote.client import PROTOCOL, ShardClient, ShardError

T = TypeVar("T")


class RemoteIndex(Index):
    """A snapshot of shards behind HTTP: what `Index` says of an index, asked of those that hold it.

    A shard that fails is not asked again by this snapshot; without `partial`, its failure is an error.

    Parameters
    ----------
    clients : of all shards, in any order. partial : do without those that do not answer.
    known : a snapshot of the same shards, whose query side is taken over.
    """

    def __init__(self, clients: Sequence[ShardClient], *, partial: bool, known: RemoteIndex | None = None) -> None:
        self._clients, self._partial = list(clients), partial
        self._pool: ThreadPoolExecutor = (
            ThreadPoolExecutor(4 * len(clients), "sparseir-shard") if known is None else known._pool
        )
        described = list(self._pool.map(lambda client: _described(client, partial), clients))
        found = [(client, said) for client, said in zip(clients, described, strict=True) if said is not None]
        if not found:
            raise ShardError(f"none of {len(clients)} shards answers, from {clients[0].address} on; start them")
        entries = [ShardEntry(**said["shard"]) for _, said in found]
        check_together(entries, [client.address for client, _ in found], partial=partial)
        order = sorted(range(len(found)), key=lambda i: entries[i].number)
        self._shards = [found[i][0] for i in order]
        self._said, self._entries = [found[i][1] for i in order], [entries[i] for i in order]
        self._down: set[int] = set()
        self._lock = threading.Lock()
        self._ends = np.array([shard_end(entry, entry.number) for entry in self._entries])
        if known is not None and known.state[0] == entries[0].collection:
            folder = known.folder
        else:
            folder = _Folder()
            for name in self._said[0]["query_side"]:
                (folder.path / Path(name).name).write_bytes(self._shards[0].get(f"/query-side/{quote(name)}"))
        self.folder: _Folder = folder
        files = QueryFiles(folder.path) if self._said[0]["query_side"] else None
        super().__init__(
            Path(clients[0].address.partition("://")[2]), _manifest(self._said, self._entries), (), (), files
        )

    @property
    def state(self) -> tuple[str, tuple[tuple[int, int], ...]]:
        """The collection, and which shard answers with which commit."""
        up = [(e.number, s["generation"]) for i, (e, s) in enumerate(self._parts()) if i not in self._down]
        return self._entries[0].collection, tuple(up)

    @property
    def share(self) -> float:
        """Share of the collection's documents, as built, that the shards hold which have answered until now."""
        return share_of([entry for i, entry in enumerate(self._entries) if i not in self._down])

    @property
    def num_docs(self) -> int:
        return sum(int(said["documents"]) for said in self._said)

    @property
    def num_stored(self) -> int:
        return sum(int(said["stored"]) for said in self._said)

    @property
    def num_postings(self) -> int:
        return sum(int(said["postings"]) for said in self._said)

    @property
    def query_side(self) -> Path | None:
        return None if self.query_files is None else self.query_files.path

    def refresh(self) -> Index:
        fresh = RemoteIndex(self._clients, partial=self._partial, known=self)
        return self if fresh.state == self.state else fresh

    def document_frequencies(self, term_ids: Sequence[int]) -> list[int]:
        found = self.ask_all("/frequencies", terms=list(map(int, term_ids)))
        counts: list[list[int]] = [json.loads(raw)["frequencies"] for _, raw in found]
        return [sum(of_term) for of_term in zip(*counts, strict=True)]

    def ordinals(self, docnos: Sequence[str]) -> NDArray[np.int64]:
        found = self.ask_all("/ordinals", docnos=list(docnos))
        return np.max([json.loads(raw)["ordinals"] for _, raw in found], axis=0).astype(np.int64).reshape(len(docnos))

    def docnos(self, ordinals: Sequence[int] | NDArray[np.int64]) -> list[str | None]:
        return self._of_each(ordinals, "docnos", None)

    def fields(self, ordinals: Sequence[int] | NDArray[np.int64]) -> list[dict[str, Any]]:
        return self._of_each(ordinals, "fields", {})

    def vectors(
        self, ordinals: Sequence[int] | NDArray[np.int64]
    ) -> list[tuple[NDArray[np.uint32], NDArray[np.uint8]]]:
        """Term ids, ascending, and impacts of documents."""
        found: list[dict[str, Any]] = self._of_each(ordinals, "vectors", {"terms": [], "impacts": []})
        return [(np.array(v["terms"], np.uint32), np.array(v["impacts"], np.uint8)) for v in found]

    def impacts(self, term_ids: NDArray[np.uint32], ordinals: NDArray[np.int64]) -> NDArray[np.int64]:
        """(terms, documents): impact of each term in each document, 0 where it lacks it."""
        out = np.zeros((len(term_ids), len(ordinals)), np.int64)
        for column, (terms, impacts) in enumerate(self.vectors(ordinals)):
            _, here, there = np.intersect1d(term_ids, terms, return_indices=True)
            out[here, column] = impacts[there]
        return out

    def ask_all(self, path: str, **body: Any) -> list[tuple[int, bytes]]:
        """(place of the shard, its answer) of every shard that answers.

        Raises
        ------
        ShardError : one does not, and `partial` was not asked for; or none does.
        """
        places = [place for place in range(len(self._shards)) if place not in self._down]
        answers = list(self._pool.map(lambda place: self._ask(place, path, body), places))
        found = [(place, raw) for place, raw in zip(places, answers, strict=True) if raw is not None]
        if not found:
            raise ShardError(
                f"none of {len(self._shards)} shards answers, from {self._shards[0].address} on; start them"
            )
        return found

    def _ask(self, place: int, path: str, body: dict[str, Any]) -> bytes | None:
        try:
            return self._shards[place].post(path, generation=self._said[place]["generation"], **body)
        except ShardError:
            if not self._partial:
                raise
            with self._lock:
                self._down.add(place)
            return None

    def _of_each(self, ordinals: Sequence[int] | NDArray[np.int64], what: str, absent: T) -> list[T]:
        wanted = np.asarray(ordinals, np.int64).reshape(-1)
        out = [absent] * len(wanted)
        shard = np.searchsorted(self._ends, wanted, side="right")
        asked = []
        for place in np.unique(shard[(wanted >= 0) & (shard < len(self._ends))]).tolist():
            rows = np.flatnonzero((shard == place) & (wanted >= 0))
            if place not in self._down:
                asked.append((place, rows, {"ordinals": wanted[rows].tolist(), "what": what}))
        for (_, rows, _), raw in zip(
            asked, self._pool.map(lambda a: self._ask(a[0], "/documents", a[2]), asked), strict=True
        ):
            if raw is not None:
                for row, value in zip(rows.tolist(), json.loads(raw)["values"], strict=True):
                    out[row] = value
        return out

    def _parts(self) -> Iterable[tuple[ShardEntry, dict[str, Any]]]:
        return zip(self._entries, self._said, strict=True)


class _Folder:
    """Goes with the last snapshot that reads it."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="sparseir-query-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def _described(client: ShardClient, partial: bool) -> dict[str, Any] | None:
    try:
        said: dict[str, Any] = json.loads(client.get(""))
    except ShardError:
        if partial:
            return None
        raise
    if said.get("protocol") != PROTOCOL:
        raise ConfigError(
            f"shard {client.address} speaks protocol {said.get('protocol')}, expected {PROTOCOL}; update one"
        )
    if said["shard"] is None:
        raise ConfigError(
            f"{client.address} serves an index of its own, no shard; shards have one scale and one set of statistics, "
            "which 'sparseir index build --shards N' gives them"
        )
    return said


def _manifest(said: Sequence[dict[str, Any]], entries: Sequence[ShardEntry]) -> Manifest:
    kinds: dict[str, str] = {}
    for one in said:
        kinds.update(one["fields"])
    encoder = said[0]["encoder"]
    return Manifest(
        generation=1 + sum(one["generation"] - 1 for one in said),
        num_terms=said[0]["terms"],
        doc_scale=said[0]["doc_scale"],
        next_ordinal=entries[0].documents,
        segments=(),
        encoder=None if encoder is None else EncoderEntry(**encoder),
        fields=kinds,
        created=said[0]["created"],
        shard=entries[0],
    )
