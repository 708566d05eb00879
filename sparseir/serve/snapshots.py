"""Snapshots by request: names that clients choose, in the one folder that the service was given for them."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from indexer.format import files
from indexer.format.partial import remove_abandoned_in
from indexer.snapshots.archive import is_archive
from indexer.snapshots.restore import opened_snapshot
from sparseir.data.snapshots import take_snapshot
from sparseir.errors import ConfigError, SparseIRError
from sparseir.serve.faults import ApiError, bad_request
from sparseir.serve.indexes import ServedIndex
from sparseir.serve.settings import ServeSettings

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)


class Snapshots:
    """The folder of a service's snapshots. Its methods run on one thread.

    Parameters
    ----------
    folder : is made where it is missing; what a killed service left unfinished in it is removed.
    settings : of the service, whose indexes the folder must lie outside of.

    Raises
    ------
    ConfigError : it is a file, or inside an index.
    """

    def __init__(self, folder: Path, settings: ServeSettings) -> None:
        self._folder = folder
        whole = folder.resolve()
        for place in settings.indexes.values():
            if isinstance(place, Path) and place.resolve() in (whole, *whole.parents):
                raise ConfigError(f"--snapshots {folder} is inside the index '{place}'; choose a folder elsewhere")
        if folder.exists() and not folder.is_dir():
            raise ConfigError(f"--snapshots {folder} is a file; expected a folder")
        folder.mkdir(parents=True, exist_ok=True)
        remove_abandoned_in(folder)

    def take(self, served: ServedIndex, name: str | None) -> dict[str, Any]:
        """Take one of the last commit; its name, bytes and generation.

        Raises
        ------
        ApiError : 400, a name that cannot be; 403, an index of other machines; 409, one of that name is there.
        """
        if not isinstance(served.path, Path):
            raise ApiError(403, "read_only", "the shards of this index are on other machines; ask their services")
        chosen = _default_name(served) if name is None else name
        place = self._place(chosen)
        if place.exists():
            raise ApiError(409, "exists", f"name: there is a snapshot {chosen!r} already", field="name")
        report = take_snapshot(served.path, place)
        size = place.stat().st_size if place.is_file() else report.bytes
        return {
            "index": served.name,
            "name": chosen,
            "bytes": size,
            "generation": report.generation,
            "documents": report.documents,
        }

    def listed(self) -> list[dict[str, Any]]:
        """All of them by name; what cannot be read has no generation."""
        return [self._described(path) for path in sorted(self._folder.iterdir()) if _NAME.fullmatch(path.name)]

    def delete(self, name: str) -> None:
        """Remove one.

        Raises
        ------
        ApiError : 404, there is none.
        """
        place = self._place(name)
        if place.is_symlink() or not place.exists() or "generation" not in self._described(place):
            raise ApiError(404, "unknown_snapshot", f"name: there is no snapshot {name[:100]!r}", field="name")
        hidden = place.with_name(f".{name}.deleted.partial")  # gone at once, whatever happens while its files go
        files.discard(hidden)
        files.replace(place, hidden)
        files.discard(hidden)

    def _described(self, path: Path) -> dict[str, Any]:
        try:
            with opened_snapshot(path) as source:
                found = source.description
        except (SparseIRError, OSError):
            return {"name": path.name, "damaged": True}
        size = path.stat().st_size if path.is_file() else found.size
        told = {"index": found.index, "generation": found.generation, "documents": found.documents}
        return {"name": path.name, "bytes": size, **told, "created": found.created}

    def _place(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise bad_request(
                "name", f"{name[:100]!r}; letters, digits, dots, dashes and underscores, the first a letter or digit"
            )
        try:
            is_archive(Path(name))
        except ConfigError:
            raise bad_request("name", f"{name!r}; a file's name ends in .tar or .tar.zst") from None
        return self._folder / name


def _default_name(served: ServedIndex) -> str:
    plain = re.sub(r"[^A-Za-z0-9_-]", "-", served.name).lstrip("-_")[:60] or "index"
    return f"{plain}-{served.current.generation:06d}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
