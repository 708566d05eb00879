"""Words of a dense model: the regression, the gains, the index they make, updates, and damaged files."""

from __future__ import annotations

import hashlib
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_matrix

from indexer import compact_index, delete_documents, open_index, verify_index
from sparseir import cli
from sparseir.config.lexical import LexicalConfig
from sparseir.data.records import Document
from sparseir.encode.indexing import index_documents
from sparseir.encode.options import IndexingOptions
from sparseir.encode.words.projected import DocumentSample, SentenceSample
from sparseir.encode.words.stream import stored_channel
from sparseir.errors import ConfigError, DataError, SparseIRError
from sparseir.lexical.bm25 import idf_of
from sparseir.lexical.frequencies import FREQUENCIES_FILE
from sparseir.lexical.projection import (
    DOCUMENTS_WEIGHT,
    HIGHEST,
    PROJECTION_FILE,
    RIDGE,
    Observed,
    Projection,
    word_vectors,
)
from sparseir.lexical.stems import StemFactors, WordCounts
from sparseir.lexical.word_vectors import WordVectors
from sparseir.search.searcher import Searcher
from tests.lexical_cases import TableEncoder, factor

TEXTS = [
    "Cats sleep in the garden. A cat sleeps in gardens all day.",
    "A kitten plays in the garden. Kittens play with cats.",
    "Roses need water every day. Water the roses in the garden.",
    "Stock markets fell today. Traders sold stock on the market.",
    "Prices rose as traders bought stock. The market closed higher.",
    "",
]


TOPIC = {"cat": 0, "cats": 0, "kitten": 0, "kittens": 0, "roses": 1, "water": 1, "stock": 2, "market": 2, "traders": 2}


class Topics:
    """A dense model that knows three topics, so that cat and kitten are alike."""

    dimensions = 3

    def __init__(self):
        self.asked = 0

    def embed(self, texts, *, query=False, progress=None):
        self.asked += len(texts)
        out = np.full((len(texts), 3), 0.01, np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().replace(".", "").split():
                if word in TOPIC:
                    out[row, TOPIC[word]] += 1
        return out / np.linalg.norm(out, axis=1, keepdims=True)


def docs(texts, start=0):
    return [Document(f"d{start + i}", text) for i, text in enumerate(texts)]


def build(path, texts=TEXTS, *, encoder=None, words=4, weight=2.0, **options):
    channel = LexicalConfig(expansion_model="topics", expansion_words=words, expansion_weight=weight)
    chosen = IndexingOptions(lexical=channel, embed=Topics(), **options)
    return index_documents(path, encoder, docs(texts), options=chosen).index


def by_name(hits):
    return dict(zip(hits.docnos, hits.scores.tolist(), strict=True))


def counts_of(matrix):
    indptr = np.concatenate([[0], np.cumsum([np.count_nonzero(row) for row in matrix])]).astype(np.int64)
    return WordCounts(indptr, np.nonzero(matrix)[1].astype(np.uint32), matrix[np.nonzero(matrix)].astype(np.int64))


def observed(matrix, embeddings):
    words = counts_of(matrix)
    return Observed(words.indptr, words.stems, words.counts, embeddings)


@settings(deadline=None, max_examples=40)
@given(st.integers(3, 12), st.integers(1, 9), st.integers(2, 7), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_word_vectors_solve_the_normal_equations(sentences, documents, words, size, seed):
    rng = np.random.default_rng(seed)
    frequencies = rng.integers(1, 50, words)
    parts, rows, targets = [], [], []
    for texts, weight in ((sentences, 1.0), (documents, DOCUMENTS_WEIGHT)):
        counts = rng.integers(0, 3, (texts, words)) * (rng.random((texts, words)) < 0.6)
        embeddings = rng.standard_normal((texts, size)).astype(np.float32)
        parts.append(observed(counts, embeddings))
        weighted = counts * idf_of(frequencies, 60)
        lengths = np.maximum(np.linalg.norm(weighted, axis=1, keepdims=True), 1e-30)
        rows.append(np.sqrt(weight) * weighted / lengths)
        targets.append(np.sqrt(weight) * embeddings)
    stems, vectors = word_vectors(*parts, document_frequencies=frequencies, num_docs=60)
    rows, targets = np.concatenate(rows), np.concatenate(targets)
    known = np.flatnonzero(rows.any(axis=0))
    assert stems.tolist() == known.tolist()
    rows = rows[:, known]
    want = np.linalg.solve(rows.T @ rows + RIDGE * np.eye(len(known)), rows.T @ targets)
    np.testing.assert_allclose(vectors, want, atol=1e-3 * max(1.0, np.abs(want).max(initial=0)))
    kept = Projection.fit(
        *parts,
        mean=np.zeros(size, np.float32),
        probe=np.ones(size, np.float32),
        document_frequencies=frequencies,
        num_docs=60,
    )
    assert kept.stems.tolist() == stems.tolist()
    rounded = WordVectors.of(vectors, parts[1].embeddings, frequencies[stems] >= 2)
    assert (kept.vectors.levels == rounded.levels).all()
    assert kept.vectors.steps == rounded.steps


@pytest.mark.parametrize("large", [0.0, 5.0, 33.0])
def test_a_number_that_all_documents_share_takes_no_part(large):
    """However large it is, gains are what they would be without it, and none is raised."""
    rng = np.random.default_rng(5)
    words = counts_of(rng.integers(0, 2, (200, 40)))
    embeddings = rng.standard_normal((200, 64)).astype(np.float32)
    embeddings[:, 3] = large
    texts = Observed(words.indptr, words.stems, words.counts, embeddings)
    frequencies = np.full(40, 9)
    settings = {"document_frequencies": frequencies, "num_docs": 200}
    mean = embeddings.mean(axis=0)
    kept = Projection.fit(texts, texts, mean=mean, probe=mean, **settings)
    _, exact = word_vectors(texts, texts, **settings)
    wanted = (embeddings - mean) @ exact.T
    got = kept.vectors.along(embeddings - mean) @ kept.vectors.values.T
    assert (got * wanted).sum() / (wanted * wanted).sum() == pytest.approx(1, abs=0.01)
    assert np.corrcoef(got.ravel(), wanted.ravel())[0, 1] > 0.98


def test_an_index_keeps_vectors_of_words_that_two_documents_say(tmp_path):
    index = build(tmp_path / "index")
    channel, kept = stored_channel(index.path), Projection.load(index.query_side, num_stems=99)
    words = channel.table.count(TEXTS)
    said = np.bincount(words.stems, minlength=len(channel.table))
    assert kept.stems.tolist() == [stem for stem in range(len(said)) if said[stem] >= 2]
    assert kept.share > 0


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 8), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_the_share_of_rare_words_is_that_of_the_rarest_with_a_vector(rows, width, seed):
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 3, (rows, width)) * (rng.random((rows, width)) < 0.4)
    words = counts_of(counts)
    values = rng.random(len(words.stems)) + 0.1
    embeddings, mean = rng.standard_normal((rows, 3)).astype(np.float32), rng.standard_normal(3).astype(np.float32)
    texts = Observed(words.indptr, words.stems, values, embeddings)
    frequencies = np.maximum((counts > 0).sum(axis=0), 1) + rng.integers(0, 2)
    got = Projection.fit(texts, texts, mean=mean, probe=mean, document_frequencies=frequencies, num_docs=rows + 1)
    vector_of = dict(zip(got.stems.tolist(), got.vectors.values, strict=True))
    products = squares = 0.0
    for place, (row, stem) in enumerate(zip(*np.nonzero(counts), strict=True)):
        if frequencies[stem] == frequencies[got.stems].min():
            along = got.vectors.along(embeddings[row] - mean)
            products += max(0.0, float(vector_of[stem] @ along)) * values[place]
            squares += values[place] ** 2
    assert got.share == pytest.approx(products / squares if squares else 0.0, rel=1e-4, abs=1e-6)


def test_a_word_that_came_later_counts_as_rare_words_do(tmp_path):
    index = build(tmp_path / "index", weight=1.5)
    share = Projection.load(index.query_side, num_stems=99).share
    index_documents(index.path, None, docs(["a zebra"], start=6), options=IndexingOptions(mode="add", embed=Topics()))
    channel, searcher = stored_channel(index.path), Searcher.open(index.path)
    weight = float(searcher.encode_queries(["zebra"]).row(0)[1][0])
    want = min(factor(1, 1, channel.lengths.average) * (1 + 1.5 * share), HIGHEST) * weight * channel.full_weight
    assert by_name(searcher.search("zebra", 1))["d6"] == pytest.approx(want, abs=weight / 255)


@pytest.mark.parametrize("version", ["a byte", "four bits"])
def test_an_index_of_an_earlier_version_is_read(tmp_path, version):
    index = build(tmp_path / "index")
    path = index.query_side / PROJECTION_FILE
    good, new = load_file(path), Projection.load(index.query_side, num_stems=99)
    levels = np.arange(-6, 3 * len(new.stems) - 6).reshape(-1, 3) % 8
    steps = np.linspace(0.1, 0.2, len(levels)).astype(np.float32)
    old = {name: good[name] for name in ("mean", "probe")}
    old |= {"stems": new.stems, "steps": steps, "preference": new.preference.astype(np.float32)}
    deviations = np.array([1, 0.5, 2], np.float32)
    if version == "a byte":
        deviations[:] = 1
        old["vectors"] = levels.astype(np.int8)
        damaged = {**old, "vectors": levels.astype(np.int16)}
    else:
        padded = np.pad(levels, ((0, 0), (0, 1))).astype(np.uint8) + np.uint8(8)
        old |= {"codes": padded[:, ::2] | padded[:, 1::2] << np.uint8(4), "deviations": deviations}
        old["share"] = np.array([0.25], np.float32)
        damaged = {**old, "deviations": np.full(3, 1e-40, np.float32)}
    save_file(old, path)
    kept = Projection.load(index.query_side, num_stems=99)
    assert kept.stems.tolist() == new.stems.tolist()
    assert kept.share == (0 if version == "a byte" else 0.25)
    texts = np.random.default_rng(1).standard_normal((4, 3)).astype(np.float32)
    want = (texts / deviations) @ (levels * steps[:, None]).T
    np.testing.assert_allclose(kept.vectors.along(texts) @ kept.vectors.values.T, want, rtol=1e-5, atol=1e-5)
    for wrong in (damaged, {**old, "steps": -steps}, {k: v for k, v in old.items() if k != "steps"}):
        save_file(wrong, path)
        with pytest.raises(DataError, match="build the index again"):
            Projection.load(index.query_side, num_stems=99)
    save_file(old, path)
    index_documents(index.path, None, docs(["a cat"], 9), options=IndexingOptions(mode="add", embed=Topics()))
    assert "d9" in Searcher.open(index.path).search("cat", 9).docnos


def test_word_vectors_are_kept_to_the_bit(tmp_path):
    index = build(tmp_path / "index")
    first = Projection.load(index.query_side, num_stems=99)
    first.save(tmp_path)
    again = Projection.load(tmp_path, num_stems=99)
    assert first.vectors.values.tobytes() == again.vectors.values.tobytes()
    assert np.abs(first.vectors.values).max() > 0
    assert (tmp_path / PROJECTION_FILE).read_bytes() == (index.query_side / PROJECTION_FILE).read_bytes()


def test_only_the_most_common_words_have_vectors(monkeypatch):
    monkeypatch.setattr("sparseir.lexical.word_vectors._MOST_WORDS", 2)
    texts = observed(np.ones((3, 4), np.int64), np.ones((3, 2), np.float32))
    got = Projection.fit(
        texts,
        texts,
        mean=np.zeros(2, np.float32),
        probe=np.ones(2, np.float32),
        document_frequencies=np.array([1, 9, 2, 5]),
        num_docs=9,
    )
    assert got.stems.tolist() == [1, 3]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 6), st.integers(0, 6), st.floats(0, 3), st.integers(0, 2**32 - 1))
def test_gains_are_their_formula(rows, most, weight, seed):
    rng = np.random.default_rng(seed)
    width, size = 9, 3
    known = np.array([1, 2, 4, 5, 7], np.uint32)
    own = rng.random((rows, width)) * (rng.random((rows, width)) < 0.4)
    projection = Projection(
        known,
        WordVectors(
            rng.integers(-9, 10, (len(known), size)).astype(np.int16),
            np.array([0.2], np.float32),
            rng.integers(-9, 10, (size, size)).astype(np.int8),
            (rng.random(size) + 0.1).astype(np.float32),
        ),
        rng.standard_normal(size).astype(np.float32),
        (rng.random(len(known)) + 0.1).astype(np.float16),
        np.ones(size, np.float32),
    )
    embeddings = rng.standard_normal((rows, size)).astype(np.float32)
    indptr = np.concatenate([[0], np.cumsum((own > 0).sum(axis=1))]).astype(np.int64)
    factors = StemFactors(indptr, np.nonzero(own)[1].astype(np.uint32), own[np.nonzero(own)])
    got = projection.expanded(factors, embeddings, weight=weight, most_words=most)
    gains = np.zeros((rows, width))
    gains[:, known] = np.maximum(
        projection.vectors.along(embeddings - projection.mean) @ projection.vectors.values.T, 0
    )
    preferred = np.zeros(width)
    preferred[known] = projection.preference.astype(np.float32)
    found = np.zeros((rows, width))
    found[np.repeat(np.arange(rows), np.diff(got.indptr)), got.stems] = got.values
    for row in range(rows):
        others = [t for t in known.tolist() if own[row, t] == 0 and gains[row, t] > 0]
        best = sorted(others, key=lambda t: -np.float32(gains[row, t]) * np.float32(preferred[t]))[:most]
        want = own[row] + weight * np.where((own[row] > 0) | np.isin(np.arange(width), best), gains[row], 0)
        np.testing.assert_allclose(found[row], np.minimum(want, HIGHEST), rtol=1e-5, atol=1e-6)
    assert all(
        (np.diff(got.stems[a:b].astype(np.int64)) > 0).all() for a, b in zip(got.indptr, got.indptr[1:], strict=False)
    )


def test_a_query_finds_a_document_by_a_word_it_lacks(tmp_path):
    plain = index_documents(tmp_path / "plain", None, docs(TEXTS)).index
    index = build(tmp_path / "index")
    assert Searcher.open(plain.path).search("kittens", 10).docnos == ["d1"]
    found = Searcher.open(index.path).search("kittens", 10)
    assert found.docnos[:2] == ["d1", "d0"]
    assert "d3" not in found.docnos[:2]
    verify_index(index.path)


def test_idf_counts_documents_that_say_a_word(tmp_path):
    plain, index = index_documents(tmp_path / "plain", None, docs(TEXTS)).index, build(tmp_path / "index")
    channel = stored_channel(index.path)
    assert channel.table.stems == stored_channel(plain.path).table.stems
    terms = list(range(len(channel.table)))
    own = plain.document_frequencies(terms)
    held = index.document_frequencies(terms)
    assert sum(held) > sum(own)
    assert [channel.own_frequency(t, held[t]) for t in terms] == list(own)
    queries = Searcher.open(index.path)
    terms, weights = queries.encode_queries(["kittens"]).row(0)
    assert weights * channel.full_weight == pytest.approx([np.log1p((6 - 1 + 0.5) / 1.5)], rel=1e-6)
    assert channel.token(terms[0]) == "kitten"


def test_weights_are_factors_with_gains(tmp_path):
    index = build(tmp_path / "index", weight=1.5)
    channel, projection = stored_channel(index.path), Projection.load(index.query_side, num_stems=99)
    words = channel.table.count(TEXTS)
    lengths = words.lengths
    counted = csr_matrix((words.counts, words.stems, words.indptr), (len(TEXTS), len(channel.table))).toarray()
    embedded = Topics().embed(TEXTS)
    np.testing.assert_allclose(projection.mean, embedded.mean(axis=0), rtol=1e-5)
    searcher = Searcher.open(index.path)
    for stem in ("cat", "day", "stock", "garden"):
        number = channel.table.find(stem)
        place = np.searchsorted(projection.stems, number)
        hits = by_name(searcher.search(stem, 10))
        weight = float(searcher.encode_queries([stem]).row(0)[1][0])
        known = place < len(projection.stems) and projection.stems[place] == number
        assert known == (np.count_nonzero(counted[:, number]) >= 2)
        for row in np.flatnonzero(counted[:, number]).tolist():
            own = factor(counted[row, number], lengths[row], lengths.mean())
            along = projection.vectors.along(embedded[row] - projection.mean)
            gain = max(0.0, float(projection.vectors.values[place] @ along)) if known else 0.0
            want = min(own + 1.5 * gain, HIGHEST) * weight * channel.full_weight
            assert hits[f"d{row}"] == pytest.approx(want, abs=weight / 255)


def test_words_of_one_document_count_as_rare_ones_do_where_it_comes_again(tmp_path):
    """Their vectors are not kept: the word is worth what words like it are worth on average, and is handed to nobody."""
    index = build(tmp_path / "index", weight=1.5)
    kept, channel = Projection.load(index.query_side, num_stems=99), stored_channel(index.path)
    assert channel.table.find("kitten") not in kept.stems
    index_documents(
        index.path, None, docs([TEXTS[1], TEXTS[0]], 7), options=IndexingOptions(mode="add", embed=Topics())
    )
    searcher = Searcher.open(index.path)
    weight = float(searcher.encode_queries(["kitten"]).row(0)[1][0])
    length = int(channel.table.count([TEXTS[1]]).lengths[0])
    want = min(factor(2, length, channel.lengths.average) * (1 + 1.5 * kept.share), HIGHEST) * weight
    found = by_name(searcher.search("kitten", 9))
    assert found["d7"] == pytest.approx(want * channel.full_weight, abs=weight / 255)
    assert "d0" in found
    assert "d8" not in found


def test_an_added_document_gets_what_it_would_have_got(tmp_path):
    build(tmp_path / "index", [*TEXTS, TEXTS[1]])
    model = Topics()
    options = IndexingOptions(mode="add", embed=model)
    index_documents(tmp_path / "index", None, docs([TEXTS[1], "a zebra"], start=7), options=options)
    assert model.asked == 2 + 1, "two documents, and the sentence that tells models apart"
    searcher = Searcher.open(tmp_path / "index")
    scores = by_name(searcher.search("kittens cats", 10))
    assert scores["d1"] == scores["d6"] == scores["d7"]
    assert searcher.search("zebra", 1).docnos == ["d8"]
    delete_documents(tmp_path / "index", docnos=["d0"])
    compact_index(tmp_path / "index")
    verify_index(tmp_path / "index")
    assert Searcher.open(tmp_path / "index").search("zebra", 1).docnos == ["d8"]


def test_it_stands_beside_learned_terms_and_neighbours(tmp_path):
    encoder = TableEncoder()
    channel = LexicalConfig(expansion_model="topics", neighbours=1)
    options = IndexingOptions(lexical=channel, embed=Topics())
    index = index_documents(tmp_path / "index", encoder, docs(TEXTS), options=options).index
    verify_index(index.path)
    assert Searcher.open(index.path).search("kittens", 2).docnos[0] == "d1"
    limit = stored_channel(index.path)
    assert limit.highest_factor == HIGHEST


def test_an_empty_collection_and_one_of_no_words(tmp_path):
    for name, texts in (("empty", []), ("wordless", ["", "!"])):
        index = build(tmp_path / name, texts)
        assert Searcher.open(index.path).search("cat", 3).docnos == []


def test_a_sample_of_sentences_is_uniform_and_repeatable():
    hits = np.zeros(40)
    for seed in range(400):
        sample = SentenceSample(most=10, seed=seed)
        for i in range(40):
            sample.add("", f"this is sentence number {i}")
        assert len(sample.kept) == len(set(sample.kept)) == 10
        hits[[int(s.rsplit(" ", 1)[1]) for s in sample.kept]] += 1
    assert hits.min() > 60  # 100 of 400 expected, σ = 8.7
    assert hits.max() < 140
    again = [SentenceSample(most=3, seed=5), SentenceSample(most=3, seed=5)]
    for sample in again:
        for text in TEXTS:
            sample.add("A title that is kept", text)
    assert again[0].kept == again[1].kept


@pytest.mark.parametrize(
    "name", ["words", "levels", "step", "directions", "scales", "mean", "preference", "probe", "share"]
)
def test_damaged_word_vectors_are_refused(tmp_path, name):
    index = build(tmp_path / "index")
    path = index.query_side / PROJECTION_FILE
    good = load_file(path)
    deflated = {n: np.frombuffer(zlib.compress(bytes(size)), np.uint8) for n, size in (("long", 1 << 20), ("short", 2))}
    streams = [good.get(name, good["mean"])[:-3], *deflated.values()]
    bad = {
        "words": [
            np.bitwise_and(good["words"], 127) if good["words"][0] > 127 else good["words"] | np.uint8(128),
            np.full(99, 255, np.uint8),
            np.zeros(99, np.uint8),
            good["words"].astype(np.int64),
        ],
        "levels": [*streams, np.zeros(0, np.uint8), np.concatenate([good["levels"], [np.uint8(0)]])],
        "step": [np.full(1, np.nan, np.float32), -good["step"], np.ones(2, np.float32), np.full(1, 3e38, np.float32)],
        "directions": [*streams, good["directions"].astype(np.float32)],
        "scales": [
            good["scales"] * 0,
            good["scales"] * np.nan,
            -good["scales"],
            np.ones(2, np.float32),
            np.ones(9, np.float32),
        ],
        "mean": [
            np.full(3, 0x7FA00000, np.uint32).view(np.float32),  # a signalling NaN
            good["mean"][:-1].copy(),
            np.full_like(good["mean"], 3e38),
            np.float32([[1, 2, 3]]),
        ],
        "preference": [good["preference"][:-1].copy(), -good["preference"], good["preference"].astype(np.float32)],
        "probe": [good["probe"][:-1].copy(), good["probe"].astype(np.float64)],
        "share": [
            good["share"].astype(np.float64),
            -good["share"],
            np.array([np.nan], np.float32),
            np.zeros(2, np.float32),
        ],
    }
    for content in (*({**good, name: part} for part in bad[name]), {k: v for k, v in good.items() if k != name}):
        save_file(content, path)
        with pytest.raises(DataError, match="build the index again"):
            index_documents(index.path, None, docs(["x"], 9), options=IndexingOptions(mode="add", embed=Topics()))
        assert cli.run(["index", "verify", str(index.path)]) == 1
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="build the index again"):
        Projection.load(index.query_side, num_stems=99)
    path.unlink()
    assert cli.run(["index", "verify", str(index.path)]) == 1


def test_damaged_counts_are_refused(tmp_path):
    index = build(tmp_path / "index")
    path = index.query_side / FREQUENCIES_FILE
    good, counts = load_file(path), stored_channel(index.path).frequencies
    said, held = counts.said.astype(np.uint32), counts.held.astype(np.uint32)
    deflate = lambda part: np.frombuffer(zlib.compress(part.tobytes()), np.uint8)  # noqa: E731
    for content in (
        {"said": good["said"]},
        {"given": good["given"]},
        {**good, "said": good["said"][:-2].copy()},
        {**good, "said": np.concatenate([good["said"], [np.uint8(0)]])},
        {**good, "given": deflate(np.zeros(1 << 20, np.uint8))},
        {**good, "given": deflate(np.zeros(7, np.uint8))},
        {**good, "given": deflate(np.zeros(1, np.uint32))},
        {"said": deflate(said[:-1]), "given": deflate(held[:-2])},
        {"said": held + np.uint32(1), "held": held},
        {"said": said[:-1].copy(), "held": held},
        {"said": said.astype(np.int64), "held": held.astype(np.int64)},
    ):
        save_file(content, path)
        with pytest.raises(DataError, match="build the index again"):
            Searcher.open(index.path).search("kittens", 1)
    path.unlink()
    with pytest.raises(DataError, match="build the index again"):
        Searcher.open(index.path).search("kittens", 1)
    assert cli.run(["index", "verify", str(index.path)]) == 1


def test_counts_of_an_earlier_version_are_read(tmp_path):
    index = build(tmp_path / "index")
    counts = stored_channel(index.path).frequencies
    wanted = Searcher.open(index.path).search("kittens cats", 9)
    save_file(
        {"said": counts.said.astype(np.uint32), "held": counts.held.astype(np.uint32)},
        index.query_side / FREQUENCIES_FILE,
    )
    again = stored_channel(index.path).frequencies
    assert (again.said == counts.said).all()
    assert (again.held == counts.held).all()
    assert Searcher.open(index.path).search("kittens cats", 9).scores.tolist() == wanted.scores.tolist()


def test_an_index_with_neighbours_of_an_earlier_version_has_no_counts(tmp_path):
    options = IndexingOptions(lexical=LexicalConfig(neighbours=1))
    index = index_documents(tmp_path / "index", None, docs(TEXTS), options=options).index
    (index.query_side / FREQUENCIES_FILE).unlink()
    assert stored_channel(index.path).frequencies is None
    assert Searcher.open(index.path).search("kittens", 1).docnos == ["d1"]
    assert cli.run(["index", "verify", str(index.path)]) == 0


def test_a_build_of_few_documents_says_so(tmp_path):
    assert any("words are those of 6 documents" in note for note in build(tmp_path / "few").notes)
    assert not any("words are those of" in note for note in build(tmp_path / "many", TEXTS * 20).notes)


def test_a_sample_of_documents_is_uniform_and_keeps_their_words():
    hits = np.zeros(40)
    counts = np.arange(40)[:, None] % 3 * np.ones((40, 5), np.int64) + (np.arange(5) == 0)
    for seed in range(400):
        sample = DocumentSample(most=10, seed=seed)
        sample.add(counts_of(counts[:15]))
        sample.add(counts_of(counts[15:]))
        rows, words = sample.words()
        assert (np.diff(rows) > 0).all()
        assert len(rows) == 10
        found = np.zeros((10, 5), np.int64)
        found[np.repeat(np.arange(10), np.diff(words.indptr)), words.stems] = words.counts
        assert (found == counts[rows]).all()
        hits[rows] += 1
    assert hits.min() > 60  # 100 of 400 expected, σ = 8.7
    assert hits.max() < 140


def test_sentences_end_in_any_script():
    sample = SentenceSample()
    sample.add(
        "",
        "庭で猫がずっと眠っている昼下がりだった。株式市場は今日も大きく下落したという。 Is it so? Yes it is so, indeed. No.",
    )
    assert len(sample.kept) == 3


def test_a_full_disk_while_embedding_says_where(tmp_path, monkeypatch):
    import sparseir.encode.words.projected as projected

    def full(self, documents, words):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(projected.CorpusProjection, "note", full)
    with pytest.raises(SparseIRError, match=r"cannot hold 6 documents .*No space left on device.*make room there"):
        build(tmp_path / "index")
    assert [path.name for path in tmp_path.iterdir()] in ([], ["index"])


def test_inspect_names_the_model(tmp_path, capsys):
    build(tmp_path / "index")
    assert cli.run(["index", "inspect", str(tmp_path / "index")]) == 0
    assert "words of topics" in capsys.readouterr().out


def test_another_model_than_that_of_the_build_is_refused(tmp_path):
    index = build(tmp_path / "index")
    smaller, turned = Topics(), Topics()
    smaller.dimensions = 5
    turned.embed = lambda texts, **options: -Topics().embed(texts, **options)
    for other in (smaller, turned):
        with pytest.raises(ConfigError, match="another model than that of the build"):
            index_documents(index.path, None, docs(["x"], 9), options=IndexingOptions(mode="add", embed=other))
    assert open_index(index.path).num_docs == len(TEXTS)


@pytest.mark.parametrize(
    ("unit", "message"), [(np.nan, "document 'd0' as something"), (1e9, "too many, too large or too small")]
)
def test_embeddings_that_are_no_numbers_or_out_of_measure_are_refused(tmp_path, unit, message):
    odd = Topics()
    odd.embed = lambda texts, **options: np.float32(unit) * Topics().embed(texts, **options)
    channel = LexicalConfig(expansion_model="topics", expansion_words=4)
    with pytest.raises(DataError, match=message):
        index_documents(tmp_path / "index", None, docs(TEXTS), options=IndexingOptions(lexical=channel, embed=odd))
    if np.isnan(unit):
        index = build(tmp_path / "sound")
        odd.dimensions = 3
        probed = odd.embed
        odd.embed = lambda texts, **options: (
            Topics().embed(texts, **options) if len(texts) == 1 and "sentence" in texts[0] else probed(texts, **options)
        )
        with pytest.raises(DataError, match=r"document 'd9'"):
            index_documents(index.path, None, docs(["x"], 9), options=IndexingOptions(mode="add", embed=odd))
        assert open_index(index.path).num_docs == len(TEXTS)


def test_a_model_that_is_not_here_is_named_before_the_work(tmp_path):
    channel = LexicalConfig(expansion_model="no/such-model")
    with pytest.raises(ConfigError, match="no/such-model"):
        index_documents(tmp_path / "index", None, docs(TEXTS), options=IndexingOptions(lexical=channel))
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize(
    ("setting", "value"),
    [("expansion_model", ""), ("expansion_weight", -1), ("expansion_words", -1), ("expansion_length", 0)],
)
def test_settings_out_of_range(setting, value):
    with pytest.raises(ConfigError, match=setting):
        LexicalConfig(**{setting: value})


def test_the_channel_counts_more_with_words_of_a_dense_model():
    assert LexicalConfig().chosen(beside_learned=True).weight == 2
    assert LexicalConfig(expansion_model="x").chosen(beside_learned=True).weight == 4
    assert LexicalConfig(expansion_model="x").chosen(beside_learned=False).weight == 1
    assert LexicalConfig(expansion_model="x", alpha=0.5).chosen(beside_learned=True).weight == 0.5


def test_unused_settings_do_not_change_the_fingerprint(tmp_path):
    a = index_documents(tmp_path / "a", None, docs(TEXTS), options=IndexingOptions(lexical=LexicalConfig())).index
    b_config = LexicalConfig(expansion_weight=1.0, expansion_words=3)
    b = index_documents(tmp_path / "b", None, docs(TEXTS), options=IndexingOptions(lexical=b_config)).index
    assert a.encoder.fingerprint == b.encoder.fingerprint != build(tmp_path / "c").encoder.fingerprint


def test_search_needs_no_dense_model(tmp_path):
    """A query is looked up: the name of the model is not even resolved."""
    index = build(tmp_path / "index")
    digest = hashlib.sha256((index.path / "manifest.json").read_bytes()).hexdigest()
    assert Searcher.open(index.path).search("traders", 1).docnos == ["d3"]
    assert hashlib.sha256((index.path / "manifest.json").read_bytes()).hexdigest() == digest


def test_a_remembered_model_embeds_a_text_once(tmp_path):
    pytest.importorskip("torch", reason="the extra 'train' is not installed")
    from sparseir.models.networks.dense import DenseEmbedder, RememberedEmbeddings
    from tests.tiny_models import save_masked_lm

    folder = save_masked_lm(tmp_path / "dense")
    plain, remembered = DenseEmbedder(folder), RememberedEmbeddings(folder)
    texts = ["cats sleep", "a garden", "cats sleep"]
    np.testing.assert_allclose(remembered.embed(texts), plain.embed(texts), atol=1e-6)
    assert remembered.embed([]).shape == (0, plain.dimensions)
    remembered.model.embed = None  # whatever asks again must find all
    again = remembered.embed(texts[::-1])
    np.testing.assert_array_equal(again, remembered.embed(texts)[::-1])
    with pytest.raises(TypeError):
        remembered.embed(["cats sleep"], query=True)  # as a query it may have another prompt
    assert remembered.on_documents.seconds > 0
