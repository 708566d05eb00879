"""Words of neighbours: the formula, the neighbours that are found, and what updates do."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer import SparseVectors, compact_index, delete_documents, open_index, verify_index
from sparseir.config.lexical import LexicalConfig
from sparseir.encode.indexing import index_documents
from sparseir.encode.options import IndexingOptions
from sparseir.encode.words.neighbours import heaviest, likeness
from sparseir.encode.words.stream import stored_channel
from sparseir.errors import ConfigError
from sparseir.lexical.bm25 import idf_of
from sparseir.lexical.channel import LexicalChannel
from sparseir.lexical.smoothing import smoothed
from sparseir.lexical.stems import StemFactors
from sparseir.search.searcher import Searcher
from tests.lexical_cases import TableEncoder, documents, factor, idf

TEXTS = [
    "cats sleeping in the garden",
    "a garden with roses and cats",
    "roses need water",
    "stock market falls",
    "market prices and stock trading",
    "",
]


def build(path, texts=TEXTS, *, neighbours=1, weight=0.5, words=100, encoder=None, **options):
    channel = LexicalConfig(neighbours=neighbours, neighbour_weight=weight, neighbour_words=words)
    return index_documents(path, encoder, documents(texts), options=IndexingOptions(lexical=channel, **options)).index


def rows_of(matrix):
    indptr = np.concatenate([[0], np.cumsum([np.count_nonzero(row) for row in matrix])]).astype(np.int64)
    return StemFactors(indptr, np.nonzero(matrix)[1].astype(np.uint32), matrix[np.nonzero(matrix)])


def dense_of(rows, width):
    out = np.zeros((len(rows.indptr) - 1, width))
    out[np.repeat(np.arange(len(out)), np.diff(rows.indptr)), rows.stems] = rows.values
    return out


@settings(deadline=None)
@given(
    st.integers(0, 4),
    st.integers(1, 3),
    st.integers(0, 6),
    st.floats(0, 1),
    st.integers(0, 2**32 - 1),
)
def test_smoothing_is_its_formula(rows, each, most, weight, seed):
    rng = np.random.default_rng(seed)
    width = 7
    own = rng.random((rows, width)) * (rng.random((rows, width)) < 0.4)
    others = rng.random((rows * each, width)) * (rng.random((rows * each, width)) < 0.4)
    shares = rng.random((rows, each)) * (rng.random((rows, each)) < 0.8)
    weights = rng.random(width) + 0.1
    got = smoothed(rows_of(own), rows_of(others), shares, weight=weight, idf=weights, most_words=most)
    whole = own + weight * np.einsum("rn,rnw->rw", shares, others.reshape(rows, each, width))
    expected = np.where(own > 0, whole, 0)
    for row in range(rows):
        new = [w for w in np.argsort(-whole[row] * weights, kind="stable") if own[row, w] == 0 and whole[row, w] > 0]
        expected[row, new[:most]] = whole[row, new[:most]]
    np.testing.assert_allclose(dense_of(got, width), expected, atol=1e-12)
    assert all(
        np.all(np.diff(got.stems[a:b].astype(int)) > 0) for a, b in zip(got.indptr, got.indptr[1:], strict=False)
    )


def test_a_document_is_found_by_a_word_of_its_neighbour(tmp_path):
    """d0 and d1 share two words, d3 and d4 two others; d2 shares one with d1 alone; d5 has none."""
    build(tmp_path / "i")
    searcher = Searcher.open(tmp_path / "i")
    assert set(searcher.search("sleeping").docnos) == {"d0", "d1"}
    assert set(searcher.search("prices").docnos) == {"d3", "d4"}
    assert set(searcher.search("water").docnos) == {"d2"}, "d1's nearest is d0, and only the nearest speaks"
    assert set(searcher.search("with roses").docnos) == {"d0", "d1", "d2"}
    build(tmp_path / "plain", neighbours=0)
    assert Searcher.open(tmp_path / "plain").search("sleeping").docnos == ["d0"]


def test_scores_are_by_the_book(tmp_path):
    build(tmp_path / "i")
    lengths = [3, 3, 3, 3, 4, 0]  # without stop words
    average = sum(lengths) / 6
    own = factor(1, 3, average)
    hits = Searcher.open(tmp_path / "i").search("sleeping")
    expected = [idf(1, 6) * own, idf(1, 6) * 0.5 * own]  # two documents hold it now, one says it
    assert hits.docnos == ["d0", "d1"]
    assert hits.scores == pytest.approx(expected, rel=0.01)


def test_words_are_limited(tmp_path):
    few = build(tmp_path / "few", words=1)
    more = build(tmp_path / "more")
    none = build(tmp_path / "none", words=0)
    plain = build(tmp_path / "plain", neighbours=0)
    postings = [sum(int(s.section("TREC")["df"].sum()) for s in index.segments) for index in (plain, none, few, more)]
    assert postings[0] == postings[1]
    assert postings[1] < postings[2] < postings[3]
    assert postings[2] - postings[1] <= len(TEXTS)


@pytest.mark.parametrize("encoder", [None, TableEncoder()])
def test_neighbours_are_the_nearest_by_both_channels(tmp_path, encoder):
    """Found with the engine, they are those of plain products, and threads change nothing."""
    rng = np.random.default_rng(5)
    words = ["cat", "dog", "running", "park", "weather", "vaccine", "dose", "garden", "rose", "market", "stock"]
    texts = [" ".join(rng.choice(words, rng.integers(3, 9))) for _ in range(40)]
    k, weight = 3, 0.5
    build(tmp_path / "i", texts, neighbours=k, weight=weight, encoder=encoder)
    channel = LexicalChannel(LexicalConfig(neighbours=k), learned_terms=[] if encoder is None else encoder.terms())
    counted = channel.count(texts)
    channel.lengths = channel.lengths.fixed()
    factors = channel.factors(counted)
    learned = SparseVectors.empty(len(texts), 1) if encoder is None else encoder.encode_documents(texts)
    terms = np.concatenate([learned.term_ids, factors.stems + channel.first_term]).astype(np.int64)
    weights_of = idf_of(np.bincount(terms, minlength=channel.num_terms), len(texts))
    rows = likeness(channel, learned, factors, weights_of)
    dense = np.asarray(rows.to_scipy().todense(), np.float64)
    assert np.allclose((heaviest(rows, 100, channel.first_term).to_scipy() - rows.to_scipy()).data, 0)
    alike = dense @ dense.T
    np.fill_diagonal(alike, -1)
    own = dense_of(factors, len(channel.table))
    expected = own.copy()
    for row in range(len(texts)):
        nearest = np.argsort(-alike[row], kind="stable")[:k]
        expected[row] += weight * (alike[row, nearest] / alike[row, nearest].sum()) @ own[nearest]
    held = stored_channel(tmp_path / "i")
    assert held.table.stems == channel.table.stems
    searcher = Searcher.open(tmp_path / "i")
    wrong = 0
    for number, stem in enumerate(channel.table.stems):
        query = SparseVectors.from_rows([{channel.first_term + number: 1.0}], channel.num_terms)
        ordinals, scores = searcher.search_vectors(query, len(texts))
        got = np.zeros(len(texts))
        got[ordinals[0][ordinals[0] >= 0]] = scores[0][ordinals[0] >= 0] / held.full_weight
        wrong += int(np.sum(np.abs(got - expected[:, number]) > 0.02))
        assert np.array_equal(got > 0, expected[:, number] > 0) or encoder is not None, stem
    assert wrong <= 0.02 * expected.size, "but for ties and the rounding of the likeness to bytes"
    build(tmp_path / "threads", texts, neighbours=k, weight=weight, encoder=encoder, num_threads=2)
    a, b = open_index(tmp_path / "i"), open_index(tmp_path / "threads")
    assert all(
        np.array_equal(s.section(name), t.section(name))
        for s, t in zip(a.segments, b.segments, strict=True)
        for name in ("TERM", "TREC")
    )


def test_added_documents_take_words_of_the_index(tmp_path):
    build(tmp_path / "i")
    more = IndexingOptions(mode="add")
    index_documents(tmp_path / "i", None, documents(["trading on the stock exchange"], 6), options=more)
    searcher = Searcher.open(tmp_path / "i")
    assert set(searcher.search("prices").docnos) == {"d3", "d4", "d6"}, "d6 takes it from d4"
    assert searcher.search("exchange").docnos == ["d6"], "what stands keeps its words"
    replacing = IndexingOptions(mode="replace")
    index_documents(tmp_path / "i", None, documents(["sleeping cats in gardens of silence"], 0), options=replacing)
    searcher = Searcher.open(tmp_path / "i")
    assert searcher.search("silence").docnos == ["d0"]
    assert "d0" in searcher.search("roses").docnos, "from d1: a document is no neighbour of what it replaces"
    delete_documents(tmp_path / "i", ["d1"])
    compact_index(tmp_path / "i")
    verify_index(tmp_path / "i")
    assert set(Searcher.open(tmp_path / "i").search("prices").docnos) == {"d3", "d4", "d6"}


def test_one_document_and_none_like_it(tmp_path):
    build(tmp_path / "one", ["lonely"])
    assert Searcher.open(tmp_path / "one").search("lonely").docnos == ["d0"]
    build(tmp_path / "apart", ["alpha", "beta", "", "gamma"], neighbours=5)
    assert Searcher.open(tmp_path / "apart").search("beta").docnos == ["d1"]


def test_an_index_without_neighbours_is_what_it_was(tmp_path):
    build(tmp_path / "i", neighbours=0)
    path = next((tmp_path / "i").glob("query-*")) / "lexical.json"
    content = json.loads(path.read_text())
    assert LexicalChannel(LexicalConfig()).fingerprint == "5c757a6160ac883d9eea57dedbb2475f"
    for name in ("neighbours", "neighbour_weight", "neighbour_words"):
        del content[name]
    path.write_text(json.dumps(content))
    assert stored_channel(tmp_path / "i").config.neighbours == 0


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"neighbours": -1}, "neighbours: expected 0 to 100, found -1"),
        ({"neighbours": 101}, "neighbours: expected 0 to 100, found 101"),
        ({"neighbour_weight": 1.5}, "neighbour_weight: expected a number from 0 to 1, found 1.5"),
        ({"neighbour_weight": float("nan")}, "neighbour_weight: expected a number from 0 to 1, found nan"),
        ({"neighbour_words": -2}, "neighbour_words: expected at least 0, found -2"),
    ],
)
def test_bad_settings(setting, said):
    with pytest.raises(ConfigError, match=said):
        LexicalConfig(**setting)
