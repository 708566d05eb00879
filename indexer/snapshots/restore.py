"""Making an index of a snapshot: checked while it is copied, visible at once by the commit that ends it."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from indexer.errors import DataError, IndexFormatError, SparseIRError
from indexer.format import files
from indexer.format.folder import SNAPSHOT_FILE, check_target, make_index_folder, next_number, publish, writing
from indexer.format.lock import LOCK_FILE, write_lock
from indexer.format.manifest import (
    LARGEST_MANIFEST,
    MANIFEST_FILE,
    Manifest,
    SegmentEntry,
    named_files,
    parse_manifest,
    read_manifest,
)
from indexer.format.partial import remove_abandoned
from indexer.format.query_side import QueryFiles
from indexer.format.shard_list import SHARDS_FILE, is_sharded, name_of, shard_folders, write_shard_list
from indexer.index import Index
from indexer.opening import open_index, open_shards
from indexer.progress import Progress, silent
from indexer.segment import Segment
from indexer.shard_build import check_target as check_sharded_target
from indexer.shard_build import next_build, remove_unlisted
from indexer.snapshots.archive import is_archive, opened_archive
from indexer.snapshots.check import PIECE, BytesCheck, SegmentCheck, checked, written
from indexer.snapshots.description import (
    LARGEST_DESCRIPTION,
    Description,
    FileEntry,
    parse_description,
)

Pieces = Callable[[str, int], Iterator[Any]]
"""The bytes of a file of a snapshot, by its path and size; asked in the order of the description."""


@dataclass(slots=True)
class SnapshotSource:
    """A snapshot that is read from its first file to its last."""

    path: Path
    description: Description
    pieces: Pieces
    progress: Progress
    done: int = 0

    def of(self, shard: str) -> list[FileEntry]:
        """The files of one index."""
        others = {SHARDS_FILE, *(entry.path for entry in self.description.beside)}
        return [entry for entry in self.description.files if entry.shard == shard and entry.path not in others]

    def copy_beside(self, folder: Path | None) -> None:
        """The files of what stood beside the index into a folder, checked; they follow those of the index."""
        for entry in self.description.beside if folder is not None else ():
            assert folder is not None
            written(folder / entry.name.rpartition("/")[2], self.read(entry))

    def read(self, entry: FileEntry, segment: SegmentEntry | None = None) -> Iterator[Any]:
        """The bytes of the next file, checked."""
        place = self.path / entry.path
        if segment is not None:
            check: SegmentCheck | BytesCheck = SegmentCheck(place, segment)
        else:
            check = BytesCheck(place, entry.bytes, entry.crc32 or 0)
        for piece in checked(self.pieces(entry.path, entry.bytes), check):
            yield piece
            self.done += len(piece)
            self.progress("restoring", self.done, self.description.size)


def restore_index(
    snapshot: str | Path,
    path: str | Path,
    *,
    overwrite: bool = False,
    beside: Callable[[Path, Index], None] | None = None,
    progress: Progress = silent,
) -> Index:
    """Make an index of a snapshot and open it. Every file is compared with its checksums as it is read.

    The index becomes visible by one commit: until then the path holds none, or with `overwrite` the one that was there,
    which answers on. Its files are removed afterwards, and what a killed restoration left by the next writer.

    Parameters
    ----------
    snapshot : a folder or an archive that `take_snapshot` made.
    path : the folder of the index to make.
    overwrite : replace an index that stands there; its generation goes on counting. progress : told of bytes.
    beside : takes the folder of the files that stood beside the index, and the index made of the snapshot, once that stands; not
        called where there were none. None leaves them out.

    Raises
    ------
    ConfigError : the path holds something else, or an index and overwrite was not given.
    IndexFormatError : a damaged snapshot, with segment and section where it is in one.
    DataError : no snapshot, or an archive that holds what no snapshot does.
    LockedError : a writer holds the index.
    SparseIRError : the disk has no room.
    """
    folder = Path(path)
    with ExitStack() as stack:
        source = stack.enter_context(opened_snapshot(Path(snapshot), progress))
        sharded = bool(source.description.shards)
        (check_sharded_target if sharded else check_target)(folder, overwrite)
        _check_room(source.description, folder)
        missing = [above for above in (folder, *folder.absolute().parents) if not above.exists()]
        scratch = None
        if beside is not None and source.description.beside:
            folder.absolute().parent.mkdir(parents=True, exist_ok=True)
            place = tempfile.mkdtemp(prefix=f".{folder.name}.beside-", dir=folder.absolute().parent)
            stack.callback(shutil.rmtree, place, ignore_errors=True)
            scratch = Path(place)
        try:
            if sharded:
                _restore_shards(source, folder, scratch)
            else:
                _restore(source, folder, beside=scratch)
        except BaseException:
            _remove_empty(missing)
            raise
        restored = open_index(folder)
        if beside is not None and scratch is not None:
            beside(scratch, restored)
    return restored


@contextmanager
def opened_snapshot(path: Path, progress: Progress = silent) -> Iterator[SnapshotSource]:
    """A snapshot to read, its description already read.

    Raises
    ------
    DataError, IndexFormatError : it is none, or its description is damaged.
    """
    if not path.exists():
        raise DataError("does not exist; expected a snapshot, which 'sparseir index snapshot' takes", path=path)
    if not path.is_dir():
        if not is_archive(path):
            raise DataError(
                "is no snapshot: that is a folder, or a file whose name ends in .tar or .tar.zst", path=path
            )
        with opened_archive(path) as reader:
            yield SnapshotSource(path, parse_description(reader.description(), path), reader.pieces, progress)
        return
    try:
        raw = files.read_regular(path / SNAPSHOT_FILE, LARGEST_DESCRIPTION)
    except FileNotFoundError:
        raise DataError(f"is no snapshot: it has no {SNAPSHOT_FILE}", path=path) from None
    yield SnapshotSource(
        path, parse_description(raw, path), lambda name, size: _from_folder(path / name, size), progress
    )


def _from_folder(path: Path, size: int) -> Iterator[bytes]:
    try:
        descriptor = files.open_regular(path)
    except (FileNotFoundError, NotADirectoryError):
        raise DataError("is missing; the snapshot is damaged", path=path) from None
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        if (found := os.fstat(descriptor).st_size) != size:
            raise DataError(f"is of {found} bytes, {size} expected; the snapshot is damaged", path=path)
        while piece := file.read(PIECE):
            yield piece


def _check_room(description: Description, folder: Path) -> None:
    above = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(above).free
    if description.size > free:
        raise SparseIRError(
            f"the snapshot holds {description.size / 1e6:,.0f} MB and '{above}' has room for {free / 1e6:,.0f} MB; free "
            "some space or restore elsewhere"
        )


def _remove_empty(made: list[Path]) -> None:
    """Remove folders that were made for an index that could not be: its own first, then those above."""
    with suppress(OSError):
        if made and not (made[0] / MANIFEST_FILE).exists() and not is_sharded(made[0]):
            files.unlink(made[0] / LOCK_FILE)
            for folder in made:
                folder.rmdir()


def _restore(source: SnapshotSource, folder: Path, shard: str = "", *, beside: Path | None = None) -> None:
    """One index, in order: its manifest, its segments with their deletions, its query side, the commit.

    beside : takes the files of what stood beside it, before the commit.
    """
    make_index_folder(folder)
    with writing(folder):
        entries = {entry.name: entry for entry in source.of(shard)}
        if next(iter(entries), None) != MANIFEST_FILE:
            raise IndexFormatError(f"snapshot '{source.path}' does not begin with a manifest; take another")
        if entries[MANIFEST_FILE].bytes > LARGEST_MANIFEST:
            raise IndexFormatError(f"snapshot '{source.path}': its manifest is larger than one can be; take another")
        raw = b"".join(source.read(entries.pop(MANIFEST_FILE)))
        manifest = parse_manifest(raw, source.path / shard)
        _check_complete(source, manifest, set(entries))
        renamed = _renamed(manifest, folder)
        segments = {old.file: old for old in manifest.segments}
        names = _plain_names(manifest, renamed)
        for name, entry in entries.items():
            target = folder / names[name] if name in names else _query_file(folder, renamed, name)
            written(target, source.read(entry, segments.get(name)))
        _check_opens(folder, renamed)
        source.copy_beside(beside)
        publish(folder, renamed)


def _check_complete(source: SnapshotSource, manifest: Manifest, found: set[str]) -> None:
    """The files are those that the manifest names, and those of its query side."""
    side = manifest.query_side
    inside = {name for name in found if side is not None and name.startswith(f"{side}/")}
    wanted = named_files(manifest) - {side}
    if found - inside != wanted:
        name = sorted((found - inside) ^ wanted)[0]
        raise IndexFormatError(
            f"snapshot '{source.path}': its manifest and its files disagree on {name!r}; take another snapshot",
            invariant="snapshot-files",
        )


def _renamed(manifest: Manifest, folder: Path) -> Manifest:
    """The manifest to commit: files get numbers above all in the folder, the generation grows where an index stands."""
    number, generation, created = next_number(folder), manifest.generation, manifest.created
    if (folder / MANIFEST_FILE).exists():
        # Another build, to whoever has the old one open; one whose manifest is damaged goes on from the clock.
        try:
            generation = max(generation, read_manifest(folder).generation) + 1
        except IndexFormatError:
            generation = max(generation, int(time.time()))
        created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    segments = []
    for at, entry in enumerate(manifest.segments, number):
        deletes = entry.deletes
        if deletes is not None:
            deletes = replace(deletes, file=f"{at:06d}.del-{generation:06d}")
        segments.append(replace(entry, file=f"{at:06d}.seg", deletes=deletes))
    side = None if manifest.query_side is None else f"query-{number:06d}"
    return replace(manifest, generation=generation, created=created, segments=tuple(segments), query_side=side)


def _plain_names(old: Manifest, new: Manifest) -> dict[str, str]:
    """New names of segments and deletions by their old ones."""
    names = {}
    for before, after in zip(old.segments, new.segments, strict=True):
        names[before.file] = after.file
        if before.deletes is not None and after.deletes is not None:
            names[before.deletes.file] = after.deletes.file
    return names


def _query_file(folder: Path, manifest: Manifest, name: str) -> Path:
    assert manifest.query_side is not None
    side = folder / manifest.query_side
    if not side.exists():
        files.make_folder(side)
    return side / name.partition("/")[2]


def _check_opens(folder: Path, manifest: Manifest) -> None:
    """What is about to be committed can be opened."""
    try:
        for entry in manifest.segments:
            Segment(folder, entry)
    except FileNotFoundError:  # the manifest names one file twice
        raise IndexFormatError(
            "the manifest of the snapshot contradicts itself; take another snapshot", invariant="snapshot-files"
        ) from None
    if manifest.query_side is not None:
        side = folder / manifest.query_side
        if not side.exists():
            files.make_folder(side)
        QueryFiles(side)
        files.fsync_folder(side)


def _restore_shards(source: SnapshotSource, folder: Path, beside: Path | None) -> None:
    """Shards one after another, visible together by their list; beside as for `_restore`."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(write_lock(folder))
        for standing in shard_folders(folder) if is_sharded(folder) else []:
            if standing.is_dir():
                stack.enter_context(write_lock(standing))  # nothing that is acknowledged there may be lost
        remove_unlisted(folder)
        remove_abandoned(folder)
        build = next_build(folder)
        names = [name_of(number, build) for number in range(len(source.description.shards))]
        try:
            for shard, name in zip(source.description.shards, names, strict=True):
                _restore(source, folder / name, shard)
            files.fsync_folder(folder)
            open_shards([folder / name for name in names])
            source.copy_beside(beside)
            write_shard_list(folder, names)
        finally:
            remove_unlisted(folder)
