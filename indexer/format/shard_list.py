"""shards.json: which folders hold the shards of a collection that was built in several."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from indexer.errors import IndexFormatError
from indexer.format import files

SHARDS_FILE = "shards.json"
_FORMAT, _VERSION = "sparseir-shards", 1
_LARGEST = 16 << 20
_NAME = re.compile(r"shard-\d{3,}(\.\d+)?", re.ASCII)


def is_sharded(folder: Path) -> bool:
    """Whether a folder holds shards, not one index."""
    return (folder / SHARDS_FILE).exists()


def is_shard_name(name: str) -> bool:
    """Whether `name_of` gives such names."""
    return _NAME.fullmatch(name) is not None


def name_of(number: int, build: int) -> str:
    """Name of the folder of a shard; `build` counts from 1 the builds that one folder has seen."""
    return f"shard-{number:03d}" + ("" if build == 1 else f".{build}")


def build_of(name: str) -> int:
    """The build that a shard's folder is of."""
    return int(name.partition(".")[2] or 1)


def shard_folders(folder: Path) -> list[Path]:
    """The folders of the shards, in the order of their documents.

    Raises
    ------
    IndexFormatError : the list is damaged.
    """
    path = folder / SHARDS_FILE
    try:
        body = json.loads(files.read_regular(path, _LARGEST))
        names = body["shards"]
        if (body["format"], body["version"]) != (_FORMAT, _VERSION):
            raise ValueError(f"format {body['format']!r}, version {body['version']!r}")
        if not names or not all(isinstance(name, str) and is_shard_name(name) for name in names):
            raise ValueError(f"shards are {names!r}"[:200])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise IndexFormatError(
            f"'{path}' is no list of shards that this build reads ({error}); restore the file or rebuild",
            invariant="shards-list",
        ) from None
    return [folder / name for name in names]


def shard_list(names: Sequence[str]) -> bytes:
    """The content of the file for these shards."""
    body = {"format": _FORMAT, "version": _VERSION, "shards": list(names)}
    return json.dumps(body, indent=1).encode() + b"\n"


def write_shard_list(folder: Path, names: Sequence[str]) -> None:
    """Make these the shards of the folder, durably; they must be complete."""
    beside = folder / (SHARDS_FILE + ".new")
    with files.created(beside) as descriptor:
        files.write(descriptor, shard_list(names), 0)
    files.replace(beside, folder / SHARDS_FILE)
    files.fsync_folder(folder)
