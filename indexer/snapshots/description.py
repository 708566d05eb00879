"""snapshot.json, the first file of a snapshot: what it is of, and which files follow, with their sizes and checksums."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from indexer.errors import IndexFormatError
from indexer.format.folder import BESIDE, SNAPSHOT_FILE
from indexer.format.manifest import json_crc

LARGEST_DESCRIPTION = 64 << 20
_FORMAT, _VERSION = "sparseir-snapshot", 1
_MOST_BYTES = 2**62
_SHARD = r"shard-\d{3,}(?:\.\d+)?"
_INDEX_FILE = r"(?:manifest\.json|\d{6,}\.seg|[0-9A-Za-z][-.\w]*/[^/\0]{1,255}|[0-9A-Za-z][-.\w]*)"
_PATH = re.compile(rf"(?:(?P<shard>{_SHARD})/)?(?P<name>{_INDEX_FILE})", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class FileEntry:
    """One file of a snapshot.

    Parameters
    ----------
    path : inside the snapshot, with '/' between its parts.
    bytes : its size.
    crc32 : of its bytes; None for a segment, whose sections have checksums of their own.
    """

    path: str
    bytes: int
    crc32: int | None

    @property
    def shard(self) -> str:
        """Folder of the shard that the file is of; empty in a snapshot of one index."""
        match = _PATH.fullmatch(self.path)
        return (match and match["shard"]) or ""

    @property
    def name(self) -> str:
        """Path inside the folder of its index."""
        return self.path.removeprefix(f"{self.shard}/") if self.shard else self.path


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """What a snapshot holds.

    Parameters
    ----------
    index : name of the folder it was taken of, for people.
    generation : of the commit.
    documents : live ones in it.
    created, sparseir_version : when and by what it was taken.
    shards : folders of its shards in order; empty in a snapshot of one index.
    files : in the order in which they are stored.
    """

    index: str
    generation: int
    documents: int
    created: str
    sparseir_version: str
    shards: tuple[str, ...]
    files: tuple[FileEntry, ...]

    @property
    def beside(self) -> tuple[FileEntry, ...]:
        """The files of what stands beside the index."""
        return tuple(entry for entry in self.files if entry.path.startswith(f"{BESIDE}/"))

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(entry.bytes for entry in self.files)

    def to_bytes(self) -> bytes:
        """The content of snapshot.json."""
        body = {"format": _FORMAT, "version": _VERSION, **asdict(self)}
        return json.dumps({**body, "crc32": json_crc(body)}, indent=1, ensure_ascii=False).encode() + b"\n"


def parse_description(raw: bytes, place: Path) -> Description:
    """The description in the bytes of a file; `place` is the snapshot, for messages.

    Raises
    ------
    IndexFormatError : damage, another version, or what no snapshot says: paths that lead elsewhere among them.
    """
    try:
        body = json.loads(raw)
        if not isinstance(body, dict) or body.get("format") != _FORMAT:
            raise ValueError("it is not that of a snapshot")
        if body["version"] != _VERSION:
            raise ValueError(f"version {body['version']!r}, this build reads {_VERSION}")
        if body.pop("crc32", None) != json_crc(body):
            raise ValueError("its checksum differs")
        return _parsed(body)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise IndexFormatError(
            f"{SNAPSHOT_FILE} of snapshot '{place}' cannot be used ({error}); take another snapshot, or restore an older one",
            invariant="snapshot-description",
        ) from None


def _parsed(body: dict[str, Any]) -> Description:
    entries = tuple(_entry(raw) for raw in body["files"])
    shards = tuple(body["shards"])
    if len({entry.path for entry in entries}) != len(entries):
        raise ValueError("a file is named twice")
    if any(not isinstance(name, str) or not re.fullmatch(_SHARD, name, re.ASCII) for name in shards):
        raise ValueError(f"shards are {shards!r}"[:200])
    if len(set(shards)) != len(shards) or {e.shard for e in entries if e.shard} != set(shards):
        raise ValueError("its shards are not those of its files")
    _whole(body["generation"], "generation")
    _whole(body["documents"], "documents")
    rest = {k: v for k, v in body.items() if k not in ("format", "version")}
    return Description(**{**rest, "files": entries, "shards": shards})


def _entry(raw: dict[str, Any]) -> FileEntry:
    entry = FileEntry(**raw)
    match = _PATH.fullmatch(entry.path) if isinstance(entry.path, str) else None
    if match is None or entry.path.rpartition("/")[2] in (".", ".."):
        raise ValueError(f"{str(entry.path)[:100]!r} is no file of an index")
    _whole(entry.bytes, "bytes")
    if (entry.crc32 is None) != (re.fullmatch(r"\d{6,}\.seg", entry.name, re.ASCII) is not None):
        raise ValueError(f"{entry.path} has a checksum beside its own, or none")
    if entry.crc32 is not None:
        _whole(entry.crc32, "crc32")
    return entry


def _whole(value: Any, name: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _MOST_BYTES:
        raise ValueError(f"{name} is {value!r}, expected a whole number"[:200])
