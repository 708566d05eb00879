"""What may be indexed and written: a matrix, documents, batches of either; and what is refused."""

from __future__ import annotations

import pytest

from indexer import Documents, SparseVectors, add_documents, build_index
from indexer.documents import read_documents
from indexer.errors import DataError

ROWS = SparseVectors.from_rows([{0: 1.0}, {1: 2.0}, {0: 3.0, 2: 1.0}], 3)
NAMES = ["a", "b", "c"]
FIELDS = [{"n": 0}, {"n": 1}, {"n": 2}]


def test_one_matrix_takes_names_and_fields_beside_it_of_any_iterable():
    (documents,) = read_documents(ROWS.to_scipy(), iter(NAMES), (row for row in FIELDS))
    assert (documents.docnos, documents.fields) == (NAMES, FIELDS)
    assert documents.vectors.row(2)[0].tolist() == [0, 2]


def test_batches_are_documents_or_bare_matrices_and_are_read_one_at_a_time():
    taken = []

    def batches():
        for begin in range(3):
            taken.append(begin)
            yield Documents(ROWS.slice(begin, begin + 1), NAMES[begin : begin + 1])
        yield ROWS.to_scipy()

    stream = read_documents(batches())
    assert next(stream).docnos == ["a"]
    assert taken == [0]
    rest = list(stream)
    assert [b.docnos for b in rest] == [["b"], ["c"], None]
    assert len(rest[2]) == 3


def test_a_slice_and_the_whole_again():
    whole = Documents(ROWS, NAMES, FIELDS)
    parts = [whole.slice(0, 1), whole.slice(1, 1), whole.slice(1, 3)]
    again = Documents.concatenate(parts)
    assert (again.docnos, again.fields) == (NAMES, FIELDS)
    assert again.vectors.weights.tolist() == ROWS.weights.tolist()
    assert Documents.concatenate(parts[:1]) is parts[0]
    assert len(Documents.concatenate([])) == 0
    with pytest.raises(DataError, match="some batches have docnos"):
        Documents.concatenate([whole, Documents(ROWS)])


@pytest.mark.parametrize("beside", [{"docnos": NAMES}, {"fields": FIELDS}])
def test_names_and_fields_beside_batches_are_refused(tmp_path, beside):
    """They would have to be cut to the batches, and whoever makes batches knows which names are whose."""
    for given in ([ROWS], iter([Documents(ROWS)]), Documents(ROWS, NAMES)):
        with pytest.raises(DataError, match="docnos or fields beside"):
            build_index(tmp_path / "i", given, **beside)


def test_what_is_no_vectors_is_refused(tmp_path):
    for given, found in ((3, "int"), ([[0.5]], "batch 0: .* not list"), ([ROWS, None], "batch 1: .* not NoneType")):
        with pytest.raises(DataError, match=found):
            build_index(tmp_path / "i", given)
    with pytest.raises(DataError, match="3 rows beside 2 docnos"):
        Documents(ROWS, NAMES[:2])
    with pytest.raises(DataError, match="3 rows beside 1 fields"):
        build_index(tmp_path / "i", ROWS, fields=FIELDS[:1])
    broken = SparseVectors(ROWS.indptr, ROWS.term_ids, -ROWS.weights, 3)
    with pytest.raises(DataError, match="batch 1: row 0 holds weight -1"):
        build_index(tmp_path / "i", [Documents(ROWS), Documents(broken)])


def test_one_call_takes_documents_as_they_are(tmp_path):
    build_index(tmp_path / "i", Documents(ROWS, NAMES, FIELDS))
    index = add_documents(tmp_path / "i", [Documents(ROWS.slice(0, 1), ["d"], [{"n": 3}])])
    assert index.docnos(range(4)) == [*NAMES, "d"]
    assert index.fields([3]) == [{"n": 3}]
