"""A collection as an index: what `Index` says of a folder, asked of Milvus."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import tempfile
import weakref
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer import Index, open_index
from indexer.format.manifest import commit
from indexer.interchange.matrices.npz import load_array
from sparseir.search.stores.client import StoreClient, StoreError
from sparseir.search.stores.filters import MetaFields

_DF, _FACTS = "frequencies.npy", "collection.json"
_LARGEST_STATE = 4 << 30


class StoreIndex(Index):
    """A snapshot of a collection: the state of the index is read once, documents are asked for.

    Parameters
    ----------
    client : of the collection.

    Raises
    ------
    StoreError : no collection, one that is not ours, or one whose load was not finished.
    """

    def __init__(self, client: StoreClient) -> None:
        self.client = client
        if not client.exists():
            raise StoreError(f"{client.place}: there is no such collection; build it with 'sparseir index build'")
        client.check_shape()
        raw = client.read_state()
        if raw is None:
            raise StoreError(f"{client.place}: its load was not finished; go on with the same command and --resume")
        self.folder = Path(tempfile.mkdtemp(prefix="sparseir-store-"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        unpack(raw, self.folder)
        base = open_index(self.folder)
        self.facts = take_facts(self.folder)
        super().__init__(Path(str(client.place)), base.manifest, (), (), base.query_files)
        # What a load left that was stopped has ordinals that no commit has given away yet.
        end, gone = self.manifest.next_ordinal, self.facts.gone
        parts = [f"id < {end}"] if client.count(f"id >= {end}") else []
        parts += [f"id not in {gone}"] if gone else []
        self.visible = " and ".join(parts)

    @property
    def df(self) -> NDArray[np.int64]:
        """int64 (terms,): documents stored since the build that hold each term."""
        return self.facts.df

    @property
    def meta(self) -> MetaFields:
        """What filters can use."""
        return meta_of(self, self.facts.lengths)

    @property
    def num_docs(self) -> int:
        return self.client.count(self.visible)

    @property
    def num_stored(self) -> int:
        return self.facts.stored

    @property
    def num_postings(self) -> int:
        return int(self.df.sum())

    @property
    def query_side(self) -> Path | None:
        return None if self.manifest.query_side is None else self.folder / self.manifest.query_side

    def refresh(self) -> Index:
        fresh = StoreIndex(self.client)
        return self if fresh.generation == self.generation else fresh

    def document_frequencies(self, term_ids: Sequence[int]) -> list[int]:
        return [int(self.df[term]) if term < len(self.df) else 0 for term in term_ids]

    def docnos(self, ordinals: Sequence[int] | NDArray[np.int64]) -> list[str | None]:
        return [None if row is None else str(row["docno"]) for row in self._rows(ordinals, "docno")]

    def fields(self, ordinals: Sequence[int] | NDArray[np.int64]) -> list[dict[str, Any]]:
        return [{} if row is None else dict(row["fields"] or {}) for row in self._rows(ordinals, "fields")]

    def ordinals(self, docnos: Sequence[str]) -> NDArray[np.int64]:
        found: dict[str, int] = {}
        for begin in range(0, len(docnos), 1000):
            names = json.dumps(list(docnos[begin : begin + 1000]), ensure_ascii=False)
            shown = f"docno in {names}" + (f" and {self.visible}" if self.visible else "")
            found.update((row["docno"], int(row["id"])) for row in self.client.query(shown, ["id", "docno"]))
        return np.array([found.get(name, -1) for name in docnos], np.int64)

    def impacts(self, term_ids: NDArray[np.uint32], ordinals: NDArray[np.int64]) -> NDArray[np.int64]:
        """(terms, documents): impact of each term in each document, 0 where it lacks it."""
        rows = [{} if row is None else row["sparse"] for row in self._rows(ordinals, "sparse")]
        return np.array([[int(row.get(term, 0)) for row in rows] for term in term_ids.tolist()], np.int64).reshape(
            len(term_ids), len(ordinals)
        )

    def _rows(self, ordinals: Sequence[int] | NDArray[np.int64], column: str) -> list[dict[str, Any] | None]:
        wanted = np.asarray(ordinals, np.int64).reshape(-1).tolist()
        found: dict[int, dict[str, Any]] = {}
        for begin in range(0, len(wanted), 1000):
            part = wanted[begin : begin + 1000]
            found.update((int(row["id"]), row) for row in self.client.query(f"id in {part}", ["id", column]))
        return [found.get(ordinal) for ordinal in wanted]


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """What is known of the documents of a collection without asking for them.

    Parameters
    ----------
    df : int64 (terms,), documents stored since the build that hold each term. stored : documents stored since then.
    lengths : most values that a document has of each field that filters can use.
    gone : ordinals of documents that were replaced and are still to be deleted; nobody sees them.
    """

    df: NDArray[np.int64]
    stored: int
    lengths: dict[str, int]
    gone: list[int]


def meta_of(index: Index, lengths: Mapping[str, int]) -> MetaFields:
    """The fields of an index that filters can use."""
    return MetaFields(index.field_kinds, tuple(index.manifest.config.get("metadata", ())), lengths)


def take_facts(folder: Path) -> StoreFacts:
    """Read the facts among what `unpack` wrote, and take them out of the folder, which then is an index folder.

    Raises
    ------
    StoreError : there are none, or they are not what a load writes.
    """
    if not (folder / _FACTS).is_file():
        raise StoreError("the collection was built by an earlier version; build it again with --overwrite")
    try:
        said = json.loads((folder / _FACTS).read_bytes())
        facts = StoreFacts(load_array(folder / _DF), **said)
        fits = facts.df.ndim == 1 and facts.df.dtype == np.int64 and isinstance(facts.stored, int)
        fits = fits and isinstance(facts.lengths, dict) and isinstance(facts.gone, list)
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise StoreError(f"what the load of the collection kept cannot be read ({error}); load it again") from error
    if not fits or not all(isinstance(value, int) for value in (*facts.lengths.values(), *facts.gone)):
        raise StoreError("what the load of the collection kept is not of the kind it wrote; load it again")
    (folder / _DF).unlink()
    (folder / _FACTS).unlink()
    return facts


def pack(staged: Index, facts: StoreFacts, folder: Path, *, query_folder: Path | None = None) -> bytes:
    """The state of an index without its documents, as an archive: manifest, query side and facts.

    Parameters
    ----------
    query_folder : where the query side is, if not in the index's folder.
    """
    folder.mkdir()
    if staged.manifest.query_side is not None:
        shutil.copytree((query_folder or staged.path) / staged.manifest.query_side, folder / staged.manifest.query_side)
    commit(folder, replace(staged.manifest, segments=()))
    np.save(folder / _DF, facts.df)
    said = {"stored": facts.stored, "lengths": facts.lengths, "gone": facts.gone}
    (folder / _FACTS).write_text(json.dumps(said))
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as archive:
        archive.add(folder, ".")
    return raw.getvalue()


def unpack(raw: bytes, folder: Path) -> None:
    """Write what `pack` made into a folder.

    Raises
    ------
    StoreError : it is no such archive, or one larger than any that `pack` makes.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(raw), mode="r:gz") as archive:
            if sum(member.size for member in archive) > _LARGEST_STATE:
                raise tarfile.TarError(f"more than {_LARGEST_STATE >> 30} GB")
            archive.extractall(folder, filter="data")
    except (OSError, tarfile.TarError, EOFError, ValueError, zlib.error) as error:
        raise StoreError(f"what the load of the collection kept is no archive ({error}); load it again") from error
