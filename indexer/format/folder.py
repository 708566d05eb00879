"""The folder of an index: which files are its own, and how a new state of it is published."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from indexer.errors import ConfigError, DataError, IndexFormatError, SparseIRError
from indexer.format import files
from indexer.format.kinds import common_kind
from indexer.format.lock import LOCK_FILE, write_lock
from indexer.format.manifest import MANIFEST_FILE, Manifest, SegmentEntry, commit, named_files, read_manifest
from indexer.format.partial import remove_abandoned
from indexer.format.segment import SegmentFile
from indexer.format.shard_list import is_sharded
from indexer.format.stored import column_kinds

SNAPSHOT_FILE = "snapshot.json"
BESIDE = "beside"
"""Folder inside a snapshot of what stands beside the index: the caller's files, of which this half knows no more."""
"""What a snapshot's folder holds beside the index that it is."""
_COPIED_AT_ONCE = 8 << 20
_DAMAGED = re.compile(r"damaged-(\d{6,})")
_OWN_FILE = re.compile(r"\d{6,}\.(seg|del-\d{6,}|run[-\w]*)|query-\d{6,}|manifest\.json\.new")


def check_target(folder: Path, overwrite: bool) -> None:
    """Refuse to write over what is no index, or over an index without being asked to."""
    if not folder.exists():
        above = next(parent for parent in folder.absolute().parents if parent.exists())
        if not above.is_dir():
            raise ConfigError(f"'{above}' is a file; an index is a folder in folders")
        return
    if not folder.is_dir():
        raise ConfigError(f"'{folder}' is a file; an index is a folder")
    if is_sharded(folder):
        raise ConfigError(f"'{folder}' holds shards; build shards there again (--shards), or choose another folder")
    if (folder / MANIFEST_FILE).exists():
        if not overwrite:
            raise ConfigError(
                f"'{folder}' holds an index already; add to it, or say --overwrite (overwrite=True), which replaces it"
            )
        return
    foreign = sorted(p.name for p in folder.iterdir() if p.name != LOCK_FILE and not _OWN_FILE.fullmatch(p.name))
    if foreign:
        raise ConfigError(f"'{folder}' is not empty and holds no index (found {foreign[0]!r}); choose another folder")


def make_index_folder(folder: Path) -> None:
    """Make the folder of an index, with those above it, durably; one that is there already stays as it is."""
    for missing in reversed([f for f in (folder, *folder.absolute().parents) if not f.exists()]):
        files.make_folder(missing)
        files.fsync_folder(missing.absolute().parent)
    if not (folder / MANIFEST_FILE).exists():
        files.fsync_folder(folder.parent)  # also where a killed build made the folder


def next_number(folder: Path) -> int:
    """A file number above every one in use, leftovers included."""
    numbers = [int(m.group(1)) for p in folder.iterdir() if (m := re.match(r"(?:query-)?(\d{6,})", p.name))]
    return max(numbers, default=0) + 1


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Hold the writer's lock. What no commit names is removed when the lock is taken and when the write ends, however it
    ends, so that neither killed nor failed writers keep the disk full; so is what killed ones spooled beside the index.

    Raises
    ------
    LockedError, IndexFormatError : as `write_lock`.
    """
    with write_lock(folder):
        _remove_leftovers(folder)
        with suppress(OSError):
            remove_abandoned(folder)
        try:
            yield
        finally:
            _remove_leftovers(folder)


def orphans(folder: Path, manifest: Manifest) -> tuple[list[str], list[str]]:
    """Names in an index folder that its manifest does not name: those of stopped writers (or of one at work), which the
    next writer removes, and those of others, which nobody does."""
    known = {*named_files(manifest), MANIFEST_FILE, LOCK_FILE, SNAPSHOT_FILE}
    known |= {BESIDE} if (folder / SNAPSHOT_FILE).exists() else set()
    found = sorted(p.name for p in folder.iterdir() if p.name not in known)
    return [n for n in found if _OWN_FILE.fullmatch(n)], [n for n in found if not _OWN_FILE.fullmatch(n)]


def _remove_leftovers(folder: Path) -> None:
    """Remove the files of an index that its manifest does not name; none where that cannot be read. Never fails: the
    write before it may be committed."""
    with suppress(OSError, SparseIRError):
        generation = 2**62  # without a manifest nobody can tell what was committed
        try:
            manifest = read_manifest(folder)
            keep, generation = named_files(manifest), manifest.generation
        except IndexFormatError as error:
            if error.invariant != "manifest-present":
                return
            keep = set()
        leftovers = [p for p in folder.iterdir() if p.name not in keep and _OWN_FILE.fullmatch(p.name)]
        leftovers += [p for p in folder.iterdir() if _is_uncommitted(p.name, generation)]
        if leftovers:
            files.fsync_folder(folder)  # a loss of power must not bring back a manifest whose files are gone
        for path in leftovers:
            if path.name.startswith(("query-", "damaged-")) or path.is_symlink() or not path.is_dir():
                files.discard(path)


def _is_uncommitted(name: str, generation: int) -> bool:
    """Whether a name is that of damaged segments kept by a salvage that was never committed."""
    found = _DAMAGED.fullmatch(name)
    return found is not None and int(found.group(1)) > generation


def keep_damaged(folder: Path, manifest: Manifest, entries: Iterable[SegmentEntry]) -> Path:
    """Give damaged segments a second name in a folder of the index, before a commit that does without them; the folder.

    It is called by the generation of that commit, so that one a killed writer left is told from one in force, and holds the
    files as they are, hard links where the file system has them, and the manifest that named them.
    """
    target = folder / f"damaged-{manifest.generation + 1:06d}"
    files.make_folder(target)
    named = [(e.file, e.deletes.file if e.deletes else None) for e in entries]
    for name in [MANIFEST_FILE, *(name for pair in named for name in pair if name and (folder / name).is_file())]:
        if name != MANIFEST_FILE:
            with suppress(OSError):
                os.link(folder / name, target / name, follow_symlinks=False)
                continue
        with files.created(target / name) as descriptor, (folder / name).open("rb") as source:
            at = 0
            while piece := source.read(_COPIED_AT_ONCE):
                files.write(descriptor, piece, at)
                at += len(piece)
    files.fsync_folder(target)
    return target


def copy_query_side(folder: Path, source: str | Path | None, number: int) -> str | None:
    """Copy the query side into the index, durably; its name there."""
    if source is None:
        return None
    origin = Path(source)
    if not origin.is_dir():
        raise DataError("no folder with a query side stands there", path=origin)
    target = folder / f"query-{number:06d}"
    files.make_folder(target)
    for file in sorted(p for p in origin.iterdir() if p.is_file()):
        with files.created(target / file.name) as descriptor:
            files.write(descriptor, file.read_bytes(), 0)
    files.fsync_folder(target)
    return target.name


def field_kinds(folder: Path, segments: Iterable[SegmentEntry]) -> dict[str, str]:
    """Kind of every metadata column over all segments; see `common_kind`.

    Raises
    ------
    DataError : a field of strings in one segment and of numbers in another.
    """
    kinds: dict[str, str] = {}
    for entry in segments:
        for name, kind in column_kinds(SegmentFile(folder / entry.file)).items():
            known = kinds.setdefault(name, kind)
            common = common_kind((known, kind))
            if common is None:
                raise DataError(f"metadata field {name!r} is {known} in the index and {kind} in the new documents")
            kinds[name] = common
    return kinds


def publish(folder: Path, manifest: Manifest) -> None:
    """Commit a manifest whose files are written; `writing` removes what it no longer names."""
    files.fsync_folder(folder)
    commit(folder, manifest)
