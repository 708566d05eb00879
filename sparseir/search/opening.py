"""What a searcher is asked to open: a folder, or shards in folders or behind addresses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from indexer import Index, open_index, open_shards
from indexer.format.shard_list import is_sharded, shard_folders
from sparseir.errors import ConfigError
from sparseir.search.remote.addresses import is_address
from sparseir.search.stores.places import StorePlace, is_store, store_place


def is_remote(path: str | Path | Sequence[str | Path]) -> bool:
    """Whether what a searcher is asked to open is behind addresses."""
    return any(map(is_address, _places(path)))


def open_place(path: str | Path | StorePlace | Sequence[str | Path], *, partial: bool) -> Index:
    """As `Searcher.open` takes it.

    Raises
    ------
    ConfigError : no place, or folders and addresses mixed.
    IndexFormatError : no index there, or a damaged one. ShardError : a service that does not answer.
    """
    if is_store(path):
        from sparseir.search.stores.client import StoreClient
        from sparseir.search.stores.index import StoreIndex

        return StoreIndex(StoreClient(store_place(path if isinstance(path, StorePlace) else str(path))))
    assert not isinstance(path, StorePlace)
    places = _places(path)
    if not places:
        raise ConfigError("no shards: expected the folders of one or more")
    if any(map(is_address, places)):
        if not all(map(is_address, places)):
            raise ConfigError("shards are given as folders and as addresses; serve the folders, or give one kind")
        from sparseir.search.remote.client import ShardClient  # HTTP and TLS take longer to load than a search
        from sparseir.search.remote.index import RemoteIndex

        return RemoteIndex([ShardClient(str(place)) for place in places], partial=partial)
    if not isinstance(path, str | Path):
        return open_shards(path, partial=partial)
    if partial and is_sharded(Path(path)):
        return open_shards(shard_folders(Path(path)), path=Path(path), partial=True)
    return open_index(path)


def _places(path: str | Path | Sequence[str | Path]) -> list[str | Path]:
    return [path] if isinstance(path, str | Path) else list(path)
