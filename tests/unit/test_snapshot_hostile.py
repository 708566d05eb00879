"""Snapshots that somebody made up or damaged: a named error, nothing outside the target, no index."""

from __future__ import annotations

import io
import json
import os
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from indexer import (
    SparseVectors,
    add_documents,
    build_index,
    delete_documents,
    open_index,
    restore_index,
    take_snapshot,
)
from indexer.errors import DataError, IndexFormatError, SparseIRError
from indexer.format.manifest import json_crc

VECTORS = SparseVectors.from_rows([{0: 1.0, 2: 0.5}, {1: 2.0}, {}], 3)
FAULTS = (DataError, IndexFormatError)


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """A small one as an archive, with two segments, a deletion and a query side."""
    (tmp_path / "side").mkdir()
    (tmp_path / "side/query.json").write_text("{}")
    build_index(tmp_path / "i", VECTORS, docnos=["a", "b", "c"], query_side=tmp_path / "side")
    add_documents(tmp_path / "i", VECTORS, docnos=["d", "e", "f"])
    delete_documents(tmp_path / "i", ["b"])
    take_snapshot(tmp_path / "i", tmp_path / "good.tar")
    return tmp_path / "good.tar"


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar}  # type: ignore[union-attr]


def rebuilt(path: Path, files: dict[str, bytes], change=lambda member: None) -> Path:
    """An archive of these files; `change` may alter the header of each."""
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            change(member)
            tar.addfile(member, io.BytesIO(data))
    return path


def described(files: dict[str, bytes], change) -> dict[str, bytes]:
    """The files with a changed description, under a right checksum."""
    body = json.loads(files["snapshot.json"])
    del body["crc32"]
    change(body)
    return {**files, "snapshot.json": json.dumps({**body, "crc32": json_crc(body)}).encode()}


def refused(snapshot: Path, said: str) -> None:
    """Restoring it ends in one named error and leaves everything as it was."""
    folder = snapshot.parent
    before = sorted(p for p in folder.rglob("*"))
    with pytest.raises(SparseIRError, match=said) as caught:
        restore_index(snapshot, folder / "target/new")
    assert isinstance(caught.value, SparseIRError)
    after = sorted(p for p in folder.rglob("*") if "target" not in p.parts)
    assert after == before
    assert not (folder / "target/new").exists()


@pytest.mark.parametrize(
    "path",
    [
        "../../evil",
        "/etc/evil",
        "a/../../evil",
        "query-000001/..",
        "query-000001/a/b",
        "shard-000/../x",
        ".hidden",
        "",
        "x" * 9 + "\0",
    ],
)
def test_paths_that_lead_elsewhere(snapshot, path):
    files = members(snapshot)
    as_member = {
        ("snapshot.json" if n == "snapshot.json" else path if n == "manifest.json" else n): d for n, d in files.items()
    }
    if path and "\0" not in path:
        refused(rebuilt(snapshot.with_name("m.tar"), as_member), "should be|no plain file")

    def name_it(body):
        body["files"][0]["path"] = path

    refused(rebuilt(snapshot.with_name("d.tar"), described(files, name_it)), "is no file of an index")


@pytest.mark.parametrize(
    "kind",
    [
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
        tarfile.DIRTYPE,
        tarfile.CONTTYPE,
        *(tarfile.GNUTYPE_SPARSE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE),
    ],
)
@pytest.mark.parametrize("place", ["snapshot.json", "manifest.json", "000002.seg"])
def test_what_is_no_plain_file(snapshot, kind, place):
    def change(member: tarfile.TarInfo) -> None:
        if member.name == place:
            member.type, member.linkname = kind, "/etc/passwd"

    refused(rebuilt(snapshot.with_name("k.tar"), members(snapshot), change), "no plain file")


def test_files_missing_added_twice_or_in_another_order(snapshot):
    files = members(snapshot)
    names = list(files)
    for name in names:
        refused(rebuilt(snapshot.with_name("x.tar"), {n: d for n, d in files.items() if n != name}), "should be")
    refused(rebuilt(snapshot.with_name("x.tar"), {"0.txt": b"", **files}), "'0.txt' where 'snapshot.json' should be")
    swapped = {n: files[n] for n in [names[0], names[2], names[1], *names[3:]]}
    refused(rebuilt(snapshot.with_name("x.tar"), swapped), "should be")
    refused(rebuilt(snapshot.with_name("x.tar"), {}), "damaged or no snapshot|nothing where")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda b: b.update(version=2), "version 2, this build reads 1"),
        (lambda b: b.update(format="x"), "not that of a snapshot"),
        (lambda b: b.update(extra=1), "cannot be used"),
        (lambda b: b.update(files=None), "cannot be used"),
        (lambda b: b.update(shards=["shard-000"]), "its shards are not those of its files"),
        (lambda b: b.update(shards=["../x"]), "shards are"),
        (lambda b: b["files"].append(b["files"][0]), "named twice"),
        (lambda b: b["files"][0].update(bytes=-1), "expected a whole number"),
        (lambda b: b["files"][0].update(bytes=2**61), "has room for"),
        (lambda b: b["files"][0].update(bytes=7), "844|bytes, 7 expected|is of"),
        (lambda b: b["files"][0].update(crc32=None), "has a checksum beside its own, or none"),
        (lambda b: b["files"][0].update(crc32=1), "its checksum differs"),
        (lambda b: b["files"].pop(), "disagree on|should be|own query side"),
        (lambda b: b["files"].pop(1), "disagree on '000001.seg'"),
        (lambda b: b["files"].pop(0), "does not begin with a manifest"),
        (lambda b: b.update(generation="1"), "generation is '1'"),
    ],
)
def test_descriptions_that_lie(snapshot, change, said):
    files = members(snapshot)
    lied = described(files, change)
    if (
        "own query side" in said
    ):  # without its last file, the query side's only one, the index restores with an empty one
        side = open_index(restore_index(rebuilt(snapshot.with_name("l.tar"), lied), snapshot.parent / "ok").path)
        assert side.query_files is not None
        assert side.query_files.names == []
        return
    refused(rebuilt(snapshot.with_name("l.tar"), lied), said)


def sealed_manifest(files: dict[str, bytes], change) -> dict[str, bytes]:
    """The files with a changed manifest; every checksum above it is right."""
    body = json.loads(files["manifest.json"])
    del body["crc32"]
    change(body)
    raw = json.dumps({**body, "crc32": json_crc(body)}).encode()

    def fit(description):
        description["files"][0].update(bytes=len(raw), crc32=zlib.crc32(raw))

    return described({**files, "manifest.json": raw}, fit)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda b: b["segments"].pop(), "disagree on"),
        (lambda b: b["segments"].append(b["segments"][0]), "contradicts itself"),
        (lambda b: b["segments"][0].update(file="../x.seg"), "segment file"),
        (lambda b: b["segments"][0]["deletes"].update(file="000002.seg"), "disagree on|contradicts"),
        (lambda b: b["segments"][0].update(header_crc32=7), "not the one its manifest names"),
        (lambda b: b["segments"][0].update(bytes=10**9), "shorter than|not the one|bytes"),
        (lambda b: b["segments"][0].update(bytes=64), "header|longer|bytes"),
        (lambda b: b.update(query_side=None), "disagree on"),
        (lambda b: b.update(query_side="../i"), "file name"),
    ],
)
def test_manifests_that_lie_under_right_checksums(snapshot, change, said):
    refused(rebuilt(snapshot.with_name("l.tar"), sealed_manifest(members(snapshot), change)), said)


def test_flipped_bits_and_early_ends(snapshot):
    """400 bits of an archive, and 100 places where it may end: refused, or of no consequence."""
    raw, rng = snapshot.read_bytes(), np.random.default_rng(3)
    wanted = sorted(open_index(snapshot.parent / "i").docnos(range(6)), key=str)
    refusals = 0
    for number in range(500):
        damaged = bytearray(raw)
        if number < 400:
            damaged[int(rng.integers(len(raw)))] ^= 1 << int(rng.integers(8))
        else:
            del damaged[int(rng.integers(len(raw))) :]
        snapshot.with_name("f.tar").write_bytes(damaged)
        target = snapshot.parent / f"t{number}"
        try:
            restored = restore_index(snapshot.with_name("f.tar"), target)
        except FAULTS:
            refusals += 1
            assert not target.exists()
        else:
            assert sorted(restored.docnos(range(6)), key=str) == wanted
    assert refusals > 200


def test_packed_archives_that_end_early_or_are_none(snapshot):
    take_snapshot(snapshot.parent / "i", snapshot.with_name("p.tar.zst"))
    raw = snapshot.with_name("p.tar.zst").read_bytes()
    for size in range(0, len(raw), 61):
        snapshot.with_name("cut.tar.zst").write_bytes(raw[:size])
        refused(snapshot.with_name("cut.tar.zst"), "damaged or no snapshot|nothing where|ends inside")
    snapshot.with_name("cut.tar.zst").write_bytes(b"no zstandard at all")
    refused(snapshot.with_name("cut.tar.zst"), "damaged or no snapshot")


def test_folders_with_something_else_in_place_of_a_file(snapshot):
    take_snapshot(snapshot.parent / "i", snapshot.with_name("folder"))
    for name in ("000002.seg", "manifest.json", "query-000001/query.json", "snapshot.json"):
        folder = snapshot.with_name("folder")
        raw = (folder / name).read_bytes()
        (folder / name).unlink()
        refused(folder, "is missing|has no snapshot.json")
        os.mkfifo(folder / name)
        refused(folder, "is not a regular file")
        (folder / name).unlink()
        (folder / name).write_bytes(raw[:-2])
        refused(folder, "bytes|cannot be used")
        (folder / name).write_bytes(raw)
    assert len(restore_index(snapshot.with_name("folder"), snapshot.parent / "ok")) == 5


@pytest.mark.parametrize("name", ["nothing", "notes.txt", "plain"])
def test_what_is_no_snapshot(snapshot, name):
    snapshot.with_name("notes.txt").write_text("x")
    snapshot.with_name("plain").mkdir()
    refused(snapshot.with_name(name), "does not exist|is no snapshot")
