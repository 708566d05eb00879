"""The manifest: the one file of an index that changes, replaced whole."""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from indexer.errors import IndexFormatError, SparseIRError
from indexer.format import files
from indexer.format.kinds import KINDS
from indexer.format.layout import MAX_DOCS
from indexer.format.lock import holder
from indexer.format.shard_list import is_sharded
from indexer.native.header import FORMAT_VERSION

MANIFEST_FILE = "manifest.json"
FORMAT_NAME = "sparseir-index"
LARGEST_MANIFEST = 64 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class DeleteFile:
    """Deletion bitmap in force for a segment."""

    file: str
    count: int
    crc32: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentEntry:
    """What the manifest says of one segment."""

    file: str
    bytes: int
    header_crc32: int
    num_docs: int
    num_postings: int
    num_clipped: int
    deletes: DeleteFile | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderEntry:
    """The model the vectors come from.

    Parameters
    ----------
    fingerprint : equal exactly when the model is.
    kind : e.g. "siamese" or "inference-free".
    name : for people.
    """

    fingerprint: str
    kind: str = ""
    name: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardEntry:
    """Which part of a collection an index is, where it was built as one of several shards.

    Parameters
    ----------
    number, of : counted from 0, and how many there are.
    collection : the same text in all shards that were built together, and in no others.
    documents : of the whole collection when it was built.
    """

    number: int
    of: int
    collection: str
    documents: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """One committed state of an index; see docs/index-format.md."""

    generation: int
    num_terms: int
    doc_scale: float | None
    next_ordinal: int
    segments: tuple[SegmentEntry, ...]
    encoder: EncoderEntry | None = None
    query_side: str | None = None
    fields: dict[str, str] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    created: str = ""
    sparseir_version: str = ""
    source: str | None = None
    shard: ShardEntry | None = None

    def to_bytes(self) -> bytes:
        values = {name: v for name, v in asdict(self).items() if name not in ("source", "shard") or v is not None}
        body = {"format": FORMAT_NAME, "version": FORMAT_VERSION, **values}
        return json.dumps({**body, "crc32": json_crc(body)}, indent=1, ensure_ascii=False).encode() + b"\n"


def json_crc(body: dict[str, Any]) -> int:
    """CRC-32 of the canonical JSON: sorted keys, no spaces. Floats in their shortest digits are read back bit-equal."""
    return zlib.crc32(json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())


def read_manifest(folder: Path) -> Manifest:
    """The committed state of the index in `folder`.

    Raises
    ------
    IndexFormatError : no index there, another version, or a damaged manifest.
    """
    path = folder / MANIFEST_FILE
    try:
        raw = files.read_regular(path, LARGEST_MANIFEST + 1)
        if len(raw) > LARGEST_MANIFEST:
            raise IndexFormatError(f"'{path}' is larger than a manifest can be", invariant="manifest-size")
    except (FileNotFoundError, NotADirectoryError):
        if not folder.exists():
            raise IndexFormatError(
                f"'{folder}' does not exist; build an index there with 'sparseir index build'",
                invariant="manifest-present",
            ) from None
        if is_sharded(folder):
            raise IndexFormatError(
                f"'{folder}' holds shards of a collection, and this works on one index; do it for each of the folders in it, "
                "or build the shards again with 'sparseir index build --shards'",
                invariant="manifest-present",
            ) from None
        if not folder.is_dir():
            raise IndexFormatError(
                f"'{folder}' is a file; expected the folder of an index, which 'sparseir index build' makes",
                invariant="manifest-present",
            ) from None
        writer = holder(folder)
        remedy = (
            "build one with 'sparseir index build'"
            if writer is None
            else f"{writer} is writing there: wait until it is done"
        )
        raise IndexFormatError(
            f"'{folder}' holds no index ({MANIFEST_FILE} is missing); {remedy}", invariant="manifest-present"
        ) from None
    return parse_manifest(raw, folder)


def parse_manifest(raw: bytes, folder: Path) -> Manifest:
    """The manifest in the bytes of a file; `folder` is named in messages.

    Raises
    ------
    IndexFormatError : another version, or damage.
    """
    path = folder / MANIFEST_FILE
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise IndexFormatError(
            f"'{path}' is not JSON ({error}); restore or rebuild", invariant="manifest-json"
        ) from None
    if not isinstance(body, dict) or body.get("format") != FORMAT_NAME:
        raise IndexFormatError(f"'{path}' is not the manifest of an index", invariant="manifest-format")
    if body.get("version") != FORMAT_VERSION:
        raise IndexFormatError(
            f"index '{folder}' has format version {body.get('version')!r}, this build reads {FORMAT_VERSION}; "
            "rebuild it with 'sparseir index build'",
            invariant="manifest-version",
        )
    crc = body.pop("crc32", None)
    if crc != json_crc(body):
        raise IndexFormatError(
            f"'{path}' is damaged (its checksum differs); restore or rebuild", invariant="manifest-crc"
        )
    return _parsed(body, path)


def _parsed(body: dict[str, Any], path: Path) -> Manifest:
    try:
        return _parse(body)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise IndexFormatError(
            f"'{path}' lacks or mistypes a field ({error}); restore or rebuild", invariant="manifest-fields"
        ) from None


_U32, _COUNT = 2**32 - 1, 2**62
_RANGES = {
    Manifest: {"generation": _COUNT, "num_terms": _U32, "next_ordinal": _COUNT},
    SegmentEntry: {
        "bytes": _COUNT,
        "header_crc32": _U32,
        "num_docs": MAX_DOCS,
        "num_postings": _COUNT,
        "num_clipped": _COUNT,
    },
    DeleteFile: {"count": MAX_DOCS, "crc32": _U32},
    ShardEntry: {"number": _U32, "of": _U32, "documents": _COUNT},
}
_STRINGS = {
    Manifest: ("created", "sparseir_version"),
    SegmentEntry: ("file",),
    DeleteFile: ("file",),
    EncoderEntry: ("fingerprint", "kind", "name"),
    ShardEntry: ("collection",),
}


def _checked(kind: Any, raw: dict[str, Any], **made: Any) -> Any:
    """An object of `kind` from JSON, its whole numbers within their ranges and its strings strings."""
    for name, largest in _RANGES.get(kind, {}).items():
        value = raw[name]
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= largest:
            raise ValueError(f"{name} is {value!r}, expected a whole number up to {largest}")
    for name in _STRINGS.get(kind, ()):
        if not isinstance(raw[name], str):
            raise TypeError(f"{name} is {raw[name]!r}, expected a string")
    return kind(**{**raw, **made})


def _parse(body: dict[str, Any]) -> Manifest:
    """Build the dataclasses, with the types and ranges that everything else relies on."""
    entries = []
    for raw in body["segments"]:
        deletes = _checked(DeleteFile, raw["deletes"]) if raw["deletes"] is not None else None
        entry = _checked(SegmentEntry, raw, deletes=deletes)
        if not _SEGMENT_NAME.fullmatch(entry.file):
            raise ValueError(f"segment file {entry.file!r} is not called by a number of six digits or more and .seg")
        if deletes:
            _check_plain(deletes.file)
        entries.append(entry)
    encoder = _checked(EncoderEntry, body["encoder"]) if body["encoder"] is not None else None
    rest = {k: v for k, v in body.items() if k not in ("format", "version")}
    shard = _checked(ShardEntry, body["shard"]) if body.get("shard") is not None else None
    if shard is not None and shard.number >= shard.of:
        raise ValueError(f"shard {shard.number} of {shard.of}")
    manifest: Manifest = _checked(Manifest, rest, segments=tuple(entries), encoder=encoder, shard=shard)
    scale = manifest.doc_scale
    if manifest.num_terms == 0 or not (scale is None or (isinstance(scale, int | float) and 0 < scale < float("inf"))):
        raise ValueError(f"num_terms {manifest.num_terms} or doc_scale {scale!r} out of range")
    if manifest.query_side is not None:
        _check_plain(manifest.query_side)
    if not isinstance(manifest.source, str | None):
        raise TypeError(f"source is {manifest.source!r}, expected a string")
    kinds = manifest.fields
    if not isinstance(kinds, dict) or not isinstance(manifest.config, dict):
        raise TypeError("fields and config must be objects")
    if not all(kind in KINDS for kind in kinds.values()):
        raise ValueError(f"fields are {kinds}")
    return manifest


_SEGMENT_NAME = re.compile(r"\d{6,}\.seg", re.ASCII)
_PLAIN_NAME = re.compile(r"[0-9A-Za-z][-.\w]*", re.ASCII)


def _check_plain(name: Any) -> None:
    """A name that can only be that of a file in the folder."""
    if not isinstance(name, str) or not _PLAIN_NAME.fullmatch(name):
        raise ValueError(f"file name {name!r} is not one of letters, digits, dots and dashes")


def commit(folder: Path, manifest: Manifest) -> None:
    """Make `manifest` the state of the index, durably. The files it names must already be durable.

    Raises
    ------
    IndexFormatError : a manifest that could not be read again, such as one whose counts run over.
    SparseIRError : the disk refused; the message says whether the change is in force.
    """
    beside, raw = folder / (MANIFEST_FILE + ".new"), manifest.to_bytes()
    _parsed({k: v for k, v in json.loads(raw).items() if k != "crc32"}, beside)
    with files.created(beside) as descriptor:
        files.write(descriptor, raw, 0)
    files.replace(beside, folder / MANIFEST_FILE)
    try:
        files.fsync_folder(folder)
    except SparseIRError as error:
        raise SparseIRError(
            f"the change to '{folder}' is in force (generation {manifest.generation}), but the disk did not confirm that a "
            f"loss of power leaves it so ({error.__cause__}); do not repeat it, look after the disk"
        ) from error


def named_files(manifest: Manifest) -> set[str]:
    """Every file the manifest relies on."""
    names = {s.file for s in manifest.segments} | {s.deletes.file for s in manifest.segments if s.deletes}
    return names | ({manifest.query_side} if manifest.query_side else set())
