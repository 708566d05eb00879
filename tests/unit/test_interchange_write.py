"""Writers: exact text and arrays, weights that fit, nothing partial."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from indexer.documents import Documents
from indexer.errors import DataError
from indexer.interchange import Vocabulary, open_vectors, write_vectors
from indexer.interchange.output import replacing
from indexer.vectors import SparseVectors

ROWS = SparseVectors.from_rows([{0: 0.1, 2: 3.0}, {}, {1: 1e-30}], 4)
NAMES = ["x", 'quote " line\n', "ü\u2028"]
FORMATS = ["v.jsonl", "v.json.gz", "v.npz", "v.csr", "v.ciff"]


def write(path, scale=None):
    """ROWS in two batches; whole numbers for CIFF."""
    scale = 0.1 if path.suffix == ".ciff" and scale is None else scale
    return write_vectors(
        path, [Documents(ROWS.slice(0, 1), NAMES[:1]), Documents(ROWS.slice(1, 3), NAMES[1:])], scale=scale
    )


def test_json_lines_are_as_anserini_reads_them(tmp_path):
    path = tmp_path / "v.jsonl"
    written = write_vectors(path, ROWS, vocabulary=Vocabulary.fixed(["a", "##b", "ü"], num_terms=4))
    assert (written.num_rows, written.nnz, written.num_terms) == (3, 3, 4)
    assert path.read_text(encoding="utf-8").removesuffix("\n").split("\n") == [
        '{"id": "0", "contents": "", "vector": {"a": 0.100000001, "ü": 3}}',
        '{"id": "1", "contents": "", "vector": {}}',
        '{"id": "2", "contents": "", "vector": {"##b": 1e-30}}',
    ]


def test_scaled_weights_are_whole_and_never_zero(tmp_path):
    """scale 2: 0.1 → floor(.55) = 0 → 1; 3 → floor(2.0) = 2; 1e-30 → 1."""
    path = tmp_path / "v.jsonl"
    write(path, scale=2.0)
    assert [json.loads(line)["vector"] for line in path.read_text(encoding="utf-8").removesuffix("\n").split("\n")] == [
        {"0": 1, "2": 2},
        {},
        {"1": 1},
    ]


def test_scipy_and_numpy_read_the_npz(tmp_path):
    from scipy.sparse import load_npz

    path = tmp_path / "v.npz"
    write(path)
    matrix = load_npz(path)
    assert matrix.shape == (3, 4)
    assert np.array_equal(matrix.toarray(), ROWS.to_scipy().toarray())
    with np.load(path) as members:
        assert [members[k].dtype for k in ("indptr", "indices", "data")] == ["int64", "int32", "float32"]
    before = path.read_bytes()
    write(path)
    assert path.read_bytes() == before, "the same vectors give the same bytes"


def test_npz_holds_ids_beyond_int32(tmp_path):
    path = tmp_path / "v.npz"
    rows = SparseVectors.from_rows([{2**31: 1.0, 2**32 - 2: 2.0}], 2**32 - 1)
    write_vectors(path, rows)
    (batch,) = open_vectors(path)
    assert batch.vectors.term_ids.tolist() == [2**31, 2**32 - 2]
    with pytest.raises(DataError, match="Big-ANN CSR holds int32"):
        write_vectors(tmp_path / "v.csr", rows)


def test_bigann_bytes(tmp_path):
    path = tmp_path / "v.csr"
    write_vectors(path, ROWS)
    expected = np.array([3, 4, 3, 0, 2, 2, 3], "<i8").tobytes() + np.array([0, 2, 1], "<i4").tobytes()
    assert path.read_bytes() == expected + np.array([0.1, 3, 1e-30], "<f4").tobytes()
    assert [p.name for p in tmp_path.iterdir()] == ["v.csr"]


def test_bigann_keeps_names_beside_and_drops_old_ones(tmp_path):
    path = tmp_path / "v.csr"
    batch = Documents(ROWS, NAMES)
    write_vectors(path, [batch], vocabulary=Vocabulary.fixed(list("abcd")))
    source = open_vectors(path)
    assert source.vocabulary.terms == list("abcd")
    assert [b.docnos for b in source] == [NAMES]
    write_vectors(path, ROWS)
    assert [p.name for p in tmp_path.iterdir()] == ["v.csr"]


@pytest.mark.parametrize("name", FORMATS)
def test_failure_leaves_the_old_file_and_nothing_else(tmp_path, name):
    path = tmp_path / name
    write(path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def broken():
        yield Documents(SparseVectors.from_rows([{0: 1.0}], 4), ["new"])
        raise RuntimeError("the source failed")

    with pytest.raises(RuntimeError, match="the source failed"):
        write_vectors(path, broken())
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", FORMATS)
def test_no_batches_is_an_empty_collection(tmp_path, name):
    path = tmp_path / name
    assert write_vectors(path, []).num_rows == 0
    assert sum(len(b) for b in open_vectors(path)) == 0


def test_refusals(tmp_path):
    path = tmp_path / "v.ciff"
    with pytest.raises(DataError, match=r"row 0 has the weight 0\.1.*CIFF holds whole numbers"):
        write_vectors(path, ROWS)
    with pytest.raises(DataError, match="choose a larger scale"):
        write_vectors(path, ROWS, scale=1e-9)
    for scale in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(DataError, match="expected a positive number"):
            write_vectors(path, ROWS, scale=scale)
    with pytest.raises(DataError, match="3 rows beside 2 docnos"):
        write_vectors(path, Documents(ROWS, NAMES[:2]), scale=1.0)
    with pytest.raises(DataError, match="give all or none"):
        write_vectors(path, [Documents(ROWS, NAMES), ROWS], scale=1.0)
    with pytest.raises(DataError, match="unknown ending"):
        write_vectors(tmp_path / "v.txt", ROWS)
    with pytest.raises(DataError, match="does not exist"):
        write_vectors(tmp_path / "none" / "v.npz", ROWS)
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(DataError, match="a folder stands"):
        write_vectors(tmp_path / "folder.npz", ROWS)
    assert [p.name for p in tmp_path.iterdir()] == ["folder.npz"]


def test_what_a_killed_writer_left_goes_and_what_one_at_work_holds_stays(tmp_path):
    """A writer is killed in the middle, twice over; the next write of that name cleans up behind it, and only behind it."""
    path, killed = (
        tmp_path / "v.npz",
        """
import os, sys
from indexer.interchange import write_vectors
from indexer.vectors import SparseVectors
def batches():
    yield SparseVectors.from_rows([{0: 1.0}], 4)
    os.kill(os.getpid(), 9)
write_vectors(sys.argv[1], batches())
""",
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", killed, str(path)], cwd=root, check=False)
    assert done.returncode == -9
    assert len(list(tmp_path.iterdir())) == 2  # the unfinished file and the folder of spools
    with replacing(path) as file:
        file.write(b"another writer of the same name, at work")
        left = {p.name for p in tmp_path.iterdir()}
        assert left == {f".v.npz.{os.getpid()}.partial"}
        other = tmp_path / ".w.npz.1.partial"
        other.touch()
        write(tmp_path / "x.npz")
        assert left < {p.name for p in tmp_path.iterdir()}
    assert {p.name for p in tmp_path.iterdir()} == {"v.npz", "x.npz", other.name}


def test_writers_of_one_name_do_not_disturb_each_other(tmp_path):
    """Threads and processes that write one name at once: each write ends well, and the file is one of theirs, whole."""
    path = tmp_path / "v.npz"
    script = """
import sys, threading
from pathlib import Path
from indexer.interchange import write_vectors
from indexer.vectors import SparseVectors
faults = []
def work(number):
    try:
        for turn in range(15):
            write_vectors(sys.argv[1], [SparseVectors.from_rows([{0: float(number + 1)}], 4)] * 3)
    except BaseException as error:
        faults.append(error)
threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
[t.start() for t in threads]
[t.join() for t in threads]
assert not faults, faults
"""
    root = Path(__file__).resolve().parents[2]
    started = [subprocess.Popen([sys.executable, "-c", script, str(path)], cwd=root) for _ in range(3)]
    assert [process.wait(timeout=120) for process in started] == [0, 0, 0]
    assert [p.name for p in tmp_path.iterdir()] == ["v.npz"]
    weights = np.concatenate([batch.vectors.weights for batch in open_vectors(path)])
    assert len(weights) == 3
    assert len(set(weights.tolist())) == 1
