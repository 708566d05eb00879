"""Unfinished files and spool folders beside what they are for, called .NAME.….partial.

Each is locked while its writer lives. What a killed writer left is not locked, and the next writer of NAME removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from indexer.format import files

PARTIAL = ".partial"
"""How their names end."""


def remove_abandoned(path: Path) -> None:
    """Remove what killed writers of `path` left beside it; what cannot be removed stays."""
    _each_abandoned(_beside(path), _remove)


def remove_abandoned_in(folder: Path) -> None:
    """Remove what killed writers of anything in `folder` left in it."""
    _each_abandoned(sorted(folder.glob(f".*{PARTIAL}")), _remove)


def abandoned(path: Path) -> list[Path]:
    """What killed writers of `path` left beside it."""
    found: list[Path] = []
    _each_abandoned(_beside(path), found.append)
    return found


def _beside(path: Path) -> list[Path]:
    """Everything unfinished beside `path`, whether its writer lives or not."""
    whole = path.absolute()
    wanted = re.compile(rf"\.{re.escape(whole.name)}\.[^.]+{re.escape(PARTIAL)}")  # not those of "NAME.other"
    return sorted(p for p in whole.parent.iterdir() if wanted.fullmatch(p.name)) if whole.parent.is_dir() else []


def _each_abandoned(paths: list[Path], call: Callable[[Path], object]) -> None:
    """Call for each whose writer is dead, holding its lock meanwhile."""
    for found in paths:
        try:
            descriptor = os.open(found, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            continue  # gone meanwhile, or somebody else's
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(descriptor, found):
                call(found)
        except OSError:
            continue  # its writer is at work
        finally:
            os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        files.unlink(path)


@contextmanager
def spool_folder(path: Path) -> Iterator[Path]:
    """A folder beside `path` for what its writer spools; gone at the end, or at the next write after a kill."""
    remove_abandoned(path)
    folder, descriptor = locked(lambda: new_folder(path))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def locked(make: Callable[[], tuple[Path, int]]) -> tuple[Path, int]:
    """Something new and its locked descriptor; made again where another writer took it for abandoned before the lock."""
    while True:
        made, descriptor = make()
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if _is_at(descriptor, made):
            return made, descriptor
        os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    return False


def new_folder(path: Path) -> tuple[Path, int]:
    """A folder beside `path` and its descriptor, not locked yet."""
    whole = path.absolute()
    while True:
        name = tempfile.mkdtemp(prefix=f".{whole.name}.", suffix=PARTIAL, dir=whole.parent)
        with contextlib.suppress(FileNotFoundError):  # taken for abandoned meanwhile
            return Path(name), os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
