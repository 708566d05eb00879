"""Passages of long texts: how they are cut, and that documents are ranked by their best one, exactly."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest

from indexer import IndexConfig, SparseVectors, build_index, compact_index, open_index, verify_index
from sparseir.data import Document
from sparseir.data.passages import Windows, passages_of, windows_of
from sparseir.encode.indexing import index_documents
from sparseir.encode.options import IndexingOptions
from sparseir.encode.vectors import index_vectors
from sparseir.encode.windows import delete_texts, window_spans
from sparseir.errors import ConfigError, DataError, SparseIRError
from sparseir.search.searcher import Searcher
from tests import oracle
from tests.lexical_cases import TableEncoder

TEXTS = {
    "long": "cats sleep. " * 4 + "weather report today " + "dogs bark " * 4,
    "short": "weather report",
    "empty": "",
}
WINDOWS = Windows(6, 3)


def documents(texts=TEXTS, **fields):
    return [Document(docno, text, fields=fields) for docno, text in texts.items()]


def build(path, texts=TEXTS, *, encoder=None, windows=WINDOWS, mode="build", **options):
    chosen = IndexingOptions(windows=windows if mode == "build" else None, mode=mode, **options)
    return index_documents(path, encoder, documents(texts), options=chosen).index


@pytest.mark.parametrize(("size", "step"), [(1, 1), (3, 1), (4, 2), (5, 5), (64, 32)])
def test_windows_cover_every_piece_and_keep_words_whole(size, step):
    rng = np.random.default_rng(0)
    for _ in range(200):
        lengths = rng.integers(1, 4, rng.integers(0, 12))
        words = np.repeat(np.arange(len(lengths)), lengths).tolist()
        spans = list(window_spans(words, size, step))
        assert spans[0][0] == 0
        assert spans[-1][1] == len(words)
        for (first, end), (following, next_end) in pairwise(spans):
            assert first < following <= end < next_end
        for first, end in spans:
            assert end - first <= size
            if size >= 3:  # no word is longer
                assert all(at in (0, len(words)) or words[at] != words[at - 1] for at in (first, end))


def test_passages_are_named_stored_and_whole(tmp_path):
    index = build(tmp_path / "i")
    assert windows_of(index) == WINDOWS
    assert passages_of(index, ["short", "empty", "none"]) == [["short#0"], ["empty#0"], []]
    names = passages_of(index, ["long"])[0]
    stored = index.fields(index.ordinals(names))
    text, joined = TEXTS["long"], ""
    for number, fields in enumerate(stored):
        where = fields["passage"]
        assert (where["number"], where["of"]) == (number, len(names))
        assert fields["text"] == text[where["start"] : where["end"]]
        assert len(fields["text"].split()) <= WINDOWS.size
        joined += text[max(len(joined), where["start"]) : where["end"]]
    assert joined == text
    assert len(names) == len(list(window_spans(range(len(text.split())), 6, 3))) > 3


def test_the_title_is_in_every_passage_and_counts(tmp_path):
    document = Document("d", "one two three four five six seven eight", "alpha beta")
    options = IndexingOptions(windows=Windows(6, 6))
    index = index_documents(tmp_path / "i", None, [document], options=options).index
    stored = index.fields(np.arange(index.num_docs))
    assert [f["text"] for f in stored] == ["one two three four", "five six seven eight"]
    assert {f["title"] for f in stored} == {"alpha beta"}


def test_hits_are_documents_and_explanations_their_best_passage(tmp_path):
    build(tmp_path / "i")
    searcher = Searcher.open(tmp_path / "i")
    hits = searcher.search("weather report dogs", 10)
    assert sorted(hits.docnos) == ["long", "short"]
    best = searcher.fields(hits.ordinals)[hits.docnos.index("long")]
    assert {"weather", "dogs"} <= set(best["text"].split())
    for docno, score, stored in zip(hits.docnos, hits.scores, searcher.fields(hits.ordinals), strict=True):
        found = searcher.explain("weather report dogs", docno)
        assert (found.docno, found.score) == (f"{docno}#{stored['passage']['number']}", pytest.approx(score))
    assert searcher.explain("cats", "long#0").integer_score > 0
    with pytest.raises(DataError, match="holds no document named 'none'"):
        searcher.explain("cats", "none")
    assert searcher.search("weather", 5, filter=["long", "none"]).docnos == ["long"]
    assert searcher.search("weather", 5, filter=["short"]).docnos == ["short"]


def test_replacing_and_deleting_take_every_passage(tmp_path):
    path = tmp_path / "i"
    build(path)
    with pytest.raises(DataError, match="'long#0' is in the index already"):
        build(path, {"long": "new"}, mode="add")
    build(path, {"more": "weather " * 20}, mode="add")
    assert len(passages_of(open_index(path), ["more"])[0]) > 3
    index = build(path, {"long": "zebras"}, mode="replace")
    assert passages_of(index, ["long"]) == [["long#0"]]
    assert Searcher.open(path).search("dogs").docnos == []
    assert Searcher.open(path).search("zebras").docnos == ["long"]
    report = delete_texts(path, ["more", "none", "short"])
    assert (report.deleted, report.missing) == (2, ("none",))
    assert Searcher.open(path).search("weather").docnos == []
    compact_index(path)
    verify_index(path)
    assert windows_of(open_index(path)) == WINDOWS
    with pytest.raises(SparseIRError, match="holds passages, which vectors cannot name"):
        index_vectors(path, tmp_path / "v.jsonl", options=IndexingOptions(mode="add"))


def test_windows_over_the_pieces_of_a_model_in_both_channels(tmp_path):
    encoder = TableEncoder()
    index = build(tmp_path / "i", encoder=encoder, windows=Windows(8, 4))
    assert index.notes == ()
    assert all(len(encoder.query_table.tokenize([f["text"]])[0]) <= 8 for f in index.fields(range(index.num_docs)))
    assert set(Searcher.open(tmp_path / "i").search("cats weather").docnos) <= set(TEXTS)
    whole = build(tmp_path / "whole", encoder=encoder, windows=None)
    assert whole.notes == (
        "1 of 3 texts was longer than the 8 word pieces the model reads, and cut there; "
        "--windows SIZE/STEP, such as 128/64, indexes passages of them",
    )
    with pytest.raises(ConfigError, match="windows 9/4: the model reads 8 word pieces of a text; give at most 8/8"):
        build(tmp_path / "none", encoder=encoder, windows=Windows(9, 4))


@pytest.mark.parametrize("engine", ["auto", "exhaustive", "maxscore", "wand", "block_max_wand", "block_filter"])
def test_k_documents_equal_the_oracle(tmp_path, engine):
    rng = np.random.default_rng(3)
    sizes = rng.choice([1, 2, 40], 60)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    names = [f"d{d}#{i}" for d, n in enumerate(sizes) for i in range(n)]
    terms = 30
    # A document's passages are alike, so that a few long documents fill the top of a ranking of passages.
    rows = [
        {int(t): float(rng.integers(1, 9)) for t in rng.choice(terms, 6, False)} | {d % 5: 9.0} for d in owner.tolist()
    ]
    vectors = SparseVectors.from_rows(rows, terms)
    (tmp_path / "side").mkdir()
    Windows(4, 2).save(tmp_path / "side")
    path = tmp_path / "i"
    index = build_index(
        path, vectors, docnos=names, config=IndexConfig(doc_scale=9 / 255), query_side=tmp_path / "side"
    )
    searcher = Searcher.open(path, engine=engine)
    impacts = oracle.quantize_impacts(vectors.weights, index.doc_scale)
    queries = SparseVectors.from_rows([{t: 1.0, (t * 7 + 1) % terms: 0.5} for t in range(10)], terms)
    delete_texts(path, ["d3", "d50"])
    searcher = Searcher.open(path, engine=engine)
    some = [f"d{d}" for d in range(0, len(sizes), 2)]
    for k, allowed in ((1, None), (7, None), (60, None), (1000, None), (7, some), (1000, some)):
        batch = searcher.search_vectors(queries, k, filter=allowed)
        for q in range(len(queries)):
            query_terms, weights = queries.row(q)
            integers, _ = oracle.quantize_query(weights)
            score = oracle.scores(vectors.indptr, vectors.term_ids, impacts, query_terms, integers, terms)
            best: dict[int, tuple[int, int]] = {}
            for ordinal, (d, s) in enumerate(zip(owner.tolist(), score.tolist(), strict=True)):
                live = d not in (3, 50) and (allowed is None or d % 2 == 0)
                if live and s > best.get(d, (0, 0))[0]:
                    best[d] = (s, ordinal)
            ranked = [ordinal for s, ordinal in sorted(best.values(), key=lambda pair: (-pair[0], pair[1]))][:k]
            single = searcher.search_terms(query_terms, weights, k, filter=allowed)
            for ranking in (batch.ordinals[q], single.ordinals):
                assert ranking[ranking >= 0].tolist() == ranked
                assert len(ranking) == k
            assert np.array_equal(batch.scores[q], single.scores)


@pytest.mark.parametrize("text", ["128", "64/128", "0/0", "a/b", "-1/1", "4/0"])
def test_windows_that_are_none(text):
    with pytest.raises(ConfigError, match=r"expected SIZE/STEP with 1 ≤ STEP ≤ SIZE, e.g. 128/64"):
        Windows.parse(text)


def test_damaged_windows_and_a_field_of_their_name_are_named(tmp_path):
    build(tmp_path / "i")
    next((tmp_path / "i").glob("query-*/windows.json")).write_text(json.dumps({"size": 1, "step": 2}))
    with pytest.raises(DataError, match=r"windows\.json: the windows are damaged"):
        Searcher.open(tmp_path / "i")
    with pytest.raises(DataError, match="document 'long' has a field 'passage'"):
        index_documents(tmp_path / "j", None, documents(passage=1), options=IndexingOptions(windows=WINDOWS))
