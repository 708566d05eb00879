"""Encoding on many machines with Ray Data: the shards of `encode_collection` as tasks of actors that hold the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from sparseir.config.encode import EncodeConfig
from sparseir.data.records import Document
from sparseir.encode.collection import CollectionOptions, encode_collection
from sparseir.errors import MissingExtraError


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

    Each shard resumes by itself: a task that Ray runs again after a lost machine goes on after its finished parts.

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
            if not output.is_file():
                options = CollectionOptions(config=chosen, shard=(shard, shards), resume=True)
                encode_collection(self.encoder, read(), output, options=options)
            return {"shard": shard, "file": str(output)}

    tasks = ray.data.from_items([{"shard": i} for i in range(1, shards + 1)]).repartition(shards)
    rows = tasks.map(Worker, concurrency=workers).take_all()
    return [Path(row["file"]) for row in sorted(rows, key=lambda row: row["shard"])]
