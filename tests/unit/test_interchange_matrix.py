"""scipy .npz and Big-ANN .csr: streamed, checked, never unpickled."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

from indexer.errors import DataError
from indexer.interchange import BatchLimits, Vocabulary, open_vectors
from indexer.interchange.matrices.npz import load_array

INDPTR = np.array([0, 2, 2, 3], np.int64)
IDS = np.array([1, 4, 0], np.int32)
WEIGHTS = np.array([0.5, 2.0, 1.0], np.float32)


def members(**changes):
    """A 3 × 5 matrix: {1: .5, 4: 2}, {}, {0: 1}; a change to None leaves a member out."""
    whole = {"format": np.array(b"csr"), "indptr": INDPTR, "indices": IDS, "data": WEIGHTS, "shape": np.array([3, 5])}
    return {k: v for k, v in (whole | changes).items() if v is not None}


def rows_of(source):
    out = []
    for batch in source:
        for i in range(len(batch)):
            terms, weights = batch.vectors.row(i)
            out.append(dict(zip(terms.tolist(), weights.tolist(), strict=True)))
    return out


ROWS = [{1: 0.5, 4: 2.0}, {}, {0: 1.0}]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("postings", [1, 2, 100])
def test_npz_gives_its_rows(tmp_path, save, postings):
    path = tmp_path / "v.npz"
    save(path, **members())
    source = open_vectors(path, limits=BatchLimits(rows=2, postings=postings))
    assert rows_of(source) == rows_of(source) == ROWS
    assert (source.num_rows, source.num_terms, source.vocabulary) == (3, 5, None)
    assert {b.docnos for b in source} == {None}


def test_npz_of_scipy_and_other_number_types(tmp_path):
    from scipy.sparse import csr_array, save_npz

    path = tmp_path / "v.npz"
    save_npz(path, csr_array((WEIGHTS.astype(np.float64), IDS, INDPTR), shape=(3, 5)))
    assert rows_of(open_vectors(path)) == ROWS
    np.savez(path, **members(indptr=INDPTR.astype(">u2"), indices=IDS.astype(">i8"), data=WEIGHTS.astype(">f8")))
    assert rows_of(open_vectors(path)) == ROWS
    np.savez(path, **members(format=None, data=np.array([1, 2, 3])))
    assert rows_of(open_vectors(path)) == [{1: 1.0, 4: 2.0}, {}, {0: 3.0}]


NPZ_FAULTS = [
    ({"indptr": None}, "no member 'indptr' \\(found: format, indices"),
    ({"shape": None}, "no member 'shape'"),
    ({"format": np.array(b"csc")}, "'csc' format; convert it with .tocsr"),
    ({"format": np.array([1, 2])}, "expected 'csr'"),
    ({"format": np.array(b"", "S0")}, "csr"),
    ({"data": np.array([{}, 1, 2], object)}, "Python objects"),
    ({"data": WEIGHTS.astype(complex)}, "expected a vector of numbers"),
    ({"data": np.array([True, True, True])}, "expected a vector of numbers"),
    ({"data": WEIGHTS[None]}, "of shape \\(1, 3\\)"),
    ({"data": WEIGHTS[:2]}, "3 term ids beside 2 weights"),
    ({"indices": IDS.astype(np.float32)}, "expected a vector of integers"),
    ({"indices": np.array([1, 5, 0])}, "row 0 holds term id 5, outside the vocabulary 0..4"),
    ({"indices": np.array([1, -4, 0])}, "row 0 holds term id -4"),
    ({"indices": np.array([4, 4, 0])}, "row 0 holds term 4 twice"),
    ({"data": np.array([1, 1, -1.0])}, "row 2 holds weight -1.0 for term 0"),
    ({"data": np.array([1, np.nan, 1])}, "row 0 holds weight nan"),
    ({"data": np.array([1, 1, 1e39])}, "row 2 holds weight inf"),
    ({"indptr": np.array([1, 2, 2, 3])}, "indptr starts at 1"),
    ({"indptr": np.array([0, 2, 1, 3])}, "row 1 reaches from 2 to 1"),
    ({"indptr": np.array([0, 2, 2, 4])}, "row 2 reaches from 2 to 4 in 3 weights"),
    ({"indptr": np.array([0, 2, 2, 2])}, "indptr ends at 2 of 3"),
    ({"indptr": np.array([0, 2**63, 2, 3], np.uint64)}, "row 0 reaches"),
    ({"indptr": INDPTR[:3]}, "3 entries for 3 rows"),
    ({"shape": np.array([3])}, "expected rows and columns"),
    ({"shape": np.array([-1, 5])}, "-1 rows"),
    ({"shape": np.array([3, 0])}, "0 columns"),
    ({"shape": np.array([3, 2**32])}, "columns; expected"),
    ({"shape": np.array([2**62, 5])}, "for 4611686018427387904 rows"),
]


@pytest.mark.parametrize(("changes", "message"), NPZ_FAULTS)
def test_npz_fault_is_named(tmp_path, changes, message):
    path = tmp_path / "v.npz"
    np.savez(path, **members(**changes))
    with pytest.raises(DataError, match=message):
        list(open_vectors(path, limits=BatchLimits(rows=1)))


def test_npz_damage_is_named(tmp_path):
    path = tmp_path / "v.npz"
    for save in (np.savez, np.savez_compressed):
        save(path, **members())
        whole = path.read_bytes()
        for cut in (0, 10, len(whole) // 2, len(whole) - 5):
            path.write_bytes(whole[:cut])
            with pytest.raises(DataError, match=r"v\.npz"):
                list(open_vectors(path))
    np.savez(path, **members())
    raw = bytearray(path.read_bytes())
    raw[raw.index(WEIGHTS.tobytes()) + 3] ^= 0x01  # a bit of the first weight: only the checksum sees it
    path.write_bytes(raw)
    with pytest.raises(DataError, match="member 'data' is damaged"):
        list(open_vectors(path))


def test_npz_never_unpickles(tmp_path):
    """A member that would run code when unpickled is refused by its type alone."""

    class Bomb:
        def __reduce__(self):
            return (print, ("unpickled",))

    path = tmp_path / "v.npz"
    np.savez(path, **members(shape=np.array([Bomb()], object)))
    with pytest.raises(DataError, match="unpickled"):
        open_vectors(path)


def test_npz_header_that_is_not_plain_is_refused(tmp_path):
    path = tmp_path / "v.npz"
    np.savez(path, **members(shape=None))
    for descr in (
        "{'descr': '<i8', 'fortran_order': False, 'shape': (-2,)}",
        "[" * 3000,
        "1",
        "{'descr': [('a','<i8')], 'shape': ()}",
        "{'descr': '(,)f4', 'shape': (2,)}",
        "{'descr': '<i8,<i8', 'shape': (2,)}",
        "{'descr': '<i99999999999999999999', 'shape': (2,)}",
    ):
        header = descr.encode() + b"\n"
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("shape.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
        with pytest.raises(DataError, match="member 'shape' is damaged"):
            open_vectors(path)
        np.savez(path, **members(shape=None))


@pytest.mark.parametrize("descr", ["(,)f4", "<i99999999999999999999", "|O", "nothing"])
def test_an_array_file_that_is_none_is_one_kind_of_error(tmp_path, descr):
    path = tmp_path / "a.npy"
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': (2,)}}".encode() + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64))
    for mode in (None, "r"):
        with pytest.raises(ValueError):  # noqa: PT011 (numpy's words)
            load_array(path, mode)
    np.savez(tmp_path / "a.npz", a=np.ones(2))
    with pytest.raises(ValueError, match="archive"):
        load_array(tmp_path / "a.npz")
    np.save(path, np.arange(3))
    assert load_array(path).tolist() == [0, 1, 2]


def strings(*values):
    return "".join(json.dumps(v) + "\n" for v in values)


def test_names_lie_inside_or_beside(tmp_path):
    path = tmp_path / "v.npz"
    np.savez(path, **members())
    beside = tmp_path / "v.npz.docnos"
    beside.write_text(strings("a", "b\n", "c"))
    (tmp_path / "v.npz.terms").write_text(strings("t0", "t1"))
    source = open_vectors(path, limits=BatchLimits(rows=2))
    assert [b.docnos for b in source] == [["a", "b\n"], ["c"]]
    assert source.vocabulary.term(1) == "t1"
    assert source.vocabulary.term(4) == "[4]"
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("docnos.jsonl", strings("x", "y", "z"))
    assert [b.docnos for b in open_vectors(path)] == [["x", "y", "z"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (strings("a", "b"), "2 docnos for more rows"),
        (strings("a", "b", "c", "d"), "more docnos than the 3 rows"),
        (strings("a", "b", "a"), r"docnos:3: docno 'a' stands here and before in line 1"),
        ('"a"\nb\n', r"docnos:2: expected one JSON string"),
        ('"a"\n7\n', r"docnos:2: expected one JSON string a line, found int"),
        ('"a"\n"\\ud800"\n', r"docnos:2"),
    ],
)
def test_names_that_do_not_fit_are_refused(tmp_path, text, message):
    path = tmp_path / "v.npz"
    np.savez(path, **members())
    (tmp_path / "v.npz.docnos").write_text(text)
    with pytest.raises(DataError, match=message):
        list(open_vectors(path, limits=BatchLimits(rows=1)))


def bigann(rows=3, columns=5, nnz=3, indptr=INDPTR, ids=IDS, weights=WEIGHTS):
    return np.array([rows, columns, nnz], "<i8").tobytes() + indptr.tobytes() + ids.tobytes() + weights.tobytes()


def test_bigann_gives_its_rows(tmp_path):
    path = tmp_path / "v.csr"
    path.write_bytes(bigann())
    source = open_vectors(path, limits=BatchLimits(rows=2))
    assert rows_of(source) == rows_of(source) == ROWS
    assert (source.num_rows, source.num_terms) == (3, 5)
    assert open_vectors(path, num_terms=9).num_terms == 9
    with pytest.raises(DataError, match="5 columns for a vocabulary of 4"):
        open_vectors(path, num_terms=4)
    with pytest.raises(DataError, match="terms are numbers"):
        open_vectors(path, vocabulary=Vocabulary.growing())


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (bigann()[:20], "expected a header"),
        (bigann()[:-1], "needs 80"),
        (bigann() + b"\0", "needs 80"),
        (bigann(rows=-1), "bytes; a header of -1 rows"),
        (bigann(nnz=2**62), "needs"),
        (bigann(rows=2**61), "needs"),
        (bigann(columns=0), "0 columns"),
        (bigann(columns=4), "row 0 holds term id 4"),
        (bigann(indptr=np.array([0, 3, 2, 3])), "row 1 reaches from 3 to 2"),
        (bigann(indptr=np.array([0, -(2**60), 2, 3])), "row 0 reaches"),
        (bigann(ids=np.array([4, 4, 0], np.int32)), "row 0 holds term 4 twice"),
        (bigann(weights=np.array([1, np.inf, 0], np.float32)), "row 0 holds weight inf"),
    ],
)
def test_bigann_fault_is_named(tmp_path, raw, message):
    path = tmp_path / "v.csr"
    path.write_bytes(raw)
    with pytest.raises(DataError, match=message):
        list(open_vectors(path))


def test_paths_that_are_no_vectors(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        open_vectors(tmp_path / "none.npz")
    with pytest.raises(DataError, match="no vectors in this folder"):
        open_vectors(tmp_path)
    (tmp_path / "v.txt").write_text("")
    with pytest.raises(DataError, match="unknown ending"):
        open_vectors(tmp_path / "v.txt")
    (tmp_path / "a.jsonl").write_text("")
    (tmp_path / "b.csr").write_bytes(bigann())
    with pytest.raises(DataError, match="several formats"):
        open_vectors(tmp_path)


def test_shards_are_one_collection(tmp_path):
    for name, docnos in (("a", ("x", "y", "z")), ("b", ("p", "q", "r"))):
        np.savez(tmp_path / f"{name}.npz", **members())
        (tmp_path / f"{name}.npz.docnos").write_text(strings(*docnos))
    source = open_vectors(tmp_path)
    assert source.num_rows == 6
    assert rows_of(source) == ROWS + ROWS
    assert [n for b in source for n in b.docnos] == ["x", "y", "z", "p", "q", "r"]
    (tmp_path / "b.npz.docnos").write_text(strings("p", "z", "r"))
    with pytest.raises(DataError, match=r"b\.npz:1: docno 'z' stands here and before in .*a\.npz:2"):
        list(source)
