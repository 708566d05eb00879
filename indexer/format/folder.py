"""The folder of an index: which files are its own, and how a new state of it is published."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from indexer.errors import ConfigError, DataError
from indexer.format import files
from indexer.format.lock import LOCK_FILE
from indexer.format.manifest import MANIFEST_FILE, Manifest, SegmentEntry, commit, named_files
from indexer.format.segment import SegmentFile
from indexer.format.stored import column_kinds

_OWN_FILE = re.compile(r"\d{6,}\.(seg|del-\d{6,}|run[-\w]*)|query-\d{6,}|manifest\.json\.new")


def check_target(folder: Path, overwrite: bool) -> None:
    """Refuse to write over what is no index, or over an index without being asked to."""
    if not folder.exists():
        if not folder.parent.is_dir():
            raise ConfigError(f"'{folder.parent}' is no folder; make it first")
        return
    if not folder.is_dir():
        raise ConfigError(f"'{folder}' is a file; an index is a folder")
    if (folder / MANIFEST_FILE).exists():
        if not overwrite:
            raise ConfigError(
                f"'{folder}' holds an index already; add to it, or replace it with overwrite=True (--overwrite)"
            )
        return
    foreign = sorted(p.name for p in folder.iterdir() if p.name != LOCK_FILE and not _OWN_FILE.fullmatch(p.name))
    if foreign:
        raise ConfigError(f"'{folder}' is not empty and holds no index (found {foreign[0]!r}); choose another folder")


def next_number(folder: Path) -> int:
    """A file number above every one in use, leftovers included."""
    numbers = [int(m.group(1)) for p in folder.iterdir() if (m := re.match(r"(?:query-)?(\d{6,})", p.name))]
    return max(numbers, default=0) + 1


def remove_leftovers(folder: Path, manifest: Manifest) -> None:
    """Remove what crashed or earlier writers left and the manifest does not name. Needs the lock."""
    keep = named_files(manifest)
    for path in folder.iterdir():
        if path.name not in keep and _OWN_FILE.fullmatch(path.name):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                files.unlink(path)


def copy_query_side(folder: Path, source: str | Path | None, number: int) -> str | None:
    """Copy the query side into the index, durably; its name there."""
    if source is None:
        return None
    origin = Path(source)
    if not origin.is_dir():
        raise DataError("no folder with a query side stands there", path=origin)
    target = folder / f"query-{number:06d}"
    target.mkdir(exist_ok=True)
    for file in sorted(p for p in origin.iterdir() if p.is_file()):
        with files.created(target / file.name) as descriptor:
            files.write(descriptor, file.read_bytes(), 0)
    files.fsync_folder(target)
    return target.name


def field_kinds(folder: Path, segments: Iterable[SegmentEntry]) -> dict[str, str]:
    """Kind of every metadata column; an "int" here and a "float" there are a "float".

    Raises
    ------
    DataError : a field of strings in one segment and of numbers in another.
    """
    kinds: dict[str, str] = {}
    for entry in segments:
        for name, kind in column_kinds(SegmentFile(folder / entry.file)).items():
            known = kinds.setdefault(name, kind)
            if {known, kind} <= {"int", "float"}:
                kinds[name] = kind if known == kind else "float"
            elif known != kind:
                raise DataError(f"metadata field {name!r} is {known} in the index and {kind} in the new documents")
    return kinds


def publish(folder: Path, manifest: Manifest) -> None:
    """Commit a manifest whose files are written, then remove what it no longer names."""
    files.fsync_folder(folder)
    commit(folder, manifest)
    remove_leftovers(folder, manifest)
