"""Indexes with a lexical channel: what they answer, what updates do to them, what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from indexer import (
    IndexConfig,
    SparseVectors,
    add_documents,
    build_index,
    compact_index,
    delete_documents,
    open_index,
    verify_index,
)
from indexer.interchange.export import export_index
from indexer.interchange.vocabulary import Vocabulary
from indexer.interchange.vocabulary_files import AfterTokenizer
from sparseir import cli
from sparseir.config.lexical import LexicalConfig
from sparseir.data.records import Document
from sparseir.encode.indexing import index_documents
from sparseir.encode.options import IndexingOptions
from sparseir.encode.vectors import index_vectors
from sparseir.encode.words.stream import check_query_side, stored_channel
from sparseir.errors import ConfigError, DataError, LockedError, SparseIRError
from sparseir.lexical.channel import LexicalChannel
from sparseir.lexical.stored_terms import StoredTerms
from sparseir.search.searcher import Searcher
from tests.lexical_cases import TableEncoder, documents, factor, idf

TEXTS = ["cats running in the park", "the weather", "", "vaccine dose dose for cats", "dogs and weather in the park"]


def build(path, texts=TEXTS, *, encoder=None, lexical=None, **options):
    chosen = IndexingOptions(lexical=lexical, **options)
    return index_documents(path, encoder, documents(texts), options=chosen).index


def add(path, texts, *, start, encoder=None, mode="add"):
    return index_documents(path, encoder, documents(texts, start), options=IndexingOptions(mode=mode)).index


@pytest.fixture
def bm25(tmp_path):
    build(tmp_path / "i")
    return tmp_path / "i"


@pytest.fixture
def both(tmp_path):
    build(tmp_path / "i", encoder=TableEncoder(), lexical=LexicalConfig())
    return tmp_path / "i"


def test_a_bm25_index_scores_by_the_book(bm25):
    """Lengths are 3, 1, 0, 4, 3: on average 2.2. "cat" is in 2 of 5 documents, once in each."""
    hits = Searcher.open(bm25).search("the cat")
    assert hits.docnos == ["d0", "d3"]
    expected = [idf(2, 5) * factor(1, 3, 2.2), idf(2, 5) * factor(1, 4, 2.2)]
    assert hits.scores == pytest.approx(expected, rel=0.005)


def test_words_count_as_often_as_a_query_has_them(bm25):
    once, twice = (Searcher.open(bm25).search(text).scores[0] for text in ("vaccine", "vaccine vaccines"))
    assert twice == pytest.approx(2 * once)


def test_a_query_without_known_words_is_empty(bm25):
    assert Searcher.open(bm25).search("the zebra").docnos == []
    with pytest.raises(DataError, match="expected text"):
        Searcher.open(bm25).search(3)


def test_the_score_is_the_sum_of_both_channels(both, tmp_path):
    build(tmp_path / "learned", encoder=TableEncoder())
    build(tmp_path / "words")
    query = "cats dose weather park"
    learned, words = (
        {hit.docno: hit.score for hit in Searcher.open(tmp_path / n).search(query)} for n in ("learned", "words")
    )
    for alpha in (0.5, 1.0, 3.0):
        hits = Searcher.open(both, alpha=alpha).search(query)
        expected = [learned.get(d, 0) + alpha * words.get(d, 0) for d in hits.docnos]
        assert hits.scores == pytest.approx(expected, rel=0.01)
        assert set(hits.docnos) == set(learned) | set(words)


def test_alpha_zero_is_the_index_without_the_channel(both, tmp_path):
    build(tmp_path / "learned", encoder=TableEncoder())
    plain, without = Searcher.open(tmp_path / "learned"), Searcher.open(both, alpha=0)
    for query in ("cats running", "dose of weather", "the park", ""):
        a, b = plain.search(query), without.search(query)
        assert (a.docnos, a.scores.tolist()) == (b.docnos, b.scores.tolist())


def test_batches_are_single_queries(both):
    searcher = Searcher.open(both)
    queries = ["cats running", "zebra", "", "dose of weather weather"]
    batch = searcher.encode_queries(queries)
    for i, query in enumerate(queries):
        terms, weights = searcher.queries.encoder.encode(query)
        assert (terms.tolist(), weights.tolist()) == tuple(x.tolist() for x in batch.row(i))


def test_explain_tells_the_channels_apart(both):
    explanation = Searcher.open(both).explain("cats zebra park", "d0")
    assert {(t.token, t.channel) for t in explanation.terms} == {
        ("cats", "learned"),
        ("park", "learned"),
        ("cat", "lexical"),
        ("park", "lexical"),
    }
    assert sum(t.product for t in explanation.terms) == explanation.integer_score


def test_export_names_stems_apart_from_learned_terms(both, tmp_path):
    export_index(open_index(both), tmp_path / "out.jsonl")
    line = json.loads((tmp_path / "out.jsonl").read_text().splitlines()[0])
    assert set(line["vector"]) == {"cats", "running", "the", "park", "stem:cat", "stem:run", "stem:park"}
    assert Vocabulary.of_index(open_index(both).query_files, open_index(both).num_terms).term(12) == "stem:cat"


def test_added_documents_bring_words_and_idf_follows(bm25):
    searcher = Searcher.open(bm25)
    index = add(bm25, ["zebra cats", "zebra"], start=5)
    verify_index(bm25)
    assert index.num_terms == 8
    hits = Searcher.open(bm25).search("zebra")
    assert hits.docnos == ["d6", "d5"]
    assert hits.scores == pytest.approx([idf(2, 7) * factor(1, n, 2.2) for n in (1, 2)], rel=0.005)
    assert Searcher.open(bm25).search("cat").scores.max() == pytest.approx(idf(3, 7) * factor(1, 2, 2.2), rel=0.005)
    assert searcher.search("zebra").docnos == []  # a snapshot, whose vocabulary was replaced before it was read
    assert searcher.search("cat").docnos == ["d0", "d3"]


def test_the_average_length_stays_and_the_statistics_go_on(bm25):
    add(bm25, ["zebra " * 50], start=5)
    channel = LexicalChannel.load(open_index(bm25).query_side)
    assert channel.lengths.average == pytest.approx(2.2)
    assert (channel.lengths.documents, channel.lengths.words) == (6, 61)
    before = Searcher.open(bm25).search("cat")
    compact_index(bm25)  # the average is in every impact, and these stay: docs/lexical.md
    assert LexicalChannel.load(open_index(bm25).query_side).lengths == channel.lengths
    after = Searcher.open(bm25).search("cat")
    assert (after.docnos, after.scores.tolist()) == (before.docnos, before.scores.tolist())


def test_replaced_and_deleted_documents_count_until_compaction(bm25):
    add(bm25, ["zebra"], start=0, mode="replace")
    delete_documents(bm25, ["d1"])
    weight = Searcher.open(bm25).queries.encoder.encode("weather")[1]
    assert weight == pytest.approx([idf(2, 6)])
    compact_index(bm25)
    verify_index(bm25)
    searcher = Searcher.open(bm25)
    assert searcher.queries.encoder.encode("weather")[1] == pytest.approx([idf(1, 4)])
    assert searcher.queries.encoder.encode("run")[1].tolist() == []  # no document is left that has it
    assert searcher.search("zebra").docnos == ["d0"]


def test_both_channels_of_added_documents_are_found(both):
    before = json.loads((open_index(both).query_side / "query.json").read_text())
    add(both, ["zebra cats running", "running"], start=5, encoder=TableEncoder())
    verify_index(both)
    assert json.loads((open_index(both).query_side / "query.json").read_text()) == before
    searcher = Searcher.open(both)
    assert searcher.search("zebra").docnos == ["d5"]
    assert {t.channel for t in searcher.explain("running", "d6").terms} == {"learned", "lexical"}


def test_an_emptied_index_takes_new_words_into_a_folder_of_their_own(bm25):
    """The one segment is gone, and its number with it; the query side that is in force must not be written over."""
    delete_documents(bm25, [f"d{i}" for i in range(5)])
    compact_index(bm25)
    before = open_index(bm25).query_side
    index = add(bm25, ["zebra"], start=5)
    assert index.query_side.name > before.name
    assert Searcher.open(bm25).search("zebra").docnos == ["d5"]


def test_a_grown_query_side_replaces_one_that_is_there(bm25, tmp_path):
    side = shutil.copytree(open_index(bm25).query_side, tmp_path / "side")
    rows = SparseVectors.from_rows([{9: 0.5}], 10)
    with pytest.raises(DataError, match="term id 9; the index has a vocabulary of 7 terms"):
        add_documents(bm25, rows, docnos=["x"])
    grown = add_documents(bm25, rows, docnos=["x"], grown_query_side=side)
    assert (grown.num_terms, grown.generation) == (10, 2)
    bare = build_index(tmp_path / "bare", rows).path
    with pytest.raises(ConfigError, match="grown_query_side replaces the query side of an index; this one carries"):
        add_documents(bare, rows, grown_query_side=side)
    assert open_index(bare).generation == 1


def test_words_are_read_under_the_write_lock(bm25, monkeypatch):
    """Two writers could otherwise give one id to two words."""

    def read_channel(path):
        with pytest.raises(LockedError):
            delete_documents(path, ["d0"])
        return stored_channel(path)

    monkeypatch.setattr("sparseir.encode.indexing.stored_channel", read_channel)
    assert add(bm25, ["zebra"], start=5).num_docs == 6


def test_an_index_built_empty_takes_its_average_from_the_first_documents(tmp_path):
    build(tmp_path / "i", [])
    add(tmp_path / "i", TEXTS, start=0)
    hits = Searcher.open(tmp_path / "i").search("cat")
    assert hits.scores == pytest.approx([idf(2, 5) * factor(1, n, 2.2) for n in (3, 4)], rel=0.005)


def test_no_impact_is_ever_cut(both):
    index = add(both, ["zebra " * 1000], start=5, encoder=TableEncoder())
    assert [s.entry.num_clipped for s in index.segments] == [0, 0]


def test_a_build_with_little_memory_answers_the_same(tmp_path):
    rng = np.random.default_rng(3)
    texts = [" ".join(rng.choice(["cats", "dogs", "park", "weather", "dose"], rng.integers(0, 9))) for _ in range(300)]
    build(tmp_path / "a", texts, encoder=TableEncoder(), lexical=LexicalConfig(), config=IndexConfig(doc_scale=0.02))
    build(
        tmp_path / "b",
        texts,
        encoder=TableEncoder(),
        lexical=LexicalConfig(),
        config=IndexConfig(doc_scale=0.02),
        memory_budget=1 << 20,
        batch=64,
    )
    a, b = (Searcher.open(tmp_path / name).search("cat dose", 300) for name in "ab")
    assert (a.docnos, a.scores.tolist()) == (b.docnos, b.scores.tolist())


def test_the_corpus_idf_of_learned_terms_stays_when_documents_are_added(tmp_path):
    build(tmp_path / "i", encoder=TableEncoder(), lexical=LexicalConfig(), corpus_idf=True)
    before = Searcher.open(tmp_path / "i", alpha=0).queries.encoder.encode("cats")[1]
    add(tmp_path / "i", ["cats"], start=5, encoder=TableEncoder())
    assert Searcher.open(tmp_path / "i", alpha=0).queries.encoder.encode("cats")[1] == before


@pytest.mark.parametrize("setting", [{"prune_terms": 4}, {"prune_mass": 0.5}, {"prune_postings": 9}])
def test_pruning_is_refused(tmp_path, setting):
    with pytest.raises(ConfigError, match=f"{next(iter(setting))}: an index with a lexical channel keeps all"):
        build(tmp_path / "i", config=IndexConfig(**setting))


def test_one_heavy_learned_weight_leaves_words_and_others_their_steps(tmp_path):
    """The weight of a word's full factor follows the learned weights as the index's scale does."""

    class OneHeavy(TableEncoder):
        def encode_documents(self, texts, **options):
            vectors = super().encode_documents(texts, **options)
            vectors.weights[3] = 1000.0
            return vectors

    texts = ["cats dogs park weather vaccine dose", "cat runs running"] * 250
    one = build(tmp_path / "plain", texts, encoder=TableEncoder(), lexical=LexicalConfig())
    other = build(tmp_path / "heavy", texts, encoder=OneHeavy(), lexical=LexicalConfig())
    assert other.doc_scale < 2 * one.doc_scale
    assert other.segments[0].entry.num_clipped == 1
    weights = [stored_channel(tmp_path / name).full_weight for name in ("plain", "heavy")]
    assert weights[0] == pytest.approx(8 / 7)
    assert weights[0] < weights[1] < 2 * weights[0]


def test_an_index_without_the_channel_has_no_alpha(tmp_path):
    build(tmp_path / "i", encoder=TableEncoder())
    with pytest.raises(SparseIRError, match="index 'i' has no lexical channel for alpha to weigh; build it with"):
        Searcher.open(tmp_path / "i", alpha=1.0)


def test_a_negative_alpha_is_refused(both):
    with pytest.raises(ConfigError, match=r"alpha is -1.0; expected a number of at least 0"):
        Searcher.open(both, alpha=-1.0)


def test_vectors_cannot_be_added(both, tmp_path):
    pytest.importorskip("scipy")
    from scipy.sparse import csr_array, save_npz

    save_npz(tmp_path / "v.npz", csr_array(np.eye(2, 4, dtype=np.float32)))
    with pytest.raises(SparseIRError, match="has a lexical channel, which vectors cannot fill; add documents as text"):
        index_vectors(both, tmp_path / "v.npz", options=IndexingOptions(mode="add"))


def test_text_for_a_learned_index_needs_its_model(both):
    with pytest.raises(SparseIRError, match=r"index 'i' holds learned vectors; to add texts, name the model"):
        add(both, ["x"], start=9)


def test_a_model_for_a_bm25_index_is_another_encoder(bm25):
    with pytest.raises(ConfigError, match="made with encoder bm25-english, these vectors"):
        add(bm25, ["x"], start=9, encoder=TableEncoder())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda side: (side / "lexical.json").write_text("{"), "the lexical channel is damaged"),
        (lambda side: (side / "lexical.json").write_text('{"format": 1, "version": 1}'), "not a lexical channel"),
        (lambda side: (side / "terms.jsonl").write_text('"cat"\n'), r"terms.jsonl holds 1 terms, lexical.json 0 \+ 7"),
        (
            lambda side: (side / "terms.jsonl").write_bytes(AfterTokenizer(3, "stem:").line + b'"cat"\n'),
            "after 3 terms of tokenizer.json and marked 'stem:', expected after 0",
        ),
    ],
)
def test_a_damaged_channel_is_named(bm25, change, message):
    change(open_index(bm25).query_side)
    with pytest.raises(DataError, match=message):
        Searcher.open(bm25).search("cat")


@pytest.mark.parametrize("kind", ["bm25", "both"])
def test_stems_are_found_in_the_file_as_in_the_list(kind, request, tmp_path):
    side = open_index(request.getfixturevalue(kind)).query_side
    terms, channel = Vocabulary.load(side / "terms.jsonl").terms, LexicalChannel.load(side)
    mark = "stem:" if channel.first_term else ""
    stored = StoredTerms.read(side / "terms.jsonl", channel.first_term, mark=mark)
    assert channel.first_term + stored.num_stems == len(stored) == len(terms)
    assert terms == [*stored.learned, *(mark + stem for stem in stored.stems)]
    for number, stem in enumerate(stored.stems):
        assert stored.find(stem) == number
        assert stored.find(stem[1:]) == -1 or stem[1:] in stored.stems
    Vocabulary.fixed(terms).save(tmp_path / "earlier")  # versions before listed the learned terms, too
    earlier = StoredTerms.read(tmp_path / "earlier" / "terms.jsonl", channel.first_term, mark=mark)
    assert (earlier.learned, earlier.stems, len(earlier)) == (stored.learned, stored.stems, len(stored))
    assert [earlier.find(stem) for stem in stored.stems] == list(range(stored.num_stems))
    assert (side / "terms.jsonl").read_bytes().startswith(b"{") == (kind == "both")
    assert StoredTerms(b'"cat"\n"stem:dog"\n', tmp_path, 1).find("cat") == -1  # a learned term
    odd = ['say "a"', "back\\slash", "Ö", "line\nend"]
    Vocabulary.fixed(odd).save(tmp_path)
    stored = StoredTerms.read(tmp_path / "terms.jsonl", 0)
    assert [stored.find(stem) for stem in odd] == [0, 1, 2, 3]


def test_a_table_of_stems_answers_alike_before_and_after_it_is_read_whole(bm25):
    table = LexicalChannel.load(open_index(bm25).query_side).table
    stems = StoredTerms.read(open_index(bm25).query_side / "terms.jsonl", 0).stems
    for _ in range(30):  # beyond the lookups that the file itself answers
        assert [table.find(stem) for stem in [*stems, "nowhere"]] == [*range(len(stems)), -1]
    assert len(table) == len(stems)
    assert table.stems == stems


def _swapped(path):
    tokenizer = json.loads(path.read_text())
    vocabulary = tokenizer["model"]["vocab"]
    first, second, *_ = (token for token in vocabulary if not token.startswith("["))
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    path.write_text(json.dumps(tokenizer))


@pytest.mark.parametrize(
    "damage", [Path.unlink, _swapped, lambda path: path.write_text("{"), lambda path: path.write_text('{"a": 0}')]
)
def test_a_tokenizer_that_the_learned_terms_are_read_from_is_verified(both, damage):
    path = open_index(both).query_side / "tokenizer.json"
    assert cli.run(["index", "verify", str(both)]) == 0
    damage(path)
    assert cli.run(["index", "verify", str(both)]) == 1


def test_an_addition_finds_a_lost_tokenizer_before_it_encodes(both):
    (open_index(both).query_side / "tokenizer.json").unlink()

    class Encoder(TableEncoder):
        def encode_documents(self, *args, **kwargs):
            raise AssertionError("encoded first")

    with pytest.raises(DataError, match=r"begins with the terms of tokenizer\.json"):
        index_documents(both, Encoder(), [Document("x", "cat")], options=IndexingOptions(mode="add"))


def test_a_term_that_is_listed_twice_is_named(both):
    side = open_index(both).query_side
    content = (side / "terms.jsonl").read_bytes()
    first = content.splitlines(keepends=True)[1]
    (side / "terms.jsonl").write_bytes(content + first)
    state = json.loads((side / "lexical.json").read_text())
    (side / "lexical.json").write_text(json.dumps({**state, "num_stems": state["num_stems"] + 1}))
    with pytest.raises(DataError, match=r"terms\.jsonl.*term .* has the ids"):
        check_query_side(both)


def test_damage_inside_the_stems_is_found_by_what_reads_them(bm25):
    side = open_index(bm25).query_side
    lines = (side / "terms.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (side / "terms.jsonl").write_text("".join([*lines[:-1], "7\n"]), encoding="utf-8")
    assert Searcher.open(bm25).search("cat").docnos  # its own line is whole
    for read in (lambda: check_query_side(bm25), lambda: Searcher.open(bm25).explain("cat", "d0")):
        with pytest.raises(DataError, match="expected one JSON string a line"):
            read()
    with pytest.raises(DataError, match="expected one JSON string a line"):
        add(bm25, ["zebra"], start=5)


def test_the_vocabulary_of_a_crashed_commit_is_left_behind(bm25, monkeypatch):
    before = sorted(p.name for p in bm25.iterdir())

    def crash(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("indexer.update.publish", crash)
    with pytest.raises(KeyboardInterrupt):
        add(bm25, ["zebra"], start=5)
    assert Searcher.open(bm25).search("zebra").docnos == []
    monkeypatch.undo()
    add(bm25, ["weasel"], start=5)
    assert Searcher.open(bm25).search("weasels").docnos == ["d5"]
    assert len(list(bm25.iterdir())) == len(before) + 1
    shutil.rmtree(bm25)
