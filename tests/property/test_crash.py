"""A writer stopped at every step: the index is at its last or its new commit, nothing committed is missing.

Three ways to die before each create, write, fsync, rename and unlink: at once, after half of a write, and with every
file that was not yet synced found empty afterwards (a loss of power). After its death the writer changes nothing more.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
from functools import partial

import numpy as np
import pytest

from indexer import (
    IndexConfig,
    SparseVectors,
    add_documents,
    build_index,
    compact_index,
    delete_documents,
    open_index,
    verify_index,
)
from indexer.errors import SparseIRError
from indexer.format import files

STEPS = ("create", "write", "fsync", "fsync_folder", "replace", "unlink")


class Killed(BaseException):
    """Not an Exception: nothing in the library may catch it."""


class Shim:
    """Stands before the file layer; dies at one step and lets nothing through afterwards."""

    def __init__(self, monkeypatch, die_at, how):
        self.die_at, self.how, self.step = die_at, how, 0
        self.dead = False
        self.paths, self.unsynced = {}, set()
        self.real = {name: getattr(files, name) for name in STEPS}
        for name in STEPS:
            monkeypatch.setattr(files, name, partial(self.call, name))

    def call(self, name, *arguments):
        if self.dead:
            raise Killed
        if self.step == self.die_at:
            self.die(name, arguments)
        self.step += 1
        result = self.real[name](*arguments)
        if name == "create":
            self.paths[result] = arguments[0]
        elif name == "write":
            self.unsynced.add(self.paths[arguments[0]])
        elif name == "fsync":
            self.unsynced.discard(self.paths[arguments[0]])
        elif name == "replace":
            assert arguments[0] not in self.unsynced, "renamed before its bytes were durable"
        return result

    def die(self, name, arguments):
        self.dead = True
        if name == "write" and self.how == "torn":
            descriptor, data, offset = arguments
            view = memoryview(data).cast("B")
            self.real["write"](descriptor, view[: len(view) // 2], offset)
        if self.how == "power":
            for path in self.unsynced:
                if path.exists():
                    path.write_bytes(b"")
        if self.how == "full":
            self.dead = False
            self.die_at = -1
            if name in ("write", "fsync"):
                raise files.storage_error(OSError(errno.ENOSPC, "No space left on device"))
            return
        raise Killed


def rows(count, seed):
    rng = np.random.default_rng(seed)
    return SparseVectors.from_rows(
        [{int(t): 1.0 + int(t) for t in rng.choice(12, 3, replace=False)} for _ in range(count)], 12
    )


CONFIG = IndexConfig(order="input", metadata=("year",), stored_weights="f16")


def make(path):
    build_index(path, rows(6, 1), docnos=list("abcdef"), fields=[{"year": i} for i in range(6)], config=CONFIG)
    add_documents(path, rows(3, 2), docnos=list("ghi"), fields=[{"year": i} for i in range(3)])
    delete_documents(path, ["b"])


def add(path):
    add_documents(path, rows(2, 3), docnos=["j", "a"], fields=[{"year": 1}, {"year": 2}], replace_existing=True)


def delete(path):
    delete_documents(path, ["c", "h"])


def compact(path):
    compact_index(path, layout="packed")


def rebuild(path):
    build_index(path, rows(4, 5), docnos=list("wxyz"), overwrite=True)


def rebuild_within_a_budget(path):
    build_index(path, rows(4, 5), docnos=list("wxyz"), overwrite=True, memory_budget=1)


CHANGES = [add, delete, compact, rebuild, rebuild_within_a_budget]


def content(path):
    """All that can be seen of an index."""
    index = open_index(path)
    live = sorted(o for s in index.segments for o in s.ordinals[s.live].tolist())
    return index.generation, list(zip(live, index.docnos(live), map(str, index.fields(live)), strict=True))


def count_points(tmp_path, monkeypatch, change):
    make(tmp_path / "count")
    with monkeypatch.context() as patch:
        shim = Shim(patch, -1, "kill")
        change(tmp_path / "count")
    return shim.step, content(tmp_path / "count")


@pytest.mark.parametrize("how", ["kill", "torn", "power", "full"])
@pytest.mark.parametrize("change", CHANGES, ids=lambda f: f.__name__)
def test_a_stopped_writer_leaves_the_last_commit(tmp_path, monkeypatch, change, how):
    points, after = count_points(tmp_path, monkeypatch, change)
    make(tmp_path / "start")
    before = content(tmp_path / "start")
    reached = set()
    for point in range(points):
        path = tmp_path / "i"
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(tmp_path / "start", path)
        with monkeypatch.context() as patch:
            Shim(patch, point, how)
            with contextlib.suppress(Killed, SparseIRError):
                change(path)
        found = content(path)
        assert found in (before, after), f"point {point}"
        reached.add(found[0])
        verify_index(path)
        add_documents(path, rows(1, 9), docnos=["later"], fields=[{"year": 9}])
        verify_index(path)
        manifest = open_index(path).manifest
        named = {s.file for s in manifest.segments} | {s.deletes.file for s in manifest.segments if s.deletes}
        assert {p.name for p in path.iterdir()} == named | {"manifest.json", "write.lock"}
    assert reached == {before[0], after[0]}  # the last points come after the commit


def test_there_are_enough_points(tmp_path, monkeypatch):
    total = 0
    for number, change in enumerate(CHANGES):
        (tmp_path / str(number)).mkdir()
        total += count_points(tmp_path / str(number), monkeypatch, change)[0]
    assert 3 * total >= 300, total


def test_a_first_build_that_dies_leaves_no_index_and_can_be_run_again(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        Shim(patch, 5, "torn")
        with pytest.raises(Killed):
            build_index(tmp_path / "i", rows(4, 1))
    with pytest.raises(SparseIRError, match="holds no index"):
        open_index(tmp_path / "i")
    assert build_index(tmp_path / "i", rows(4, 1)).num_docs == 4
    assert verify_index(tmp_path / "i").documents == 4
