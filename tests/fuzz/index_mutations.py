"""Mutations of the files of an index: blind ones, and edits under checksums that are made right again."""

from __future__ import annotations

import json
import struct
import zlib

import numpy as np

EXTREMES = (0, 1, 2, 31, 32, 63, 64, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1)


def repaired(files: dict[str, bytes], name: str, data: bytearray) -> dict[str, bytes]:
    """The files with `data` as segment `name`, every checksum that covers it made right."""
    count = struct.unpack_from("<I", data, 12)[0]
    for i in range(min(count, 64)):
        entry = 64 + 32 * i
        if entry + 32 > len(data):
            break
        offset, size = struct.unpack_from("<QQ", data, entry + 8)
        if offset + size <= len(data):
            struct.pack_into("<I", data, entry + 24, zlib.crc32(data[offset : offset + size]))
    struct.pack_into("<I", data, 60, zlib.crc32(data[64 : 64 + 32 * count], zlib.crc32(data[:60])))
    manifest = json.loads(files["manifest.json"])
    for segment in manifest["segments"]:
        if segment["file"] == name:
            segment["header_crc32"] = struct.unpack_from("<I", data, 60)[0]
            segment["bytes"] = len(data)
            segment["num_docs"] = struct.unpack_from("<I", data, 24)[0]
            segment["num_postings"] = struct.unpack_from("<Q", data, 32)[0]
    return {**files, name: bytes(data), "manifest.json": sealed(manifest)}


def sealed(manifest: dict) -> bytes:
    body = {k: v for k, v in manifest.items() if k != "crc32"}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return json.dumps({**body, "crc32": zlib.crc32(text)}, ensure_ascii=False).encode()


def resealed_deletes(files: dict[str, bytes], name: str, data: bytes) -> bytes:
    """The manifest with the checksum of a changed deletion file; its count is left as it is."""
    manifest = json.loads(files["manifest.json"])
    for segment in manifest["segments"]:
        if segment["deletes"] and segment["deletes"]["file"] == name:
            segment["deletes"]["crc32"] = zlib.crc32(data)
    return sealed(manifest)


def edit_segment(rng: np.random.Generator, data: bytearray, *, inside: bool = False) -> None:
    """One edit of a header field, a table field or a value inside a section; the last alone with `inside`."""
    where = 2 if inside else rng.integers(0, 3)
    value = int(rng.choice(EXTREMES)) if rng.random() < 0.7 else int(rng.integers(0, 2**32))
    if where == 0:
        struct.pack_into("<I", data, int(rng.integers(2, 15)) * 4, value)
    elif where == 1:
        count = min(16, struct.unpack_from("<I", data, 12)[0]) or 1
        struct.pack_into("<I", data, 64 + 32 * int(rng.integers(0, count)) + 4 * int(rng.integers(0, 6)), value)
    else:
        count = min(16, struct.unpack_from("<I", data, 12)[0]) or 1
        offset, size = struct.unpack_from("<QQ", data, 64 + 32 * int(rng.integers(0, count)) + 8)
        if size >= 4 and offset + size <= len(data):
            at = offset + 4 * int(rng.integers(0, size // 4))
            old = struct.unpack_from("<I", data, at)[0]
            other = struct.unpack_from("<I", data, offset + 4 * int(rng.integers(0, size // 4)))[0]
            near = (old + int(rng.integers(-3, 4))) % 2**32
            struct.pack_into("<I", data, at, (value, near, other)[int(rng.integers(0, 3))])


def edit_manifest(rng: np.random.Generator, data: bytes) -> bytes:
    """One value of the manifest replaced, checksum repaired."""
    manifest = json.loads(data)
    odd = [None, 0, -1, 1.5, 2**70, "x", "../x", [], {}, True, float("inf")]
    target = manifest
    if manifest["segments"] and rng.random() < 0.5:
        target = manifest["segments"][int(rng.integers(0, len(manifest["segments"])))]
        if target["deletes"] and rng.random() < 0.5:
            target = target["deletes"]
    key = str(rng.choice(sorted(target)))
    if rng.random() < 0.2:
        del target[key]
    else:
        target[key] = odd[int(rng.integers(0, len(odd)))]
    return sealed(manifest)


def mutate(rng: np.random.Generator, files: dict[str, bytes], *, inside: bool = False) -> tuple[dict[str, bytes], bool]:
    """(mutated files, whether checksums were repaired); with `inside`, values inside sections alone, which get furthest."""
    if inside:
        name = str(rng.choice(sorted(name for name in files if name.endswith(".seg"))))
        data = bytearray(files[name])
        for _ in range(int(rng.integers(1, 3))):
            edit_segment(rng, data, inside=True)
        return repaired(files, name, data), True
    name = str(rng.choice(sorted(files)))
    data = bytearray(files[name])
    kind = rng.integers(0, 8)
    if kind >= 4 and name.endswith(".seg"):
        for _ in range(int(rng.integers(1, 3))):
            edit_segment(rng, data)
        return repaired(files, name, data), True
    if kind >= 4 and ".del-" in name:
        data[int(rng.integers(0, len(data)))] ^= 1 << int(rng.integers(0, 8))
        return {**files, name: bytes(data), "manifest.json": resealed_deletes(files, name, bytes(data))}, True
    if kind >= 4 and name == "manifest.json":
        return {**files, name: edit_manifest(rng, files[name])}, True
    if kind == 0 and len(data):
        del data[int(rng.integers(0, len(data))) :]
    elif kind == 1:
        at = int(rng.integers(0, len(data) + 1))
        data[at:at] = rng.bytes(int(rng.integers(1, 40)))
    elif kind == 2 and len(data):
        at = int(rng.integers(0, len(data)))
        data[at : at + 8] = rng.bytes(min(8, len(data) - at))
    elif len(data):
        for _ in range(int(rng.integers(1, 4))):
            data[int(rng.integers(0, len(data)))] ^= 1 << int(rng.integers(0, 8))
    return {**files, name: bytes(data)}, False
