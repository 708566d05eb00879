"""Adding, replacing and deleting: what is live afterwards, and what snapshots and ordinals keep."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from indexer import SparseVectors, add_documents, build_index, delete_documents, open_index
from indexer.errors import ConfigError, DataError, LockedError


def rows(*weights, num_terms=8):
    return SparseVectors.from_rows(weights, num_terms)


@pytest.fixture
def folder(tmp_path):
    build_index(tmp_path / "i", rows({0: 1.0}, {1: 2.0}, {2: 0.5}), docnos=["a", "b", "c"], encoder="m1")
    return tmp_path / "i"


def test_added_documents_go_on_counting_under_the_frozen_scale(folder):
    index = add_documents(folder, rows({3: 9.0}, {1: 1.0}), docnos=["d", "e"], encoder="m1")
    assert index.num_docs == 5
    assert index.docnos([3, 4]) == ["d", "e"]
    assert index.doc_scale == 2.0 / 255
    assert index.segments[1].section("IMPA").tolist() == [128, 255]  # by term: e's 1.0 is half of 2.0, d's 9.0 is cut
    assert index.segments[1].entry.num_clipped == 1


def test_an_existing_docno_is_refused_or_replaced(folder):
    before = open_index(folder)
    with pytest.raises(DataError, match=r"docno 'b' is in the index already"):
        add_documents(folder, rows({0: 1.0}), docnos=["b"])
    index = add_documents(folder, rows({0: 1.0}), docnos=["b"], replace_existing=True)
    assert index.ordinals(["a", "b", "c"]).tolist() == [0, 3, 2]
    assert index.docnos([1]) == [None]
    assert index.num_docs == 3
    assert before.ordinals(["b"]).tolist() == [1]  # an open reader keeps its snapshot
    assert before.refresh().ordinals(["b"]).tolist() == [3]


def test_delete_by_name_and_ordinal_reports_what_was_missing(folder):
    report = delete_documents(folder, ["c", "nobody", "c"])
    assert (report.deleted, report.missing) == (1, ("nobody",))
    report = delete_documents(folder, ordinals=[0, 2, 77])
    assert (report.deleted, report.missing) == (1, (2, 77))
    index = open_index(folder)
    assert index.num_docs == 1
    assert index.docnos([0, 1, 2]) == [None, "b", None]
    assert sorted(p.name for p in folder.iterdir() if "del" in p.name) == [index.segments[0].entry.deletes.file]


def test_a_deleted_name_can_be_added_again(folder):
    delete_documents(folder, ["a"])
    index = add_documents(folder, rows({5: 1.0}), docnos=["a"])
    assert index.ordinals(["a"]).tolist() == [3]


def test_unnamed_documents_collide_with_names_that_spell_their_ordinal(tmp_path):
    build_index(tmp_path / "i", rows({0: 1.0}), docnos=["1"])
    with pytest.raises(DataError, match="docno '1' is in the index already"):
        add_documents(tmp_path / "i", rows({0: 1.0}))


def test_an_empty_index_takes_its_scale_from_the_first_weights(tmp_path):
    build_index(tmp_path / "i", SparseVectors.empty(2, 8))
    assert add_documents(tmp_path / "i", rows({1: 5.1})).doc_scale == pytest.approx(5.1 / 255)


def test_terms_outside_the_vocabulary_and_other_encoders_are_refused(folder):
    with pytest.raises(DataError, match="row 1 holds term id 9"):
        add_documents(folder, rows({0: 1.0}, {9: 1.0}, num_terms=10), docnos=["x", "y"])
    with pytest.raises(ConfigError, match="another"):
        add_documents(folder, rows({0: 1.0}), docnos=["x"], encoder="m2")


def test_the_second_writer_is_told_who_holds_the_lock(folder):
    code = (
        "import fcntl, os, sys\n"
        "from pathlib import Path\n"
        "from indexer.format.lock import write_lock\n"
        "with write_lock(Path(sys.argv[1])):\n"
        "    print(os.getpid(), flush=True)\n"
        "    sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path.cwd(),
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )
    pid = holder.stdout.readline().strip()
    with pytest.raises(LockedError, match=f"written by process {pid} "):
        delete_documents(folder, ["a"])
    holder.communicate("")
    assert delete_documents(folder, ["a"]).deleted == 1


def test_leftovers_of_a_crashed_writer_go_with_the_next_write(folder):
    for name in ("000007.seg", "000001.del-000009", "manifest.json.new"):
        (folder / name).write_bytes(b"torn")
    open_index(folder)
    add_documents(folder, rows({0: 1.0}), docnos=["z"])
    names = {p.name for p in folder.iterdir()}
    assert names == {"manifest.json", "write.lock", "000001.seg", "000002.seg"}


def test_many_random_changes_equal_a_dictionary(tmp_path):
    """Live names and ordinals after a random history, against a plain dictionary of docno -> ordinal."""
    rng = np.random.default_rng(3)
    build_index(tmp_path / "i", SparseVectors.empty(0, 8))
    live, next_ordinal = {}, 0
    for _ in range(25):
        names = sorted({f"d{i}" for i in rng.integers(0, 30, 4)})
        if rng.random() < 0.3 and live:
            gone = [n for n in names if n in live]
            assert delete_documents(tmp_path / "i", names).deleted == len(gone)
            for name in gone:
                del live[name]
            continue
        add_documents(tmp_path / "i", rows(*[{0: 1.0}] * len(names)), docnos=names, replace_existing=True)
        for name in names:
            live[name] = next_ordinal
            next_ordinal += 1
    index = open_index(tmp_path / "i")
    assert index.num_docs == len(live)
    assert index.ordinals(list(live)).tolist() == list(live.values())
    assert index.docnos(list(live.values())) == list(live)
