"""Snapshots of indexes at rest, of indexes being written, of shards; and what is left when one is killed."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from indexer import (
    IndexConfig,
    SparseVectors,
    add_documents,
    build_index,
    build_shards,
    compact_index,
    delete_documents,
    open_index,
    restore_index,
    take_snapshot,
    update,
    verify_index,
)
from indexer.errors import ConfigError, IndexFormatError, LockedError
from indexer.format.lock import write_lock
from indexer.snapshots import take
from sparseir import Index, Searcher
from tests.unit.test_build import random_vectors

FORMS = ["copy", "copy.tar", "copy.tar.zst"]


def content(path: Path) -> list[tuple[str | None, dict]]:
    """Live documents by name, with their fields."""
    index = open_index(path)
    live = np.sort(np.concatenate([s.ordinals[s.live] for s in index.segments]))
    return list(zip(index.docnos(live), index.fields(live), strict=True))


def hits(path: Path, text: str) -> list[tuple[str, float]]:
    with Searcher.open(path) as searcher:
        return [(hit.docno, hit.score) for hit in searcher.search(text, 10)]


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """A BM25 index of two segments with a deletion and a query side."""
    index = Index.build(tmp_path / "words", [{"_id": f"d{i}", "text": f"text {i} of some"} for i in range(40)])
    index.add([{"_id": f"e{i}", "text": f"further {i} text"} for i in range(20)])
    index.delete(["d3", "e4"])
    index.close()
    return tmp_path / "words"


@pytest.mark.parametrize("name", FORMS)
def test_what_is_restored_is_what_was_there(words, tmp_path, run, name):
    snapshot, back = tmp_path / name, tmp_path / "back"
    taken = run("index", "snapshot", words, snapshot, "--json")
    assert taken.code == 0, taken.err
    report = json.loads(taken.out)
    assert report["documents"] == 58
    assert report["generation"] == open_index(words).generation
    assert report["linked"] == (2 if name == "copy" else 0)
    done = run("index", "restore", snapshot, back)
    assert done.code == 0, done.err
    assert verify_index(back).leftovers == verify_index(back).foreign == ()
    assert content(back) == content(words)
    assert hits(back, "further text") == hits(words, "further text")
    delete_documents(back, ["d5"])
    assert len(content(words)) == 58


def test_a_folder_is_an_index_that_outlives_its_origin(words, tmp_path):
    """Hard links keep the bytes when the index is compacted; verify takes the description for no stranger."""
    before = content(words)
    take_snapshot(words, tmp_path / "copy")
    assert (tmp_path / "copy/000001.seg").stat().st_ino == (words / "000001.seg").stat().st_ino
    delete_documents(words, ["d7"])
    compact_index(words)
    assert content(tmp_path / "copy") == before
    assert verify_index(tmp_path / "copy").foreign == ()


def test_where_no_link_can_be_made_bytes_are_copied(words, tmp_path, monkeypatch):
    def refuse(*given: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(take.os, "link", refuse)
    assert take_snapshot(words, tmp_path / "copy").linked == 0
    assert content(tmp_path / "copy") == content(words)


def test_a_segment_that_is_a_link_is_copied_not_linked(words, tmp_path):
    """As caches of downloads keep them."""
    segment = words / "000001.seg"
    segment.rename(tmp_path / "blob")
    segment.symlink_to(tmp_path / "blob")
    assert take_snapshot(words, tmp_path / "copy").linked == 1
    assert not (tmp_path / "copy/000001.seg").is_symlink()
    assert content(tmp_path / "copy") == content(words)


@pytest.mark.parametrize("name", FORMS)
def test_an_index_stands_in_the_way_unless_it_may_be_replaced(words, tmp_path, run, name):
    take_snapshot(words, tmp_path / name)
    before = content(words)
    delete_documents(words, ["d8", "d9"])
    generation = open_index(words).generation
    refused = run("index", "restore", tmp_path / name, words)
    assert refused.code == 1
    assert "holds an index already" in refused.err
    assert len(content(words)) == 56
    reader = open_index(words)
    restored = restore_index(tmp_path / name, words, overwrite=True)
    assert restored.generation == generation + 1  # a service that has it open sees a new commit
    assert content(words) == before
    assert reader.refresh().generation == generation + 1
    assert verify_index(words).leftovers == ()


def test_a_writer_at_work_is_not_overwritten(words, tmp_path):
    take_snapshot(words, tmp_path / "copy")
    with write_lock(words), pytest.raises(LockedError, match="is being written by"):
        restore_index(tmp_path / "copy", words, overwrite=True)
    assert len(content(words)) == 58


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("words", "exists; name a snapshot that is not there yet"),
        ("words/inside", "is inside the index"),
        ("copy.tar.gz", r"a folder, or a file whose name ends in \.tar or \.tar\.zst"),
    ],
)
def test_places_that_cannot_be(words, tmp_path, target, said):
    with pytest.raises(ConfigError, match=said):
        take_snapshot(words, tmp_path / target)
    assert verify_index(words).foreign == ()


@pytest.mark.parametrize("name", FORMS)
def test_damage_is_named_and_leaves_no_snapshot(tmp_path, name):
    rng = np.random.default_rng(1)
    build_index(tmp_path / "i", random_vectors(rng, 3000, 40, 6), config=IndexConfig(stored_weights="f32"))
    index = open_index(tmp_path / "i")
    segment = index.segments[0]
    for section, place in segment.sections.items():
        if not place.bytes:
            continue
        raw = bytearray(segment.path.read_bytes())
        raw[place.offset + place.bytes // 2] ^= 4
        damaged = tmp_path / "damaged"
        build_index(damaged, SparseVectors.empty(1, 1), overwrite=True)
        for file in damaged.iterdir():
            file.unlink()
        (damaged / "manifest.json").write_bytes((tmp_path / "i/manifest.json").read_bytes())
        (damaged / segment.path.name).write_bytes(raw)
        with pytest.raises(IndexFormatError, match=f"section {section} is damaged") as caught:
            take_snapshot(damaged, tmp_path / name)
        assert caught.value.section == section
        assert segment.path.name in str(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["damaged", "i"]


def test_snapshots_while_a_writer_commits_are_whole_commits(tmp_path):
    """Every commit adds two documents, some delete two, some compact: each snapshot holds an even number and is sound."""
    path, stop, faults = tmp_path / "i", threading.Event(), []
    build_index(path, SparseVectors.from_rows([{0: 1.0}, {1: 1.0}], 4), docnos=["a0", "b0"])

    def write() -> None:
        try:
            for number in range(1, 400):
                if stop.is_set():
                    return
                names = [f"a{number}", f"b{number}"]
                add_documents(path, SparseVectors.from_rows([{0: 1.0, 2: 2.0}, {3: 1.0}], 4), docnos=names)
                if number % 3 == 0:
                    delete_documents(path, [f"a{number - 1}", f"b{number - 1}"])
                if number % 7 == 0:
                    compact_index(path)
        except Exception as error:
            faults.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(12):
            snapshot = tmp_path / f"s{number}{['', '.tar'][number % 2]}"
            report = take_snapshot(path, snapshot)
            restored = restore_index(snapshot, tmp_path / f"r{number}")
            names = {name for name, _ in content(restored.path)}
            assert {n[1:] for n in names if n[0] == "a"} == {n[1:] for n in names if n[0] == "b"}
            assert len(names) == report.documents
            verify_index(restored.path)
    finally:
        stop.set()
        writer.join()
    assert faults == []
    assert open_index(path).generation > 12


@pytest.mark.parametrize("name", FORMS)
def test_shards(tmp_path, run, name):
    rng = np.random.default_rng(2)
    names = [f"d{i}" for i in range(90)]
    build_shards(tmp_path / "parts", random_vectors(rng, 90, 30, 5), shards=3, docnos=names)
    delete_documents(tmp_path / "parts", ["d4", "d70"])
    assert run("index", "snapshot", tmp_path / "parts", tmp_path / name).code == 0
    assert run("index", "restore", tmp_path / name, tmp_path / "back").code == 0
    assert content(tmp_path / "back") == content(tmp_path / "parts")
    assert verify_index(tmp_path / "back").foreign == ()
    (tmp_path / "back/notes.txt").touch()
    (tmp_path / "back/shard-001/notes.txt").touch()
    (tmp_path / "back/shard-000.7").mkdir()
    told = verify_index(tmp_path / "back")
    assert told.foreign == ("notes.txt", "shard-001/notes.txt")
    assert told.leftovers == ("shard-000.7",)
    before = content(tmp_path / "parts")
    delete_documents(tmp_path / "parts", ["d5"])
    refused = run("index", "restore", tmp_path / name, tmp_path / "parts")
    assert refused.code == 1
    assert "holds shards already" in refused.err
    assert run("index", "restore", tmp_path / name, tmp_path / "parts", "--overwrite").code == 0
    assert content(tmp_path / "parts") == before
    assert len([p for p in (tmp_path / "parts").iterdir() if p.is_dir()]) == 3
    if name == "copy":
        assert content(tmp_path / "copy") == before


@pytest.fixture
def parts(tmp_path):
    """Three shards of 30 documents."""
    vectors = random_vectors(np.random.default_rng(2), 90, 30, 5)
    build_shards(tmp_path / "parts", vectors, shards=3, docnos=[f"d{i}" for i in range(90)])
    return tmp_path / "parts"


def test_no_snapshot_of_shards_is_taken_between_the_commits_of_one_deletion(parts, tmp_path, monkeypatch):
    """d4, d40 and d70 are of three shards; after the first commit a snapshot would lack d4 and hold the others."""
    monkeypatch.setattr(take, "_PATIENCE", 0.0)
    commit, refused = update.delete_documents, []

    def commit_and_try(folder, *names, **options):
        report = commit(folder, *names, **options)
        if folder != parts:
            with pytest.raises(LockedError):
                take_snapshot(parts, tmp_path / "between")
            refused.append(folder.name)
        return report

    monkeypatch.setattr(update, "delete_documents", commit_and_try)
    assert update.delete_documents(parts, ["d4", "d40", "d70"]).deleted == 3
    assert len(refused) == 3
    assert take_snapshot(parts, tmp_path / "after").documents == 87


def test_a_snapshot_of_shards_waits_for_the_deletion_and_is_then_taken(parts, tmp_path):
    with write_lock(parts):
        taking = threading.Thread(target=take_snapshot, args=(parts, tmp_path / "copy"))
        taking.start()
        delete_documents(parts / "shard-000", ["d4"])
        delete_documents(parts / "shard-001", ["d40"])
        assert not (tmp_path / "copy").exists()
    taking.join()
    assert len(content(tmp_path / "copy")) == 88


def test_commits_of_single_shards_begin_the_opening_of_all_again(parts, tmp_path, monkeypatch):
    """d4 is deleted from a shard that was opened already: a snapshot without it could hold what came after it."""
    opened = take.open_index
    monkeypatch.setattr(
        take, "open_index", lambda path: (opened(path), delete_documents(parts / "shard-000", ["d4"]))[0]
    )
    assert "d4" not in dict(content(take_snapshot(parts, tmp_path / "one").path))
    monkeypatch.setattr(take, "_ATTEMPTS", 0)
    with pytest.raises(LockedError, match="committed to all the time"):
        take_snapshot(parts, tmp_path / "two")
    assert not (tmp_path / "two").exists()


def test_shards_in_a_folder_that_takes_no_lock_are_copied(parts, tmp_path, monkeypatch):
    def refused(path):
        raise PermissionError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(take, "write_lock", refused)
    assert take_snapshot(parts, tmp_path / "copy").documents == 90


_CHILD = """
import sys
from indexer import restore_index, take_snapshot
def wait(stage, done, total):
    print(done, flush=True)
    sys.stdin.read()
call, arguments = sys.argv[1], sys.argv[2:]
if call == "take":
    take_snapshot(*arguments, progress=wait)
else:
    restore_index(*arguments, overwrite=True, progress=wait)
"""


def kill_midway(*arguments: object) -> None:
    """Start a snapshot or a restoration and kill it when its first bytes are written."""
    with subprocess.Popen(
        [sys.executable, "-c", _CHILD, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert int(child.stdout.readline()) > 0
        os.kill(child.pid, signal.SIGKILL)


@pytest.mark.parametrize("name", FORMS)
def test_a_killed_snapshot_is_not_there_and_the_next_takes_its_place(words, tmp_path, name):
    kill_midway("take", words, tmp_path / name)
    assert not (tmp_path / name).exists()
    assert len(list(tmp_path.glob(f".{name}.*.partial"))) == 1
    take_snapshot(words, tmp_path / name)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, "words"])


@pytest.mark.parametrize("name", FORMS)
def test_a_killed_restoration_leaves_no_index_or_the_old_one(words, tmp_path, name):
    take_snapshot(words, tmp_path / name)
    kill_midway("restore", tmp_path / name, tmp_path / "fresh")
    with pytest.raises(IndexFormatError, match="holds no index"):
        open_index(tmp_path / "fresh")
    assert content(restore_index(tmp_path / name, tmp_path / "fresh").path) == content(words)
    delete_documents(words, ["d1"])
    before = content(words)
    kill_midway("restore", tmp_path / name, words)
    assert content(words) == before
    restored = restore_index(tmp_path / name, words, overwrite=True)
    assert len(restored) == 58
    assert verify_index(words).leftovers == ()
