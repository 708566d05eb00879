"""Encoding on many machines with Ray Data: the shards of `encode_collection` as tasks of actors that hold the model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexer.interchange.jsonl.text import json_value
from sparseir.config.encode import EncodeConfig
from sparseir.data.records import Document
from sparseir.encode.collection import CollectionOptions, describe_run, encode_collection, shard_digest
from sparseir.errors import ConfigError, DataError, MissingExtraError

if TYPE_CHECKING:
    from sparseir.models.encoder import SparseEncoder


def encode_with_ray(
    model: str | Path,
    read: Callable[[], Iterable[Document]],
    folder: str | Path,
    *,
    shards: int,
    workers: int,
    config: EncodeConfig | None = None,
) -> list[Path]:
    """Encode a collection as `shards` files `shard-<i>-of-<n>.npz`, `workers` at a time.

    Each shard resumes by itself: a task that Ray runs again after a lost machine goes on after its finished parts, and a
    later call leaves finished shards alone. Beside each stands what it was made with, `shard-<i>-of-<n>.json`.

    Parameters
    ----------
    model : what `SparseEncoder.load` takes, readable from every machine, as `folder` is.
    read : gives the whole collection anew at every call, in one order.

    Returns
    -------
    The files, in the order of their shards.

    Raises
    ------
    MissingExtraError
        Ray is not installed.
    ConfigError
        A shard in the folder was made by another model or with other settings; Ray hands it on as its own error's cause.
    """
    try:
        import ray.data
    except ImportError:
        raise MissingExtraError("ray", "ray", "encoding on many machines") from None
    target, chosen = Path(folder).absolute(), config or EncodeConfig()
    target.mkdir(parents=True, exist_ok=True)

    class Worker:
        """Holds the model; encodes one shard a call."""

        def __init__(self) -> None:
            from sparseir.models.encoder import SparseEncoder

            self.encoder = SparseEncoder.load(model)

        def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
            shard = int(row["shard"])
            output = target / f"shard-{shard}-of-{shards}.npz"
            options = CollectionOptions(config=chosen, shard=(shard, shards), resume=True)
            _encode_shard(self.encoder, read, output, options)
            return {"shard": shard, "file": str(output)}

    # One block a shard from the start: to cut blocks later takes tasks, which wait for ever where the actors hold all CPUs.
    tasks = ray.data.from_items([{"shard": i} for i in range(1, shards + 1)], override_num_blocks=shards)
    rows = tasks.map(Worker, compute=ray.data.ActorPoolStrategy(size=workers)).take_all()
    return [Path(row["file"]) for row in sorted(rows, key=lambda row: row["shard"])]


def _encode_shard(
    encoder: SparseEncoder, read: Callable[[], Iterable[Document]], output: Path, options: CollectionOptions
) -> None:
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
