"""Shards of a collection, opened as one index.

Shards that were built together (`indexer.shard_build`) have one scale, one vocabulary, and ordinals that count through the
whole collection. So their segments, side by side, are an index like any other: every engine, filter and explanation works
on it, and hits, scores and ties are those of one index of all documents, to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from indexer.errors import ConfigError, IndexFormatError
from indexer.format.kinds import common_kind
from indexer.format.manifest import Manifest, ShardEntry
from indexer.format.shard_list import shard_folders
from indexer.index import Index, open_index


class ShardedIndex(Index):
    """A snapshot of several shards. Writers know nothing of it: each commits to one shard.

    Parameters
    ----------
    path : the folder that holds the shards, or names them in messages.
    shards : snapshots, in the order of their documents; some may be missing where that was asked for.

    Attributes
    ----------
    shards : as given. share : of the documents of the collection, those of the shards that are here; 1 if none is missing.
    """

    def __init__(self, path: Path, shards: Sequence[Index]) -> None:
        self.shards = tuple(shards)
        segments = tuple(segment for shard in shards for segment in shard.segments)
        super().__init__(path, _joined_manifest(shards), segments, query_files=shards[0].query_files)
        self.share = share_of([entry_of(shard.manifest, str(shard.path)) for shard in shards])

    @property
    def query_side(self) -> Path | None:
        return self.shards[0].query_side

    def refresh(self) -> Index:
        fresh = [shard.refresh() for shard in self.shards]
        if all(new is old for new, old in zip(fresh, self.shards, strict=True)):
            return self
        return ShardedIndex(self.path, fresh)


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


def entry_of(manifest: Manifest, place: str) -> ShardEntry:
    """Which shard an index is.

    Raises
    ------
    ConfigError : none.
    """
    if manifest.shard is None:
        raise ConfigError(
            f"'{place}' is an index of its own, no shard; shards have one scale and one set of statistics, which "
            "'sparseir index build --shards N' gives them"
        )
    return manifest.shard


def check_together(entries: Sequence[ShardEntry], places: Sequence[str], *, partial: bool) -> None:
    """Refuse what is not every shard of one collection, once each; with `partial`, some may be missing.

    Raises
    ------
    ConfigError
    """
    first = entries[0]
    for entry, place in zip(entries, places, strict=True):
        if entry.collection != first.collection:
            raise ConfigError(f"'{place}' and '{places[0]}' are shards of collections that were built one by one")
    numbers = [entry.number for entry in entries]
    for at, number in enumerate(numbers):
        if number in numbers[:at]:
            twice = numbers.index(number)
            raise ConfigError(f"'{places[at]}' and '{places[twice]}' are both shard {number}; give each once")
    missing = sorted(set(range(first.of)) - set(numbers))
    if missing and not partial:
        shown = ", ".join(map(str, missing[:10])) + (" …" if len(missing) > 10 else "")
        raise ConfigError(
            f"{len(missing)} of {first.of} shards are missing (number {shown}, counted from 0); give all of them, or search "
            "without (--partial)"
        )


def share_of(entries: Sequence[ShardEntry]) -> float:
    """Share of the collection's documents, as it was built, that some of its shards hold."""
    first = entries[0]
    if len(entries) == first.of or not first.documents:
        return 1.0
    held = sum(shard_end(first, e.number) - shard_end(first, e.number - 1) for e in entries)
    return held / first.documents


def shard_end(entry: ShardEntry, number: int) -> int:
    """One past the ordinal of the last document that a shard of the same collection was built of."""
    return (number + 1) * entry.documents // entry.of


def _joined_manifest(shards: Sequence[Index]) -> Manifest:
    """What the manifest of one index would say; its generation grows whenever that of a shard does."""
    manifests = [shard.manifest for shard in shards]
    kinds: dict[str, str] = {}
    for manifest in manifests:
        for name, kind in manifest.fields.items():
            common = common_kind((kinds.get(name, kind), kind))
            if common is None:
                raise ConfigError(f"metadata field {name!r} is {kinds[name]} in one shard and {kind} in another")
            kinds[name] = common
    return replace(
        manifests[0],
        generation=1 + sum(manifest.generation - 1 for manifest in manifests),
        next_ordinal=max(manifest.next_ordinal for manifest in manifests),
        segments=tuple(entry for manifest in manifests for entry in manifest.segments),
        fields=kinds,
    )
