"""Encoding on many machines with Ray: the shards of `encode_collection` as tasks, joined in the order of the collection."""

from __future__ import annotations

import json
import shutil
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexer import Documents
from indexer.interchange import open_vectors
from indexer.interchange.jsonl.text import json_value
from indexer.progress import Progress, silent
from sparseir.config.encode import EncodeConfig
from sparseir.data.records import Document
from sparseir.encode.collection import encode_collection
from sparseir.encode.collection_parts import CollectionOptions, shard_digest
from sparseir.encode.collection_record import Encoded, describe_run, finish, finished_before
from sparseir.errors import ConfigError, DataError, LockedError, MissingExtraError

if TYPE_CHECKING:
    from sparseir.models.encoder import SparseEncoder

Read = Callable[[], Iterable[Document]]
MOST_SHARDS = 256
"""Each reads the whole collection twice, which at 256 takes a third of what encoding takes, at 100,000 and 60 texts a second."""


def encode_on_cluster(
    model: str | Path,
    read: Read,
    output: str | Path,
    *,
    address: str,
    options: CollectionOptions | None = None,
    workers: int | None = None,
    progress: Progress = silent,
) -> Encoded:
    """Encode a collection on a Ray cluster into one vector file, the same as `encode_collection` writes.

    Parts are dealt out to shards, which stand in `<output>.shards` until the last is complete; then they are joined and
    the folder goes. A lost machine's shards are taken over by another, after their finished parts.

    Parameters
    ----------
    model : what `SparseEncoder.load` takes, readable from every machine, as the collection and the output's folder are.
    read : gives the whole collection anew at every call, in one order. It is pickled and travels to the machines: a
        function that opens the corpus, with absolute paths, as the model's.
    address : HOST:PORT of the cluster's head, "auto" on a machine of it, "local" for this machine alone. A connection
        that is open already is used, whatever this says.
    options : `shard`, `queries` and `token_vectors` are not for clusters. resume : keep finished shards and parts of a run that stopped.
    workers : processes at a time, of one CPU each; all CPUs of the cluster if left out.

    Raises
    ------
    MissingExtraError : Ray is not installed.
    ConfigError, DataError : as `encode_collection`; no cluster at the address.
    """
    from sparseir.models.encoder import SparseEncoder

    chosen, path = options or CollectionOptions(), Path(output).absolute()
    if chosen.shard != (1, 1) or chosen.queries or chosen.token_vectors:
        raise ConfigError("a cluster deals out shards itself, of documents: leave out shard, queries and token_vectors")
    encoder = SparseEncoder.load(model)
    folder = path.with_name(path.name + ".shards")
    before = finished_before(path, encoder, read, chosen, stopped=folder.is_dir())
    if before is not None:
        return before
    if folder.is_dir() and not chosen.resume:
        shutil.rmtree(folder)
    parts = -(-sum(1 for _ in read()) // chosen.config.part_size)
    if parts == 0:
        raise DataError("no text to encode")
    with _connected(address):
        shards = min(parts, MOST_SHARDS)
        files = encode_with_ray(
            model, read, folder, shards=shards, workers=workers, config=chosen.config, progress=progress
        )
    rows = _in_order(files, chosen.config.part_size, encoder.num_terms)
    written = finish(path, rows, encoder, chosen, shard_digest(encoder, read(), chosen))
    shutil.rmtree(folder)
    return written


def encode_with_ray(
    model: str | Path,
    read: Read,
    folder: str | Path,
    *,
    shards: int,
    workers: int | None = None,
    config: EncodeConfig | None = None,
    progress: Progress = silent,
) -> list[Path]:
    """Encode a collection as `shards` files `shard-<i>-of-<n>.npz`, `workers` at a time.

    Each shard resumes by itself: a task that Ray runs again after a lost machine goes on after its finished parts, and a
    later call leaves finished shards alone. Beside each stands what it was made with, `shard-<i>-of-<n>.json`.

    Parameters
    ----------
    model : what `SparseEncoder.load` takes, readable from every machine, as `folder` is.
    read : gives the whole collection anew at every call, in one order.
    workers : left out, as many as the cluster has CPUs.

    Returns
    -------
    The files, in the order of their shards.

    Raises
    ------
    MissingExtraError
        Ray is not installed.
    ConfigError
        A shard in the folder was made by another model or with other settings.
    """
    ray = _ray()
    target, chosen = Path(folder).absolute(), config or EncodeConfig()
    target.mkdir(parents=True, exist_ok=True)
    files = [target / f"shard-{i}-of-{shards}.npz" for i in range(1, shards + 1)]

    # A task of a machine that is lost runs again elsewhere, however often; an error of ours is not tried again.
    @ray.remote(num_cpus=1, max_retries=-1, scheduling_strategy="SPREAD")  # type: ignore[untyped-decorator, unused-ignore]
    def encode(shard: int) -> None:
        options = CollectionOptions(config=chosen, shard=(shard, shards), resume=True)
        _unlocked(partial(_encode_shard, _loaded(str(model)), read, files[shard - 1], options))

    if not ray.is_initialized():
        ray.init()
    most = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
    waiting, running = iter(range(1, shards + 1)), set[Any]()
    for done in range(shards):
        running |= {encode.remote(shard) for shard in islice(waiting, most - len(running))}
        (first,), rest = ray.wait(list(running))
        running = set(rest)
        try:
            ray.get(first)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        progress("encoding shards", done + 1, shards)
    return files


def _unlocked(work: Callable[[], None], seconds: float = 120) -> None:
    """Do it once the lock is free: a process that lost its machine's daemon may hold it a little longer."""
    end = time.monotonic() + seconds
    while True:
        try:
            return work()
        except LockedError:
            if time.monotonic() > end:
                raise
            time.sleep(1)


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise MissingExtraError("ray", "ray", "encoding on many machines") from None
    return ray


@contextmanager
def _connected(address: str) -> Iterator[None]:
    """A connection to the cluster, closed at the end if it was opened here."""
    ray = _ray()
    if ray.is_initialized():
        yield
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        if host and port.isdigit():
            socket.create_connection((host, int(port)), timeout=10).close()  # Ray itself would try for minutes
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (OSError, OverflowError, RuntimeError, ValueError) as error:
        said = str(error).partition("\n")[0]
        raise ConfigError(
            f"no Ray cluster at {address!r} ({said}); start one with 'ray start --head', or give 'local'"
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


@cache
def _loaded(model: str) -> SparseEncoder:
    """Once a process, which encodes many shards."""
    from sparseir.models.encoder import SparseEncoder

    return SparseEncoder.load(model)


def _encode_shard(encoder: SparseEncoder, read: Read, output: Path, options: CollectionOptions) -> None:
    """Write one shard unless it is there already, made of these texts by this encoder with these settings."""
    note = output.with_suffix(".json")
    description = describe_run(encoder, options) | {"texts": shard_digest(encoder, read(), options)}
    if output.is_file():
        try:
            found = json_value(note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            found = None
        if not isinstance(found, dict) or found | {"texts": description["texts"]} != description:
            raise ConfigError(f"{output} was made by another model or with other settings; give another folder")
        if found != description:
            raise DataError("the documents differ from those it was made of; give another folder", path=output)
        return
    note.write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
    encode_collection(encoder, read(), output, options=options)


def _in_order(files: list[Path], size: int, num_terms: int) -> Iterator[Documents]:
    """The rows of all shards in the order of the collection: shards take turns at parts of `size` rows."""
    for parts in cycle([_cut(open_vectors(file, num_terms=num_terms), size) for file in files]):
        part = next(parts, None)
        if part is None:
            return
        yield from part


def _cut(batches: Iterable[Documents], size: int) -> Iterator[list[Documents]]:
    """The rows of batches, `size` at a time."""
    part: list[Documents] = []
    room = size
    for batch in batches:
        begin = 0
        while begin < len(batch):
            end = min(len(batch), begin + room)
            part.append(batch.slice(begin, end))
            room -= end - begin
            begin = end
            if room == 0:
                yield part
                part, room = [], size
    if part:
        yield part
