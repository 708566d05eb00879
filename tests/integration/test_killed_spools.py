"""What a build that is killed with SIGKILL leaves beside its index: verify names it, the next writer removes it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from indexer import delete_documents, verify_index
from indexer.format.partial import abandoned, spool_folder
from sparseir.text_index import Index

_STALLED = """
import json, sys
def rows():
    for number in range(3000):
        print(json.dumps({"_id": str(number), "text": f"a text of number {number}"}))
    sys.stdout.flush()
    sys.stdin.read()
rows()
"""


def killed_build(path: Path) -> Path:
    """A build of words whose input stalls after its first documents, killed then; the folder it spooled into."""
    with (
        subprocess.Popen([sys.executable, "-c", _STALLED], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as source,
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "sparseir.cli",
                "index",
                "build",
                str(path),
                "--bm25",
                "--corpus",
                "-",
                "--overwrite",
            ],
            stdin=source.stdout,
            stderr=subprocess.DEVNULL,
        ) as build,
    ):
        try:
            while not any(file.stat().st_size for file in path.parent.glob(f".{path.name}.*.partial/batches")):
                assert build.poll() is None, "the build ended by itself"
                time.sleep(0.01)
        finally:
            os.kill(build.pid, signal.SIGKILL)
            source.kill()
    (left,) = path.parent.glob(f".{path.name}.*.partial")
    return left


@pytest.fixture
def index(tmp_path: Path) -> Path:
    Index.build(tmp_path / "docs", ["one text", "another"]).close()
    return tmp_path / "docs"


def test_verify_names_it_and_the_next_write_removes_it(index, run):
    left = killed_build(index)
    done = run("index", "verify", index)
    assert done.code == 0
    assert f"beside the index, left by a writer that was killed: {left.name}; the next write removes that" in done.err
    assert json.loads(run("index", "verify", index, "--json").out)["beside"] == [left.name]
    delete_documents(index, ordinals=[0])
    assert not left.exists()
    assert verify_index(index).beside == ()


def test_only_that_of_dead_writers_of_the_same_index_goes(index):
    left = killed_build(index)
    other = left.with_name(".docs.more.abcdefgh.partial")
    other.mkdir()
    unlike = left.with_name(".docs.notes")
    unlike.mkdir()
    with spool_folder(index) as alive:  # what is left goes already here
        assert not left.exists()
        delete_documents(index, ordinals=[0])
        assert alive.is_dir()
        assert verify_index(index).beside == ()
    assert other.is_dir()
    assert unlike.is_dir()
    assert abandoned(index.with_name("docs.more")) == [other]
