"""An export that is killed with SIGKILL leaves nothing under its final name, and what stood there before stays whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from indexer import SparseVectors, build_index, open_index
from indexer.interchange.export import export_index
from indexer.interchange.stores import STORES, Layout, open_store
from indexer.interchange.stores.write import export_store
from sparseir.search.store_check import check_export

FILES = ("jsonl", "jsonl.gz", "npz", "csr", "ciff")
MOMENTS = ("start", "middle", "end")
KILLED = """
import os, signal, sys
from pathlib import Path
from indexer import open_index
from indexer.format import files
from indexer.interchange.export import export_index
from indexer.interchange.stores import STORES, Layout, open_store
from indexer.interchange.stores.write import export_store

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def at(moment):
    "Kill this process before the rename, or at the first or a middle step of the work."
    if moment == "end":
        files.replace = die
        return lambda *_: None
    seen = []
    def progress(stage, done, total):
        seen.append(stage)
        if len(seen) == (1 if moment == "start" else 3):
            die()
    return progress

index = open_index(sys.argv[1])
for form in sys.argv[3].split(","):
    for moment in sys.argv[4].split(","):
        child = os.fork()
        if not child:
            path = Path(sys.argv[2]) / f"{moment}.{form}"
            if form in STORES:
                export_store(index, path, open_store(form), Layout(name="docs"), overwrite=True, progress=at(moment))
            else:
                export_index(index, path, progress=at(moment))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(form, moment, os.WTERMSIG(status) if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}")
"""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory):
    rng = np.random.default_rng(1)
    rows = [{int(t): 1.0 + float(t) / 50 for t in rng.choice(50, 8, replace=False)} for _ in range(500)]
    path = tmp_path_factory.mktemp("killed") / "index"
    build_index(path, SparseVectors.from_rows(rows, 50), docnos=[f"d{i}" for i in range(500)])
    return open_index(path)


def killed(index, folder: Path, forms: tuple[str, ...]) -> None:
    words = [sys.executable, "-c", KILLED, index.path, folder, ",".join(forms), ",".join(MOMENTS)]
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ends = [line.split(" ", 2) for line in done.stdout.splitlines()]
    assert len(ends) == len(forms) * len(MOMENTS)
    for form, moment, end in ends:
        # A format may have fewer steps than the middle one; then it has ended, and whole.
        assert end == "9" or (moment == "middle" and end == "exit 0"), (form, moment, end, done.stderr)
        if end == "9":
            continue
        (folder / f"{moment}.{form}").rename(folder / f"whole.{form}")


def test_a_killed_export_leaves_no_half_folder(tmp_path, index):
    killed(index, tmp_path, tuple(STORES))
    queries = SparseVectors.from_rows([{1: 1.0, 7: 2.0}], 50)
    for form in STORES:
        for moment in MOMENTS:
            path = tmp_path / f"{moment}.{form}"
            assert not path.exists()
            export_store(index, path, open_store(form), Layout(name="docs"))
            assert check_export(index, path, open_store(form), queries).overlap == 1
    assert list(tmp_path.glob(".*.partial")) == []  # of killed writers


def test_a_killed_export_leaves_the_one_before(tmp_path, index):
    for form in STORES:
        for moment in MOMENTS:
            export_store(index, tmp_path / f"{moment}.{form}", open_store(form), Layout(name="before"))
    killed(index, tmp_path, tuple(STORES))
    for form in STORES:
        for moment in ("start", "end"):
            layouts = (tmp_path / f"{moment}.{form}" / "export.json").read_text()
            assert '"name": "before"' in layouts


def test_a_killed_export_leaves_no_half_file(tmp_path, index):
    killed(index, tmp_path, FILES)
    for form in FILES:
        whole = tmp_path / f"again.{form}"
        export_index(index, whole)
        for moment in MOMENTS:
            path = tmp_path / f"{moment}.{form}"
            assert not path.exists()
            export_index(index, path)
            assert path.read_bytes() == whole.read_bytes()
    assert list(tmp_path.glob(".*.partial")) == []  # of killed writers
