"""Building and changing a collection: documents are indexed on this machine, in a staging folder, and sent from there.

So impacts, terms and statistics are those of an index folder. A collection becomes an index when the last document is in;
documents that are added or replaced are seen when the state of the index names them.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from indexer import Index, open_index
from indexer.interchange.export import index_batches
from indexer.interchange.live import LiveDocuments
from indexer.progress import Progress
from indexer.update import DeleteReport
from sparseir.data.passages import windows_of
from sparseir.errors import ConfigError, DataError
from sparseir.search.stores.client import StoreClient
from sparseir.search.stores.filters import condition_of
from sparseir.search.stores.index import StoreIndex, pack, unpack
from sparseir.search.stores.places import StorePlace

if TYPE_CHECKING:
    from sparseir.encode.options import IndexingOptions

Fill = Callable[[Path, "IndexingOptions"], Index]
"""Writes the documents of a command into an index folder."""
_ROWS = 2000


def check_target(place: StorePlace, options: IndexingOptions, client: StoreClient | None = None) -> StoreClient:
    """Refuse to build where something stands, before minutes of encoding.

    Raises
    ------
    ConfigError : shards; a collection that is there, without overwrite or resume. StoreError : no server, or not ours.
    """
    if options.shards is not None or options.windows is not None:
        raise ConfigError(f"{place}: a collection has no --shards, which Milvus makes itself, and no --windows")
    client = client or StoreClient(place)
    if client.exists() and not options.overwrite:
        client.check_shape()
        if client.read_state() is not None:
            raise ConfigError(f"{place}: the collection exists; give --overwrite to replace it, or 'index add' to it")
        if not options.resume:
            raise ConfigError(f"{place}: a load of it was stopped; give --resume to go on, or --overwrite")
    return client


def build(
    place: StorePlace, options: IndexingOptions, fill: Fill, progress: Progress, client: StoreClient | None = None
) -> Index:
    """Build a collection; what it held with `overwrite` goes when the documents are ready to be sent.

    Raises
    ------
    ConfigError, StoreError : as `check_target`.
    """
    client = check_target(place, options, client)
    stage = _stage(place)
    if stage.exists() and not options.resume:
        shutil.rmtree(stage)
    stage.mkdir(exist_ok=True)
    if options.resume and (stage / "ready").exists():
        staged = open_index(stage / "index")
    else:
        staged = fill(stage / "index", replace(options, overwrite=False))
        (stage / "ready").touch()
    if options.overwrite and client.exists():
        client.drop()
    if not client.exists():
        client.create()
    _send(client, staged, stage, progress)
    with tempfile.TemporaryDirectory(dir=stage) as temporary:
        client.write_state(pack(staged, _counts(staged), staged.num_stored, Path(temporary) / "state"))
    shutil.rmtree(stage)
    return StoreIndex(client)


def add(
    place: StorePlace, options: IndexingOptions, fill: Fill, progress: Progress, client: StoreClient | None = None
) -> Index:
    """Add documents to a collection, or replace those of their names.

    Raises
    ------
    DataError : names that the collection has, without replacing. StoreError : no server, or no index there.
    """
    client = client or StoreClient(place)
    index = StoreIndex(client)
    end = index.manifest.next_ordinal
    client.delete(f"id >= {end}")  # of an addition that was stopped: nobody saw them
    with tempfile.TemporaryDirectory(prefix="sparseir-stage-") as temporary:
        folder = Path(temporary)
        raw = client.read_state()
        assert raw is not None
        (folder / "index").mkdir()
        unpack(raw, folder / "index")
        (folder / "index" / "frequencies.npy").unlink()
        staged = fill(folder / "index", replace(options, mode="add"))
        documents = LiveDocuments(staged)
        names = documents.docnos(0, documents.count)
        old = index.ordinals(names)
        if options.mode != "replace" and (old >= 0).any():
            raise DataError(
                f"{place}: document {names[int(np.argmax(old >= 0))]!r} is there already; --replace replaces it"
            )
        _send(client, staged, folder, progress)
        _remove(client, old[old >= 0])
        counts = _counts(staged)
        counts[: len(index.df)] += index.df
        client.write_state(pack(staged, counts, staged.num_stored + index.num_stored, folder / "state"))
    return StoreIndex(client)


def delete(
    place: StorePlace, names: Sequence[str], condition: str | None = None, client: StoreClient | None = None
) -> DeleteReport:
    """Delete documents by name, or those that a filter allows; frequencies count them on, as in a folder before `compact`.

    Raises
    ------
    StoreError : no server, or no index there.
    """
    client = client or StoreClient(place)
    index, wanted = StoreIndex(client), list(dict.fromkeys(names))
    if condition is not None:
        wanted = [row["docno"] for row in client.query(condition_of(index, condition), ["docno"])]
    found = index.ordinals(wanted)
    _remove(client, found[found >= 0])
    missing = tuple(name for name, ordinal in zip(wanted, found.tolist(), strict=True) if ordinal < 0)
    return DeleteReport(int((found >= 0).sum()), missing)


def _stage(place: StorePlace) -> Path:
    """Outlasts a load that is stopped, so that resuming encodes nothing again; where nobody else can plant files."""
    key = hashlib.sha256(str(place).encode()).hexdigest()[:16]
    kept = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sparseir" / "loads"
    kept.mkdir(parents=True, exist_ok=True, mode=0o700)
    return kept / key


def _send(client: StoreClient, staged: Index, folder: Path, progress: Progress) -> None:
    if windows_of(staged) is not None:
        raise ConfigError("an index of passages cannot be kept in a collection")
    documents, first = LiveDocuments(staged), 0
    for batch in index_batches(staged, weights="impact", folder=folder, documents=documents):
        assert batch.docnos is not None
        for begin in range(0, len(batch), _ROWS):
            part = slice(begin, min(len(batch), begin + _ROWS))
            ordinals = documents.ordinals[first + part.start : first + part.stop]
            rows = list(_rows(staged, ordinals, list(batch.docnos[part]), batch.vectors.slice(part.start, part.stop)))
            if rows:
                low, high = rows[0]["id"], rows[-1]["id"]
                if client.count(f"id >= {low} and id <= {high}") < len(rows):
                    client.upsert(rows)
            progress("loading", first + part.stop, documents.count)
        first += len(batch)


def _rows(staged: Index, ordinals: NDArray[np.int64], names: list[str], vectors: Any) -> Iterator[dict[str, Any]]:
    """Documents with terms: Milvus takes no others, and no search finds them."""
    terms, weights = vectors.term_ids.tolist(), vectors.weights.tolist()
    spans = pairwise(vectors.indptr.tolist())
    for ordinal, name, fields, (lo, hi) in zip(ordinals.tolist(), names, staged.fields(ordinals), spans, strict=True):
        if hi > lo:
            sparse = dict(zip(terms[lo:hi], weights[lo:hi], strict=True))
            yield {"id": ordinal, "docno": name, "fields": json.loads(json.dumps(fields)), "sparse": sparse}


def _remove(client: StoreClient, ordinals: NDArray[np.int64]) -> None:
    for begin in range(0, len(ordinals), 1000):
        client.delete(f"id in {ordinals[begin : begin + 1000].tolist()}")


def _counts(staged: Index) -> NDArray[np.int64]:
    return np.array(staged.document_frequencies(range(staged.num_terms)), np.int64)
