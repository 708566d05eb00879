"""Taking a snapshot of the last commit, while writers and readers go on."""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexer.errors import ConfigError, LockedError
from indexer.format import files
from indexer.format.folder import SNAPSHOT_FILE
from indexer.format.lock import patiently, write_lock
from indexer.format.shard_list import is_sharded
from indexer.index import Index
from indexer.interchange.output import replacing, replacing_folder
from indexer.opening import open_index
from indexer.progress import Progress, silent
from indexer.snapshots.archive import ArchiveWriter, is_archive
from indexer.snapshots.check import cut, written
from indexer.snapshots.contents import BesideFile, Item, contents
from indexer.snapshots.description import Description

_NO_LINK = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOENT, errno.EOPNOTSUPP, errno.EACCES, errno.ENOSYS)
"""Why a hard link cannot be made where a copy can."""
_PATIENCE = 30.0
"""Seconds that a snapshot of shards waits for a deletion from several."""
_ATTEMPTS = 100


@dataclass(frozen=True, slots=True)
class SnapshotReport:
    """What was taken.

    Parameters
    ----------
    path : the snapshot.
    generation : of the commit. documents : live ones in it.
    files, bytes : how many, and their size together.
    linked : how many share their bytes with the index, as hard links.
    """

    path: Path
    generation: int
    documents: int
    files: int
    bytes: int
    linked: int


def take_snapshot(
    path: str | Path,
    target: str | Path,
    *,
    beside: Callable[[Index], Iterable[BesideFile]] | None = None,
    progress: Progress = silent,
) -> SnapshotReport:
    """Copy the last commit of an index, or of shards, into a folder or an archive that appears whole.

    Takes no lock of an index: the files of a commit are opened together, and no writer edits them. Every section of every
    segment is compared with its checksum as it is read. In a folder on the same device segments are hard links, which take
    no room for as long as the index keeps them. Of shards, all are copied at one state between writes: while they are
    opened, a deletion from several is waited for, and commits of single ones begin the opening again.

    Parameters
    ----------
    path : the index.
    target : a folder to make, or a file whose name ends in .tar or .tar.zst. progress : told of bytes.
    beside : gives the files beside an opened index that belong to it; `restore_index` hands them back.

    Raises
    ------
    ConfigError : something stands there, or the place is inside the index.
    IndexFormatError : no index, or a damaged one; nothing is left of the snapshot then.
    LockedError : shards that are written all the time.
    DataError : the folder around the target does not exist.
    """
    place = Path(target)
    packs = is_archive(place)
    if place.exists() or place.is_symlink():
        raise ConfigError(f"'{place}' exists; name a snapshot that is not there yet, or remove it first")
    if Path(path).resolve() in place.resolve().parents:
        raise ConfigError(f"'{place}' is inside the index; put snapshots elsewhere")
    index = _opened(Path(path))
    description, items = contents(index, () if beside is None else beside(index))
    taking = _Taking(description, items, progress)
    if packs:
        with replacing(place) as file:
            taking.write_archive(file, packed=place.name.endswith(".zst"))
    else:
        with replacing_folder(place) as folder:
            taking.fill(folder)
    return SnapshotReport(
        place, description.generation, description.documents, len(items), description.size, taking.linked
    )


def _opened(path: Path) -> Index:
    """The last committed state; of shards, one that all of them were in at once."""
    if not is_sharded(path):
        return open_index(path)
    try:
        return patiently(lambda: _opened_shards(path), _PATIENCE)
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES):
            raise
        return _settled(open_index(path))  # nobody writes through a folder that takes no lock


def _opened_shards(path: Path) -> Index:
    with write_lock(path):
        return _settled(open_index(path))


def _settled(index: Index) -> Index:
    """The shards as they are when no commit comes between the opening of the first and a look at the last."""
    for _ in range(_ATTEMPTS):
        fresh = index.refresh()
        if fresh is index:
            return index
        index = fresh
    raise LockedError(f"the shards of '{index.path}' are committed to all the time; take the snapshot again")


class _Taking:
    """One snapshot on its way; `linked` counts the files that became hard links."""

    def __init__(self, description: Description, items: list[Item], progress: Progress) -> None:
        self.linked = 0
        self._description, self._items = description, items
        self._progress, self._done = progress, 0

    def write_archive(self, file: Any, *, packed: bool) -> None:
        writer = ArchiveWriter(file, packed=packed)
        raw = self._description.to_bytes()
        writer.add(SNAPSHOT_FILE, len(raw), cut(raw))
        for item in self._items:
            writer.add(item.entry.path, item.entry.bytes, self._counted(item.pieces()))
        writer.close()

    def fill(self, folder: Path) -> None:
        folders = {folder}
        for item in self._items:
            target = folder / item.entry.path
            for above in [*reversed(target.relative_to(folder).parents)][1:]:
                if folder / above not in folders:
                    files.make_folder(folder / above)
                    folders.add(folder / above)
            if item.linked and _link(item.source, target):
                self.linked += 1
                for _ in self._counted(item.checked(_mapped(target))):
                    pass
            else:
                written(target, self._counted(item.pieces()))
        written(folder / SNAPSHOT_FILE, cut(self._description.to_bytes()))
        for made in folders:
            files.fsync_folder(made)

    def _counted(self, pieces: Iterator[memoryview]) -> Iterator[memoryview]:
        for piece in pieces:
            yield piece
            self._done += len(piece)
            self._progress("taking a snapshot", self._done, self._description.size)


def _link(source: Path, target: Path) -> bool:
    """Whether a hard link could be made: of a file, never of a link to one."""
    if source.is_symlink():
        return False
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno in _NO_LINK:
            return False
        raise files.storage_error(error) from error
    return True


def _mapped(path: Path) -> mmap.mmap | bytes:
    descriptor = files.open_regular(path)
    try:
        if os.fstat(descriptor).st_size == 0:
            return b""
        return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    finally:
        os.close(descriptor)
