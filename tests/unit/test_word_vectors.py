"""Vectors of words, rounded along the directions in which documents differ."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparseir.lexical.word_vectors import MeasureError, WordVectors, earlier, most_words


def gains(vectors, documents):
    return vectors.along(documents) @ vectors.values.T


@settings(deadline=None, max_examples=150)
@given(
    st.integers(0, 6),
    st.integers(0, 30),
    st.integers(1, 12),
    st.floats(0, 3),
    st.sampled_from([1e-4, 1.0, 100.0]),
    st.integers(0, 2**32 - 1),
)
def test_what_is_read_is_what_was_rounded_and_near_what_was_given(words, texts, size, spread, unit, seed):
    """Of documents of any covariance, a gain is off by half a step in every direction at most."""
    rng = np.random.default_rng(seed)
    axes = rng.standard_normal((size, size)) * np.exp(spread * rng.standard_normal(size))
    documents = (unit * rng.standard_normal((texts, size)) @ axes).astype(np.float32)
    vectors = rng.standard_normal((words, size)).astype(np.float32)
    got = WordVectors.of(vectors, documents, rng.random(words) < 0.5)
    again = WordVectors.from_arrays(got.arrays(), words, size)
    assert (again.levels == got.levels).all()
    assert (again.along(documents) == got.along(documents)).all()
    assert (again.values == got.values).all()
    assert len(got) == words
    if texts:
        centred = documents - documents.mean(axis=0)
        exact = centred @ vectors.T
        off = np.sqrt(np.square(gains(got, centred) - exact).mean(axis=0))
        # No direction has x' of a larger root mean square than this; stored ones are a little off the eigenvectors.
        spread_along = np.sqrt((texts + size) / texts) * 1.4
        assert (off <= 0.5 * got.steps * size * spread_along + 1e-4 * np.abs(exact).max(initial=0)).all()


@pytest.mark.parametrize("decay", [0.0, 0.02])
def test_rounding_adds_a_sixth_of_a_typical_gain(decay):
    rng = np.random.default_rng(4)
    turned, _ = np.linalg.qr(rng.standard_normal((128, 128)))
    documents = ((rng.standard_normal((3000, 128)) * np.exp(-decay * np.arange(128))) @ turned).astype(np.float32)
    vectors = (rng.standard_normal((400, 128)) @ turned).astype(np.float32)
    got = WordVectors.of(vectors, documents, np.ones(400, bool))
    exact = documents @ vectors.T
    noise = np.sqrt(np.square(gains(got, documents) - exact).mean()) / np.sqrt(np.square(exact).mean())
    assert 0.1 < noise < 0.19
    slope = (gains(got, documents) * exact).sum() / np.square(exact).sum()
    assert slope == pytest.approx(1, abs=0.01)


def test_few_documents_leave_room_for_those_to_come():
    """Three documents differ in two directions; vectors must know more than these two."""
    rng = np.random.default_rng(2)
    vectors = rng.standard_normal((50, 16)).astype(np.float32)
    got = WordVectors.of(vectors, rng.standard_normal((3, 16)).astype(np.float32), np.ones(50, bool))
    later = rng.standard_normal((200, 16)).astype(np.float32)
    exact = later @ vectors.T
    assert np.corrcoef(gains(got, later).ravel(), exact.ravel())[0, 1] > 0.9


def test_documents_that_are_all_alike_and_none_at_all():
    vectors = np.float32([[1, -2], [0.5, 4]])
    for documents in (np.zeros((0, 2), np.float32), np.ones((5, 2), np.float32)):
        got = WordVectors.of(vectors, documents, np.zeros(2, bool))
        np.testing.assert_allclose(gains(got, np.eye(2, dtype=np.float32)), vectors.T, atol=1.5)
    assert WordVectors.of(vectors * 0, np.eye(2, dtype=np.float32), np.ones(2, bool)).values.shape == (2, 0)


def test_some_words_are_those_asked_for():
    rng = np.random.default_rng(1)
    got = WordVectors.of(
        rng.standard_normal((5, 4)).astype(np.float32),
        rng.standard_normal((20, 4)).astype(np.float32),
        np.ones(5, bool),
    )
    rows = np.array([True, False, True, False, False])
    assert (got.some(rows).values == got.values[rows]).all()


@pytest.mark.parametrize("dimensions", [384, 1536])
def test_directions_with_one_large_number_stay_apart(dimensions):
    """An eigenvector that is half one number and half all others: rounded to the one, it would be its neighbour."""
    rng = np.random.default_rng(6)
    rest = rng.standard_normal(dimensions) / np.sqrt(dimensions)
    rest[0] = 0
    axes = np.stack([np.eye(dimensions)[0] + rest, np.eye(dimensions)[0] - rest])
    documents = (rng.standard_normal((700, 2)) * [1, 0.8] @ axes).astype(np.float32)
    documents += 0.001 * rng.standard_normal(documents.shape).astype(np.float32)
    vectors = (rng.standard_normal((60, 2)) @ axes).astype(np.float32)
    got = WordVectors.of(vectors, documents, np.ones(60, bool))
    exact = documents @ vectors.T
    assert np.sqrt(np.square(gains(got, documents) - exact).mean() / np.square(exact).mean()) < 0.15
    assert np.abs(got.levels).max() < 2000


@pytest.mark.parametrize("unit", [1e-15, 1e-8, 1e6])
def test_the_unit_of_embeddings_does_not_matter(unit):
    rng = np.random.default_rng(8)
    documents, vectors = rng.standard_normal((300, 12)), rng.standard_normal((40, 12))
    plain = WordVectors.of(vectors.astype(np.float32), documents.astype(np.float32), np.ones(40, bool))
    scaled = WordVectors.of(
        (unit * vectors).astype(np.float32), (unit * documents).astype(np.float32), np.ones(40, bool)
    )
    assert np.abs(plain.levels.astype(int) - scaled.levels).max() <= 1
    WordVectors.from_arrays(scaled.arrays(), 40, 12)


def test_numbers_whose_products_would_be_none_are_refused():
    rng = np.random.default_rng(8)
    documents, vectors = rng.standard_normal((30, 5)), rng.standard_normal((4, 5)).astype(np.float32)
    with pytest.raises(ValueError, match="large"):
        WordVectors.of(vectors * np.float32(1e30), documents.astype(np.float32), np.ones(4, bool))
    good = WordVectors.of(vectors, documents.astype(np.float32), np.ones(4, bool)).arrays()
    for name in ("step", "scales"):
        with pytest.raises(ValueError, match="large"):
            WordVectors.from_arrays({**good, name: good[name] * np.float32(1e30)}, 4, 5)


def test_a_build_makes_no_more_than_a_file_may_have():
    assert most_words(384) == 100_000
    assert most_words(4096) * 4096 <= 1 << 28
    assert most_words(0) == 100_000
    with pytest.raises(MeasureError, match="vectors of"):
        WordVectors.of(np.zeros((2, 9000), np.float32), np.zeros((0, 9000), np.float32), np.ones(2, bool))


@pytest.mark.parametrize(("words", "dimensions"), [(10**6, 5), (4, 10**6), (90_000, 16_000)])
def test_files_that_would_take_all_memory_are_refused_before(words, dimensions):
    zeros = np.frombuffer(zlib.compress(bytes(1 << 20)), np.uint8)
    found = {"levels": zeros, "directions": zeros, "step": np.ones(1, np.float32)}
    found["scales"] = np.ones(dimensions, np.float32)
    with pytest.raises(ValueError, match="vectors of"):
        WordVectors.from_arrays(found, words, dimensions)
    found = {"steps": np.ones(words, np.float32), "vectors": np.zeros((0, 3), np.int8)}
    with pytest.raises(ValueError, match="vectors of"):
        earlier(found, words, dimensions)
