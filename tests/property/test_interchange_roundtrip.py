"""What is written comes back, whatever the rows, names, terms and batch borders; damaged files give a DataError."""

from __future__ import annotations

import itertools
import json
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.documents import Documents
from indexer.errors import DataError
from indexer.interchange import BatchLimits, Vocabulary, open_vectors, write_vectors
from indexer.vectors import SparseVectors

FORMATS = [".jsonl", ".jsonl.gz", ".npz", ".csr", ".ciff", ".ciff.gz"]
WEIGHTS = st.floats(2.0**-126, 2.0**127, width=32) | st.integers(1, 255).map(float)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@st.composite
def collections(draw, whole: bool):
    """(vectors, docnos, vocabulary): empty rows and collections, the first and the last term, any Unicode."""
    num_terms = draw(st.sampled_from([1, 2, 7, 300]))
    weights = st.integers(1, 2**24 - 1).map(float) if whole else WEIGHTS
    rows = draw(st.lists(st.dictionaries(st.integers(0, num_terms - 1), weights, max_size=12), max_size=8))
    docnos = draw(st.lists(TEXT, min_size=len(rows), max_size=len(rows), unique=True))
    terms = draw(st.none() | st.lists(TEXT, min_size=num_terms, max_size=num_terms, unique=True))
    vocabulary = Vocabulary.integers(num_terms) if terms is None else Vocabulary.fixed(terms)
    return SparseVectors.from_rows(rows, num_terms), docnos, vocabulary


def batches(vectors, docnos, cuts):
    edges = sorted({0, len(vectors), *(c for c in cuts if c <= len(vectors))})
    return [Documents(vectors.slice(a, b), docnos[a:b]) for a, b in itertools.pairwise(edges)]


def joined(source):
    parts = list(source)
    if not parts:
        return SparseVectors.empty(0, source.num_terms), []
    return SparseVectors.concatenate([b.vectors for b in parts]), [n for b in parts for n in b.docnos]


def assert_equal(a: SparseVectors, b: SparseVectors) -> None:
    for name in ("indptr", "term_ids", "weights"):
        assert np.array_equal(getattr(a, name), getattr(b, name))


@pytest.mark.parametrize("suffix", FORMATS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_rows_names_and_terms_come_back(suffix, data):
    vectors, docnos, vocabulary = data.draw(collections(whole="ciff" in suffix))
    limits = BatchLimits(rows=data.draw(st.integers(1, 4)), postings=data.draw(st.integers(1, 20)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"v{suffix}"
        write_vectors(path, batches(vectors, docnos, data.draw(st.lists(st.integers(0, 8)))), vocabulary=vocabulary)
        matrix = suffix in (".npz", ".csr")
        source = open_vectors(path, vocabulary=None if matrix else vocabulary, limits=limits)
        back, names = joined(source)
        assert_equal(back, vectors)
        # A matrix without rows has no list of names either.
        assert names == docnos
        for batch in source:
            assert len(batch) <= limits.rows
            assert batch.vectors.nnz <= limits.postings or len(batch) == 1
        if matrix and len(vectors):
            assert (source.vocabulary.terms if source.vocabulary else None) == vocabulary.terms


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_growing_vocabulary_keeps_the_meaning(data):
    """Through JSON and CIFF with terms in order of first sight: every row holds the same strings and weights."""
    vectors, docnos, vocabulary = data.draw(collections(whole=True))
    expected = [
        {vocabulary.term(int(t)): float(w) for t, w in zip(*vectors.row(i), strict=True)} for i in range(len(vectors))
    ]
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".jsonl", ".ciff"):
            path = Path(folder) / f"v{suffix}"
            write_vectors(path, [Documents(vectors, docnos)], vocabulary=vocabulary)
            source = open_vectors(path)
            back, _ = joined(source)
            term = source.vocabulary.term
            assert [
                {term(int(t)): float(w) for t, w in zip(*back.row(i), strict=True)} for i in range(len(back))
            ] == expected


def _sample(folder: Path, suffix: str) -> bytes:
    rng = np.random.default_rng(11)
    rows = [
        {int(t): float(rng.integers(1, 400)) for t in rng.choice(40, rng.integers(0, 12), replace=False)}
        for _ in range(60)
    ]
    path = folder / f"sample{suffix}"
    docnos = [f"doc-{i}" for i in range(60)]
    write_vectors(
        path, [Documents(SparseVectors.from_rows(rows, 40), docnos)], vocabulary=Vocabulary.fixed(map(str, range(40)))
    )
    return path.read_bytes()


def _mutate(raw: bytes, rng: np.random.Generator) -> bytes:
    """One to four edits: a bit, a byte, a cut, a piece removed, doubled or overwritten by extreme numbers."""
    out = bytearray(raw)
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(0, max(1, len(out))))
        size = int(rng.integers(1, 17))
        match rng.integers(0, 7):
            case 0 if out:
                out[at % len(out)] ^= 1 << int(rng.integers(0, 8))
            case 1 if out:
                out[at % len(out)] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF]))
            case 2:
                del out[at:]
            case 3:
                del out[at : at + size]
            case 4:
                out[at:at] = out[at : at + size]
            case 5:
                out[at : at + 8] = int(rng.choice([2**63 - 1, 2**62, 2**32, 2**31, 255])).to_bytes(8, "little")
            case _:
                out[at : at + size] = rng.bytes(size)
    return bytes(out)


def _fuzz(suffix: str, count: int, folder: Path) -> int:
    """Mutated files read through: rows that hold what SparseVectors promises, or a DataError. How many were refused."""
    raw = _sample(folder, suffix)
    rng = np.random.default_rng(5)
    path = folder / f"mutated{suffix}"
    refused = 0
    for _ in range(count):
        path.write_bytes(_mutate(raw, rng))
        try:
            for batch in open_vectors(path, limits=BatchLimits(rows=7, postings=50)):
                v = batch.vectors
                assert v.indptr[0] == 0
                assert v.indptr[-1] == len(v.term_ids) == len(v.weights)
                assert np.isfinite(v.weights).all()
                assert (v.weights > 0).all()
                assert v.nnz == 0 or v.term_ids.max() < v.num_terms
        except DataError as error:
            refused += str(path) in str(error)  # a message without the place does not count
    return refused


@pytest.mark.parametrize("suffix", FORMATS)
def test_mutated_files_are_refused_or_read(suffix, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _fuzz(suffix, 400, tmp_path) > 100


@pytest.mark.slow
@pytest.mark.parametrize("suffix", FORMATS)
def test_many_mutated_files_are_refused_or_read(suffix, tmp_path):
    assert _fuzz(suffix, 10_000, tmp_path) > 2500


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["id", "vector", "a"]) | st.text(), inner),
    )
)
def test_any_json_is_read_or_refused(value):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "v.json"
        path.write_text(json.dumps(value))
        try:
            list(open_vectors(path))
        except DataError as error:
            line = error.line
        else:
            line = 1
    assert line == 1
