"""Opening what a folder holds: an index, or shards that are one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from indexer.errors import IndexFormatError
from indexer.format.shard_list import is_sharded, shard_folders
from indexer.index import Index, open_snapshot
from indexer.shards import ShardedIndex, check_together, entry_of


def open_index(path: str | Path, *, notes: tuple[str, ...] = ()) -> Index:
    """Open the last committed state of an index. Reads the manifest, headers and deletions; maps the rest.

    A folder of shards is opened as the one index they are.

    Parameters
    ----------
    path : the folder. notes : what the index opened says of how it came about.

    Raises
    ------
    IndexFormatError : no index there, another version, damage in what opening reads. Payloads are not read:
        `verify_index` does that.
    """
    folder = Path(path)
    return open_sharded(folder) if is_sharded(folder) else open_snapshot(folder, notes)


def open_shards(places: Sequence[str | Path], *, path: Path | None = None, partial: bool = False) -> ShardedIndex:
    """Open folders of shards, in any order, as one index.

    Parameters
    ----------
    places : the folders. path : what the index is called by; left out, the folder of the first shard.
    partial : open those that are there, if some are missing or damaged.

    Raises
    ------
    IndexFormatError : a shard is missing or damaged, or stands there twice.
    ConfigError : a folder that holds no shard, or shards of several collections.
    """
    found: list[Index] = []
    for place in places:
        try:
            found.append(open_index(place))
        except IndexFormatError:
            if not partial:
                raise
    if not found:
        raise IndexFormatError(f"none of {len(places)} shards can be opened, from '{places[0]}' on; restore or rebuild")
    entries = [entry_of(index.manifest, str(index.path)) for index in found]
    check_together(entries, [str(index.path) for index in found], partial=partial)
    found.sort(key=lambda index: entry_of(index.manifest, "").number)
    return ShardedIndex(Path(places[0]) if path is None else path, found)


def open_sharded(folder: Path) -> ShardedIndex:
    """Open the shards that a folder holds."""
    return open_shards(shard_folders(folder), path=folder)
