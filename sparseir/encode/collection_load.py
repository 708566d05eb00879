"""Building and changing a collection: documents are indexed on this machine, in a staging folder, and sent from there.

So impacts, terms and statistics are those of an index folder. A collection becomes an index when the last document is in;
documents that are added or replaced are seen when the state of the index names them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from indexer import Index, SparseVectors, open_index
from indexer.interchange.export import index_batches
from indexer.interchange.live import LiveDocuments
from indexer.progress import Progress
from indexer.update import DeleteReport
from sparseir.data.passages import windows_of
from sparseir.errors import ConfigError, DataError
from sparseir.search.stores.client import StoreClient
from sparseir.search.stores.filters import MetaFields, condition_of, values_of
from sparseir.search.stores.index import StoreFacts, StoreIndex, meta_of, pack, take_facts, unpack
from sparseir.search.stores.places import StorePlace
from sparseir.search.stores.rows import StoreRows, as_json

if TYPE_CHECKING:
    from sparseir.encode.options import IndexingOptions

Fill = Callable[[Path, "IndexingOptions"], Index]
"""Writes the documents of a command into an index folder."""
ROWS = 5000
"""Documents of a request, fewer where they are long."""
_BYTES = 16 << 20


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
    place: StorePlace,
    options: IndexingOptions,
    fill: Fill,
    progress: Progress,
    client: StoreClient | None = None,
    *,
    source: str = "",
) -> Index:
    """Build a collection; what it held with `overwrite` goes when the documents are ready to be sent.

    Parameters
    ----------
    source : says which documents and settings these are, so that a load goes on with no others.

    Raises
    ------
    ConfigError : as `check_target`; a load to go on with that is of another source. StoreError : as `check_target`.
    """
    client = check_target(place, options, client)
    stage, begun = _stage(place), False
    if options.resume:
        begun = client.exists() and not options.overwrite
        _check_source(place, source, stage, client.read_load() if begun else None)
    elif stage.exists():
        shutil.rmtree(stage)
    stage.mkdir(exist_ok=True)
    if (stage / "ready").exists():
        staged = open_index(stage / "index")
    else:
        (stage / "source").write_text(source)
        staged = fill(stage / "index", replace(options, overwrite=True))  # of a build that was stopped
        (stage / "ready").touch()
    if options.overwrite and client.exists():
        client.drop()
    client.create()
    client.write_load(source)
    lengths = send_documents(client, staged, stage, progress, begun=begun)
    with tempfile.TemporaryDirectory(dir=stage) as temporary:
        facts = StoreFacts(_counts(staged), staged.num_stored, lengths, [])
        client.write_state(pack(staged, facts, Path(temporary) / "state"))
    shutil.rmtree(stage)
    return StoreIndex(client)


def source_digest(settings: object, places: Sequence[str | Path | None]) -> str:
    """What documents are made from, in 32 characters.

    Parameters
    ----------
    settings : whose `repr` tells them apart. places : files and folders, whose contents count; of what is neither, the name.
    """
    found = hashlib.blake2b(repr(settings).encode(), digest_size=16)
    for place in places:
        path = Path(str(place))
        files = sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else [path] if path.is_file() else []
        found.update(repr(([str(f.relative_to(path)) for f in files], None if files else str(place))).encode())
        for one in files:
            with one.open("rb") as file:
                found.update(hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest())
    return found.hexdigest()


def _check_source(place: StorePlace, source: str, stage: Path, begun: str | None) -> None:
    kept = stage / "source"
    for where, found in (("staged", kept.read_text() if kept.exists() else None), ("in the collection", begun)):
        if found is not None and found != source:
            raise ConfigError(
                f"{place}: what is {where} is of another input or other settings; give --resume the same ones, or "
                "--overwrite without --resume to begin anew"
            )


def add(
    place: StorePlace, options: IndexingOptions, fill: Fill, progress: Progress, client: StoreClient | None = None
) -> Index:
    """Add documents to a collection, or replace those of their names.

    Raises
    ------
    DataError : names that the collection has, without replacing. StoreError : no server, or no index there.
    """
    client = client or StoreClient(place)
    index = _settled(client)
    client.delete(f"id >= {index.manifest.next_ordinal}")  # of an addition that was stopped: nobody saw them
    with tempfile.TemporaryDirectory(prefix="sparseir-stage-") as temporary:
        folder = Path(temporary)
        raw = client.read_state()
        assert raw is not None
        (folder / "index").mkdir()
        unpack(raw, folder / "index")
        take_facts(folder / "index")
        staged = fill(folder / "index", replace(options, mode="add"))
        documents = LiveDocuments(staged)
        names = documents.docnos(0, documents.count)
        old = index.ordinals(names)
        if options.mode != "replace" and (old >= 0).any():
            raise DataError(
                f"{place}: document {names[int(np.argmax(old >= 0))]!r} is there already; --replace replaces it"
            )
        lengths = send_documents(client, staged, folder, progress)
        for name, most in index.facts.lengths.items():
            lengths[name] = max(most, lengths.get(name, 0))
        counts = _counts(staged)
        counts[: len(index.df)] += index.df
        facts = StoreFacts(counts, staged.num_stored + index.num_stored, lengths, old[old >= 0].tolist())
        client.write_state(pack(staged, facts, folder / "state"))
    return _settled(client)


def _settled(client: StoreClient) -> StoreIndex:
    """The collection, after what was replaced is deleted: the commit that names the new documents hides the old ones, so
    whoever writes next can do what a replacement that was stopped left."""
    index = StoreIndex(client)
    if not index.facts.gone:
        return index
    _remove(client, np.array(index.facts.gone, np.int64))
    with tempfile.TemporaryDirectory(prefix="sparseir-stage-") as temporary:
        folder = Path(temporary)
        client.write_state(pack(index, replace(index.facts, gone=[]), folder / "state", query_folder=index.folder))
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
    index, wanted = _settled(client), list(dict.fromkeys(names))
    if condition is not None:
        shown = " and ".join(f"({part})" for part in (index.visible, condition_of(index.meta, condition)) if part)
        count = client.count(shown)
        client.delete(shown)
        return DeleteReport(count, ())
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


def send_documents(
    client: StoreClient, staged: Index, folder: Path, progress: Progress, *, begun: bool = False
) -> dict[str, int]:
    """Write the documents of a staged index. Gives the most values that one has of each field.

    Parameters
    ----------
    folder : for temporary files. begun : ask what is there, and send nothing again.
    """
    if windows_of(staged) is not None:
        raise ConfigError("an index of passages cannot be kept in a collection")
    documents, first = LiveDocuments(staged), 0
    lengths: dict[str, int] = {}
    meta = meta_of(staged, lengths)
    with ThreadPoolExecutor(1) as sender:  # one request is on its way while the next is made
        sent: Future[None] | None = None
        for batch in index_batches(staged, weights="impact", folder=folder, documents=documents):
            assert batch.docnos is not None
            for begin in range(0, len(batch), ROWS):
                part = slice(begin, min(len(batch), begin + ROWS))
                ordinals = documents.ordinals[first + part.start : first + part.stop]
                fields = staged.fields(ordinals)
                _count(lengths, meta, fields)
                rows = _rows(meta, ordinals, batch.docnos[part], fields, batch.vectors.slice(part.start, part.stop))
                for few in _requests(rows):
                    if sent is not None:
                        sent.result()
                    sent = sender.submit(_send, client, few, begun)
                progress("loading", first + part.stop, documents.count)
            first += len(batch)
        if sent is not None:
            sent.result()
    return lengths


def _send(client: StoreClient, rows: StoreRows, begun: bool) -> None:
    low, high = rows.ids[0], rows.ids[-1]
    if not begun or client.count(f"id >= {low} and id <= {high}") < len(rows):
        client.upsert(rows)


def _count(lengths: dict[str, int], meta: MetaFields, fields: Sequence[Mapping[str, Any]]) -> None:
    for name in meta.names:
        lengths[name] = max(lengths.get(name, 0), *(len(values_of(row.get(name))) for row in fields), 0)


def _rows(
    meta: MetaFields,
    ordinals: NDArray[np.int64],
    names: Sequence[str],
    fields: Sequence[Mapping[str, Any]],
    vectors: SparseVectors,
) -> StoreRows:
    """Documents with terms: Milvus takes no others, and no search finds them."""
    kept = np.flatnonzero(np.diff(vectors.indptr) > 0).tolist()
    indptr = vectors.indptr[[0, *(row + 1 for row in kept)]]
    return StoreRows(
        ordinals[kept],
        [names[row] for row in kept],
        [as_json(fields[row]) for row in kept],
        [as_json(meta.row(fields[row])) for row in kept],
        SparseVectors(indptr, vectors.term_ids, vectors.weights, vectors.num_terms),
    )


def _requests(rows: StoreRows) -> Iterator[StoreRows]:
    """Rows in pieces that a server takes: it refuses messages above 64 MB."""
    sizes = [len(a) + len(b) for a, b in zip(rows.fields, rows.meta, strict=True)]
    ends = np.cumsum(np.array(sizes, np.int64) + 8 * np.diff(rows.vectors.indptr)) // _BYTES if sizes else np.zeros(0)
    cuts = [0, *(np.flatnonzero(np.diff(ends)) + 1).tolist(), len(rows)]
    for begin, end in pairwise(cuts):
        if end > begin:
            yield rows.slice(begin, end)


def _remove(client: StoreClient, ordinals: NDArray[np.int64]) -> None:
    for begin in range(0, len(ordinals), 1000):
        client.delete(f"id in {ordinals[begin : begin + 1000].tolist()}")


def _counts(staged: Index) -> NDArray[np.int64]:
    return np.array(staged.document_frequencies(range(staged.num_terms)), np.int64)
