"""What a snapshot of an opened index consists of: its files, and where their bytes come from."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexer.format.folder import BESIDE
from indexer.format.manifest import MANIFEST_FILE, SegmentEntry
from indexer.format.shard_list import SHARDS_FILE, shard_list
from indexer.index import Index
from indexer.shards import ShardedIndex
from indexer.snapshots.check import BytesCheck, SegmentCheck, checked, cut
from indexer.snapshots.description import Description, FileEntry
from indexer.version import __version__


@dataclass(frozen=True, slots=True)
class Item:
    """One file of a snapshot.

    Parameters
    ----------
    entry : as the description names it.
    data : its bytes; mapped, so that they stay readable after a writer removed the file.
    source : where they are read.
    segment : what the manifest says of it, where it is a segment.
    linked : nobody writes into its file, so that a hard link is as good as a copy.
    """

    entry: FileEntry
    data: Any
    source: Path
    segment: SegmentEntry | None = None
    linked: bool = False

    def pieces(self) -> Iterator[memoryview]:
        """The bytes, checked on the way.

        Raises
        ------
        IndexFormatError : damage, with the section.
        """
        return self.checked(self.data)

    def checked(self, data: Any) -> Iterator[memoryview]:
        """Other bytes that should be these."""
        if self.segment is not None:
            return checked(cut(data), SegmentCheck(self.source, self.segment))
        assert self.entry.crc32 is not None
        return checked(cut(data), BytesCheck(self.source, self.entry.bytes, self.entry.crc32))


@dataclass(frozen=True, slots=True)
class BesideFile:
    """A file that stands beside an index and belongs to it.

    Parameters
    ----------
    name : in the snapshot, without '/'. data : its bytes. crc32 : of them.
    source : the file that holds them and nobody writes into; None where there is none.
    """

    name: str
    data: Any
    crc32: int
    source: Path | None = None


def contents(index: Index, beside: Iterable[BesideFile] = ()) -> tuple[Description, list[Item]]:
    """The description of a snapshot and its files, in order; beside : what stands beside the index."""
    if isinstance(index, ShardedIndex):
        items = [item for shard in index.shards for item in _items(shard, f"{shard.path.name}/")]
        shards = tuple(shard.path.name for shard in index.shards)
    else:
        items, shards = list(_items(index, "")), ()
    items += [_beside(file) for file in beside]
    if shards:
        items.append(_plain(SHARDS_FILE, shard_list(shards), index.path / SHARDS_FILE))
    description = Description(
        index=index.path.resolve().name,
        generation=index.generation,
        documents=index.num_docs,
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        sparseir_version=__version__,
        shards=shards,
        files=tuple(item.entry for item in items),
    )
    return description, items


def _items(index: Index, prefix: str) -> Iterator[Item]:
    yield _plain(prefix + MANIFEST_FILE, index.manifest.to_bytes(), index.path / MANIFEST_FILE)
    for segment in index.segments:
        entry = segment.entry
        yield Item(
            FileEntry(path=prefix + entry.file, bytes=entry.bytes, crc32=None), segment.data, segment.path, entry, True
        )
        if entry.deletes is not None:
            assert segment.deleted is not None
            yield _plain(prefix + entry.deletes.file, segment.deleted.tobytes(), index.path / entry.deletes.file)
    side = index.manifest.query_side
    if side is not None and index.query_files is not None:
        for name in index.query_files.names:
            yield _plain(f"{prefix}{side}/{name}", index.query_files.read(name), index.query_files.path / name)


def _beside(file: BesideFile) -> Item:
    entry = FileEntry(path=f"{BESIDE}/{file.name}", bytes=len(file.data), crc32=file.crc32)
    return Item(entry, file.data, file.source or Path(entry.path), linked=file.source is not None)


def _plain(path: str, data: bytes, source: Path) -> Item:
    return Item(FileEntry(path=path, bytes=len(data), crc32=zlib.crc32(data)), data, source)
