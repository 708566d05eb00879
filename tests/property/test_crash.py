"""A writer stopped at every step: the index is at its last or its new commit, nothing committed is missing.

Three ways to die before each create, write, fsync, rename and unlink: at once, after half of a write, and with every
file that was not yet synced found empty afterwards (a loss of power). After its death the writer changes nothing more.
The next writer that takes the lock gives the disk back before it does anything else.

Then every call to the system fails once, as a full or broken disk does, or writes half of what it was given: the write is
done, or refused with nothing changed, and what it had written is gone. Signals interrupt calls and change nothing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
from dataclasses import replace
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
from indexer.format.folder import writing
from indexer.format.manifest import named_files

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
ROUNDS = int(os.environ.get("FAULT_ROUNDS", "1"))
"""How often kills and faults are gone through, each time from another index: other documents, weights and layout."""


def make(path, turn=0):
    layout, stored = ("standard", "packed", "compact")[turn % 3], ("f16", "none", "f32")[turn // 3 % 3]
    config = replace(CONFIG, layout=layout, stored_weights=stored)
    first = rows(6, 100 * turn + 1)
    build_index(path, first, docnos=list("abcdef"), fields=[{"year": i} for i in range(6)], config=config)
    add_documents(path, rows(3, 100 * turn + 2), docnos=list("ghi"), fields=[{"year": i} for i in range(3)])
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


def add_and_merge(path):
    """The fourth small segment (see `prepare`): all are merged in the commit that adds it."""
    add(path)


CHANGES = [add, add_and_merge, delete, compact, rebuild, rebuild_within_a_budget]


def prepare(path, change, turn=0):
    """The index that a change is made to."""
    make(path, turn)
    if change is add_and_merge:
        add_documents(path, rows(1, 7), docnos=["m"], fields=[{"year": 3}])


def content(path):
    """All that can be seen of an index."""
    index = open_index(path)
    live = sorted(o for s in index.segments for o in s.ordinals[s.live].tolist())
    return index.generation, list(zip(live, index.docnos(live), map(str, index.fields(live)), strict=True))


def assert_nothing_is_left_over(path):
    """The folder holds what its manifest names and nothing more."""
    named = named_files(open_index(path).manifest) if (path / "manifest.json").exists() else set()
    found = {p.name for p in path.iterdir()}
    assert found - {"manifest.json", "write.lock"} == named


def count_points(tmp_path, monkeypatch, change, turn=0):
    prepare(tmp_path / "count", change, turn)
    with monkeypatch.context() as patch:
        shim = Shim(patch, -1, "kill")
        change(tmp_path / "count")
    return shim.step, content(tmp_path / "count")


@pytest.mark.parametrize("how", ["kill", "torn", "power", "full"])
@pytest.mark.parametrize("change", CHANGES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("turn", range(ROUNDS))
def test_a_stopped_writer_leaves_the_last_commit(tmp_path, monkeypatch, turn, change, how):
    points, after = count_points(tmp_path, monkeypatch, change, turn)
    prepare(tmp_path / "start", change, turn)
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
        with writing(path):
            assert_nothing_is_left_over(path)
        add_documents(path, rows(1, 9), docnos=["later"], fields=[{"year": 9}])
        verify_index(path)
        assert_nothing_is_left_over(path)
    print(f"{points} stops")
    assert reached == {before[0], after[0]}  # the last points come after the commit


def test_the_addition_that_merges_does(tmp_path):
    prepare(tmp_path / "i", add_and_merge)
    assert len(open_index(tmp_path / "i").segments) == 3
    add_and_merge(tmp_path / "i")
    assert len(open_index(tmp_path / "i").segments) == 1


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


class Faults:
    """Stands before the system calls of the file layer and makes one of them fail; 0 counts them.

    Parameters
    ----------
    at : the number of the call, from 1 on.
    fault : an errno, "short" for half of a write, or an exception to raise.
    """

    CALLS = ("open", "pwrite", "fsync", "rename", "unlink", "mkdir")

    def __init__(self, monkeypatch, at, fault):
        self.at, self.fault, self.calls = at, fault, 0
        self.struck = None
        self.real = {name: getattr(os, name) for name in (*self.CALLS, "replace")}
        for name in self.CALLS:
            monkeypatch.setattr(os, name, partial(self.call, name))
        monkeypatch.setattr(os, "replace", partial(self.call, "replace"))

    def call(self, name, *arguments, **keywords):
        if name == "open" and not arguments[1] & os.O_CREAT:
            return self.real[name](*arguments, **keywords)
        self.calls += 1
        if self.calls == self.at:
            self.struck = name
            if self.fault == "short" and name == "pwrite":
                descriptor, data, offset = arguments
                return self.real[name](descriptor, data[: max(1, len(data) // 2)], offset)
            if isinstance(self.fault, BaseException):
                raise self.fault
            if isinstance(self.fault, int):
                raise OSError(self.fault, os.strerror(self.fault))
        return self.real[name](*arguments, **keywords)


def plain_add(path):
    add_documents(path, rows(2, 3), docnos=["j", "k"], fields=[{"year": 1}, {"year": 2}])


def merge(path):
    compact_index(path)


def first_build(path):
    build_index(path, rows(4, 5), docnos=list("wxyz"))


def first_build_within_a_budget(path):
    build_index(path, rows(4, 5), docnos=list("wxyz"), memory_budget=1)


FIRST = (first_build, first_build_within_a_budget)
WRITES = [*CHANGES, plain_add, merge, *FIRST]
FAULTS = {
    "ENOSPC": errno.ENOSPC,
    "EIO": errno.EIO,
    "short write": "short",
    "Ctrl-C": KeyboardInterrupt(),
}


def content_or_none(path):
    return content(path) if (path / "manifest.json").exists() else None


def strike(start, path, change, at, fault):
    """One write with one failing call: (the error or None, what stood before the calls)."""
    shutil.rmtree(path, ignore_errors=True)
    if change not in FIRST:
        shutil.copytree(start, path)
    error = None
    with pytest.MonkeyPatch.context() as patch:
        shim = Faults(patch, at, fault)
        try:
            change(path)
        except (SparseIRError, KeyboardInterrupt) as caught:
            error = caught
        except OSError as caught:
            if shim.struck != "open":  # other than the lock's, each call belongs to the file layer
                raise
            error = caught
    return error, shim


@pytest.mark.parametrize("fault", FAULTS, ids=str)
@pytest.mark.parametrize("change", WRITES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("turn", range(ROUNDS))
def test_a_call_that_fails_once(tmp_path, turn, change, fault):
    prepare(tmp_path / "start", change, turn)
    path, start = tmp_path / "i", tmp_path / "start"
    _, shim = strike(start, path, change, 0, None)
    total, after = shim.calls, content(path)
    before = None if change in FIRST else content(start)
    for at in range(1, total + 1):
        error, shim = strike(start, path, change, at, FAULTS[fault])
        if not path.exists():
            assert error is not None  # the folder itself could not be made
            continue
        found = content_or_none(path)
        if fault == "short write":
            assert error is None, (at, shim.struck, error)
        if error is None:
            assert found == after, (at, shim.struck)
        elif found == after:
            assert fault == "Ctrl-C" or "is in force" in str(error), (at, shim.struck, error)
        else:
            assert found == before, (at, shim.struck)
        if error is not None and found == before:  # else the clean-up itself was struck
            assert_nothing_is_left_over(path)
        with writing(path):
            assert_nothing_is_left_over(path)
        if found is not None:
            verify_index(path)
    print(f"{total} faults")


@pytest.mark.parametrize("change", WRITES, ids=lambda f: f.__name__)
def test_signals_that_interrupt_calls_change_nothing(tmp_path, change):
    """A timer whose handler does nothing, thousands of times a second: calls that it interrupts (EINTR) are made again."""
    struck = []
    for path in [] if change in FIRST else [tmp_path / "quiet", tmp_path / "loud"]:
        prepare(path, change)
    change(tmp_path / "quiet")
    before = signal.signal(signal.SIGALRM, lambda *_: struck.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
    try:
        change(tmp_path / "loud")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert struck
    assert content(tmp_path / "loud") == content(tmp_path / "quiet")
    assert_nothing_is_left_over(tmp_path / "loud")


def test_a_full_disk_does_not_keep_a_deletion_from_making_room(tmp_path, monkeypatch):
    """A disk with room for what is there, a manifest and two bitmaps: additions fail again and again, a deletion goes through."""
    path = tmp_path / "i"
    make(path)
    used = sum(p.stat().st_size for p in path.iterdir())
    real, room = os.pwrite, used + 3000

    def pwrite(descriptor, data, offset):
        there = sum(p.stat().st_size for p in path.iterdir())
        if there + len(data) > room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", pwrite)
        for _ in range(3):
            with pytest.raises(SparseIRError, match="No space left"):
                add_documents(path, rows(400, 3), docnos=[f"n{i}" for i in range(400)])
            assert_nothing_is_left_over(path)
        assert delete_documents(path, ["a", "c", "g"]).deleted == 3
    verify_index(path)


def test_leftovers_of_many_kills_do_not_pile_up(tmp_path):
    path = tmp_path / "i"
    make(path)
    size = sum(p.stat().st_size for p in path.iterdir())
    for turn in range(6):
        with pytest.MonkeyPatch.context() as patch:
            Shim(patch, 6, "kill")
            with pytest.raises(Killed):
                compact(path)
        there = {p.name for p in path.iterdir()}
        assert len(there - named_files(open_index(path).manifest)) < 12, turn
    with writing(path):
        pass
    assert abs(sum(p.stat().st_size for p in path.iterdir()) - size) < 100  # the lock's text differs


def test_a_new_folder_is_made_durable_in_its_parent(tmp_path, monkeypatch):
    synced = []
    real = files.fsync_folder
    monkeypatch.setattr(files, "fsync_folder", lambda path: (synced.append(path), real(path))[1])
    build_index(tmp_path / "i", rows(4, 1))
    assert synced.index(tmp_path) < synced.index(tmp_path / "i")


def test_leftovers_stay_beside_a_manifest_that_cannot_be_read(tmp_path):
    path = tmp_path / "i"
    make(path)
    (path / "000077.seg").write_bytes(b"x")
    (path / "manifest.json").write_bytes(b"{")
    names = {p.name for p in path.iterdir()}
    with writing(path):
        pass
    assert {p.name for p in path.iterdir()} == names
