"""Words that a fit adds to queries: which, how much, and an index, its engines and its page that agree about them."""

from __future__ import annotations

import json
from dataclasses import replace
from threading import Event

import numpy as np
import pytest

sparse = pytest.importorskip("scipy.sparse", reason="the extra 'index' is not installed")
pytest.importorskip("ir_measures", reason="the extra 'evaluate' is not installed")

from indexer import compact_index, open_index, restore_index, take_snapshot, verify_index  # noqa: E402
from sparseir import cli  # noqa: E402
from sparseir.config.lexical import LexicalConfig  # noqa: E402
from sparseir.encode.indexing import index_documents  # noqa: E402
from sparseir.encode.options import IndexingOptions  # noqa: E402
from sparseir.errors import ConfigError, DataError, LockedError  # noqa: E402
from sparseir.lexical.added_words import AddedWords  # noqa: E402
from sparseir.lexical.term_factors import FACTORS_FILE, TermFactors  # noqa: E402
from sparseir.query_weights import FitOptions, added, fit_query_weights, run, undo_fit  # noqa: E402
from sparseir.query_weights.added import WordAdder  # noqa: E402
from sparseir.query_weights.choice import _Fold, choose  # noqa: E402
from sparseir.query_weights.lists import CandidateLists, DocumentRows  # noqa: E402
from sparseir.query_weights.ridge import Ridge, fit_ridge, list_losses  # noqa: E402
from sparseir.search.searcher import Searcher  # noqa: E402
from tests.lexical_cases import TableEncoder, documents  # noqa: E402
from tests.static_site import NODE, ask  # noqa: E402

LATIN = {
    "cat": "felin",
    "dog": "canin",
    "hen": "galin",
    "goat": "caprin",
    "sheep": "ovin",
    "cow": "bovin",
    "pig": "suin",
}
TOPICS = ["food", "age", "price", "name", "home", "sleep"]
TEXTS = [f"{animal} {topic}" for animal in LATIN for topic in TOPICS] + [" ".join(LATIN.values())] * 2


def judged() -> tuple[dict[str, str], dict[str, dict[str, int]]]:
    """Queries name animals in Latin, and documents do not."""
    asked = [f"{latin} {topic}" for latin in LATIN.values() for topic in TOPICS]
    return {f"q{i}": text for i, text in enumerate(asked)}, {f"q{i}": {f"d{i}": 1} for i in range(len(asked))}


def build(path, *, learned: bool = False, **options):
    encoder = TableEncoder(["[UNK]", *LATIN, *LATIN.values(), *TOPICS], query_weights=[1.0] * 21) if learned else None
    lexical = LexicalConfig() if learned else None
    index_documents(path, encoder, documents(TEXTS), options=IndexingOptions(lexical=lexical, **options))
    return path


def query(path, text: str, **options) -> dict[str, float]:
    """The words of a query as the index reads it, without learned terms."""
    encoder = Searcher.open(path, **options).queries.encoder
    return {encoder.token(int(term)): float(weight) for term, weight in zip(*encoder.stems(text), strict=True)}


def found(path, text: str, **options) -> tuple[list[str], list[float]]:
    hits = Searcher.open(path, **options).search(text)
    return hits.docnos, list(hits.scores)


@pytest.mark.parametrize("learned", [False, True])
def test_a_fit_adds_the_words_of_the_documents_that_are_relevant(tmp_path, learned) -> None:
    path = build(tmp_path / "i", learned=learned)
    queries, qrels = judged()
    report = fit_query_weights(path, queries, qrels)
    assert report.committed
    assert report.added >= len(LATIN)
    assert np.isfinite(report.added_strength)
    assert report.held_out.ndcg_after > report.held_out.ndcg_before
    best = {said: added for said, added, _ in reversed(report.added_most)}
    assert all(LATIN[animal] not in best or best[LATIN[animal]] == animal for animal in LATIN)
    hits = Searcher.open(path).search("felin")
    assert hits.docnos[2] in {f"d{i}" for i in range(len(TOPICS))}  # after the two that say it, those of cats
    assert {f"d{i}" for i in range(len(TOPICS))} <= set(hits.docnos[:8])
    assert query(path, "felin")["cat"] > 0
    assert verify_index(path).checks


def test_a_word_weighs_its_own_and_what_others_add_each_once(tmp_path) -> None:
    path = build(tmp_path / "i")
    as_built = {word: query(path, word)[word] for word in ("cat", "felin")}
    fit_query_weights(path, *judged())
    fitted = TermFactors.load(open_index(path).query_side)
    assert fitted is not None
    assert fitted.added is not None
    encoder = Searcher.open(path).queries.encoder
    cat, felin = (int(encoder.stems(word)[0][0]) for word in ("cat", "felin"))
    ids = {encoder.token(term): term for term in range(encoder.num_terms)}
    share = dict(fitted.added.of(ids["felin"]))[ids["cat"]]
    own = {word: fitted.of(ids[word]) * as_built[word] for word in as_built}
    assert query(path, "felin felin")["cat"] == pytest.approx(share * as_built["cat"])
    back = dict(fitted.added.of(ids["cat"])).get(ids["felin"], 0.0)
    assert query(path, "cat felin cat").get("cat", 0.0) == pytest.approx(2 * own["cat"] + share * as_built["cat"])
    assert query(path, "cat felin cat").get("felin", 0.0) == pytest.approx(own["felin"] + back * as_built["felin"])
    assert {cat, felin} <= set(ids.values())


def test_alpha_weighs_added_words_too(tmp_path) -> None:
    path = build(tmp_path / "i", learned=True)
    fit_query_weights(path, *judged())
    once, twice = query(path, "felin food", alpha=1.0), query(path, "felin food", alpha=2.0)
    assert "cat" in once
    assert twice == pytest.approx({word: 2 * weight for word, weight in once.items()})
    assert query(path, "felin food", alpha=0.0) == {}


def test_engines_batches_and_explanations_agree(tmp_path) -> None:
    path = build(tmp_path / "i", learned=True)
    fit_query_weights(path, *judged())
    searcher, texts = Searcher.open(path), ["felin food", "canin", "suin name home"]
    together = searcher.encode_queries(texts)
    for number, text in enumerate(texts):
        terms, weights = searcher.queries.encoder.encode(text)
        assert [part.tolist() for part in together.row(number)] == [terms.tolist(), weights.tolist()]
        docnos, scores = found(path, text, engine="exhaustive")
        for engine in ("maxscore", "wand", "block_max_wand", "block_filter"):
            assert found(path, text, engine=engine) == (docnos, scores)
        assert searcher.explain(text, docnos[0]).score == scores[0]
    assert "cat" in {searcher.queries.encoder.token(int(t)) for t in searcher.queries.encoder.encode("felin")[0]}


@pytest.mark.skipif(NODE is None, reason="node is not installed")
@pytest.mark.parametrize("words", [0, 10])
def test_a_page_ranks_as_the_index_does(tmp_path, words) -> None:
    path = build(tmp_path / "i")
    fit_query_weights(path, *judged(), options=FitOptions(added_words=words))
    site = tmp_path / "site"
    assert cli.run(["index", "export", str(path), "--format", "web", "--output", str(site), "--quiet"]) == 0
    texts = ["felin food", "food felin canin felin", "galin", "cat", "nothing"]
    with Searcher.open(path) as searcher:
        expected = [[[hit.docno, hit.score] for hit in hits] for hits in searcher.search(texts, 9)]
    assert ask(site, texts, 9)["answers"] == expected
    assert bool(json.loads((site / "site.json").read_text())["added"]["words"]) is bool(words)


def test_changes_of_the_index_keep_them_and_undoing_does_not(tmp_path) -> None:
    path = build(tmp_path / "i")
    built = found(path, "felin food")
    fit_query_weights(path, *judged())
    fitted = found(path, "felin food")
    assert fitted != built
    take_snapshot(path, tmp_path / "snapshot")
    restore_index(tmp_path / "snapshot", tmp_path / "restored")
    compact_index(path)
    assert found(path, "felin food") == found(tmp_path / "restored", "felin food") == fitted
    index_documents(path, None, documents(["zebra cat"], start=100), options=IndexingOptions(mode="add"))
    assert "cat" in query(path, "felin")
    assert fit_query_weights(path, *judged(), options=FitOptions(added_words=0)).added == 0
    assert "cat" not in query(path, "felin")
    undo_fit(tmp_path / "restored")
    assert found(tmp_path / "restored", "felin food") == built


def test_an_index_of_learned_terms_alone_adds_none(tmp_path) -> None:
    encoder = TableEncoder(["[UNK]", *LATIN, *LATIN.values(), *TOPICS], query_weights=[1.0] * 21)
    index_documents(tmp_path / "i", encoder, documents(TEXTS), options=IndexingOptions())
    assert fit_query_weights(tmp_path / "i", *judged()).added == 0


def test_options_are_numbers_of_at_least_0() -> None:
    with pytest.raises(ConfigError, match="added_words: expected at least 0, found -1"):
        FitOptions(added_words=-1)


def three_queries(most: int = 2) -> tuple[CandidateLists, WordAdder]:
    """Queries of word 0, whose relevant documents hold word 1 (as all others do) and word 2, or in one of them word 3."""
    words = np.array([[1, 1, 2, 9], [1, 1, 0, 0], [1, 1, 2, 0], [1, 1, 0, 0], [1, 1, 2, 0], [1, 1, 0, 0]], np.float32)
    relevance = np.tile([1.0, 0.0], 3)
    lists = CandidateLists(
        ("a", "b", "c"),
        np.array([0, 2, 4, 6], np.int64),
        sparse.csr_matrix(words * [[1.0, 0, 0, 0]], dtype=np.float32),
        relevance,
        tuple("uvwxyz"),
        np.arange(10, 16),
        sparse.csr_matrix(np.array([[1.0, 0, 0, 0]] * 3, np.float32)),
    )
    return lists, WordAdder(DocumentRows(np.arange(10, 16), sparse.csr_matrix(words)), np.array([1.0, 1, 0.5, 1]), most)


def test_pairs_are_those_that_help_many_queries() -> None:
    lists, adder = three_queries()
    pairs = adder.pairs(lists, Ridge(np.ones(4), 1.0, np.inf))
    assert (pairs.said.tolist(), pairs.added.tolist()) == ([0, 0], [2, 3])
    one = three_queries(1)[1].pairs(lists, Ridge(np.ones(4), 1.0, np.inf))
    assert one.added.tolist() == [2]  # in three queries by 1 each, not in one by 9
    assert len(adder.pairs(lists.only(np.array([0, 1])), Ridge(np.ones(4), 1.0, np.inf))) == 0


def test_a_pair_scores_as_if_the_word_were_said() -> None:
    lists, adder = three_queries()
    wider = adder.extended(lists, adder.pairs(lists, Ridge(np.ones(4), 1.0, np.inf)))
    assert wider.parts[:, 4].toarray().ravel().tolist() == [1, 0, 1, 0, 1, 0]
    assert wider.parts[:, 5].toarray().ravel().tolist() == [9, 0, 0, 0, 0, 0]
    assert (wider.parts[:, :4] != lists.parts).nnz == 0


def test_shares_are_held_to_0_and_factors_to_1() -> None:
    """At the solution the gradient of the loss is that of the ridge, and infinite strengths leave factors as they were."""
    lists, adder = three_queries()
    start = Ridge(np.full(4, 1.0), 1.0, np.inf)
    pairs = adder.pairs(lists, start)
    wider = adder.extended(lists, pairs)
    ridge = fit_ridge(wider, start.with_pairs(len(pairs)), np.inf, 0.5)
    assert ridge.factors[:4].tolist() == [1, 1, 1, 1]
    _, pull = list_losses(ridge.scores(wider), wider)
    assert wider.parts.T @ pull + 2 * 0.5 * ridge.factors * [0, 0, 0, 0, 1, 1] == pytest.approx(
        [*(wider.parts.T @ pull)[:4], 0, 0], abs=1e-3
    )
    assert (ridge.factors[4:] > 0.1).all()
    assert (fit_ridge(wider, start.with_pairs(len(pairs)), np.inf, 1e7).factors[4:] < 1e-3).all()


def test_lists_are_drawn_within_a_number_of_documents() -> None:
    lists, _ = three_queries()
    for most, kept in ((1, 0), (2, 1), (3, 1), (4, 2), (6, 3), (100, 3)):
        found = lists.within(most, seed=0)
        assert len(found) == kept
        assert len(found.ordinals) == 2 * kept
        assert list(found.qids) == sorted(found.qids)
    assert {lists.within(2, seed=seed).qids for seed in range(20)} == {("a",), ("b",), ("c",)}


def test_too_few_queries_in_memory_change_nothing(tmp_path, monkeypatch) -> None:
    path = build(tmp_path / "i")
    monkeypatch.setattr(run, "MOST_POSTINGS", 60)
    with pytest.raises(DataError, match=r"hold 60 postings, as many as are read; fitting needs at least 30"):
        fit_query_weights(path, *judged())
    assert open_index(path).generation == 1


def test_words_of_another_writer_in_the_meantime_are_said(tmp_path, monkeypatch) -> None:
    path = build(tmp_path / "i")
    open_searcher = Searcher.open

    def open_late(*arguments, **options):
        index_documents(path, None, documents(["zebra"], start=100), options=IndexingOptions(mode="add"))
        return open_searcher(*arguments, **options)

    monkeypatch.setattr(run.Searcher, "open", open_late)
    with pytest.raises(LockedError, match="another writer has changed the query side"):
        fit_query_weights(path, *judged())


def test_a_part_without_pairs_keeps_what_was_chosen(monkeypatch) -> None:
    """Factors are not fitted again, at other strengths, where a part of the queries has no word to add."""
    rng = np.random.default_rng(5)
    words = (rng.uniform(size=(240, 12)) * (rng.uniform(size=(240, 12)) < 0.5)).astype(np.float32)
    asked = np.zeros((40, 12), np.float32)
    asked[:, :4] = 1
    lists = CandidateLists(
        tuple(f"q{i}" for i in range(40)),
        np.arange(0, 241, 6),
        sparse.csr_matrix(words * np.repeat(asked, 6, 0)),
        np.tile([1.0, 0, 0, 0, 0, 0], 40),
        tuple(f"d{i}" for i in range(240)),
        np.arange(240),
        sparse.csr_matrix(asked),
    )
    adder = WordAdder(DocumentRows(np.arange(240), sparse.csr_matrix(words)), np.ones(12), 3)
    monkeypatch.setattr(added, "FEWEST_QUERIES", 1000)
    alone = choose(lists, {qid: {f"x{qid}": 1} for qid in lists.qids}, seed=0)
    found = choose(lists, {qid: {f"x{qid}": 1} for qid in lists.qids}, seed=0, adder=adder)
    assert (found.strength, found.added_strength) == (alone.strength, np.inf)
    assert found.after.tolist() == alone.after.tolist()
    fold = replace(_Fold.of(lists, np.arange(8), {q: {} for q in lists.qids}), paired=True)
    fold.fit(Event(), 0.1)
    assert fold.tried[1] is fold.tried[0]


U, F = np.uint32, np.float32


@pytest.mark.parametrize(
    ("arrays", "fault"),
    [
        ({"said": np.array([1, 1], U), "added": np.array([2], U), "shares": np.array([1, 1], F)}, "different lengths"),
        ({"said": np.array([1], F), "added": np.array([2], U), "shares": np.array([1], F)}, "uint32 and float32"),
        ({"said": np.array([1], U), "added": np.array([2], U), "shares": np.array([np.inf], F)}, "from 0 to 1000"),
        ({"said": np.array([1], U), "added": np.array([2], U), "shares": np.array([-1], F)}, "from 0 to 1000"),
        ({"said": np.array([1], U), "added": np.array([2], U), "shares": np.array([3e38], F)}, "from 0 to 1000"),
        (
            {"said": np.array([1, 2, 1], U), "added": np.array([2, 0, 0], U), "shares": np.ones(3, F)},
            "do not stand together",
        ),
        ({"said": np.array([1], U), "added": np.array([2], U)}, "no array 'shares'"),
        ({"said": np.ones((1, 1), U), "added": np.ones((1, 1), U), "shares": np.ones((1, 1), F)}, "different lengths"),
    ],
)
def test_damaged_pairs_are_refused(tmp_path, arrays, fault) -> None:
    from safetensors.numpy import save_file

    save_file({"factors": np.ones(3, F), **arrays}, tmp_path / FACTORS_FILE)
    with pytest.raises(DataError, match=f"the fitted query weights are damaged.*{fault}"):
        TermFactors.load(tmp_path)


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("pair", [(0, 1), (1, 0), (4000, 1), (30, 4000)])
def test_words_of_another_index_are_refused(tmp_path, learned, pair) -> None:
    """Learned terms before the words, or terms after all."""
    path = build(tmp_path / "i", learned=learned)
    if not learned and max(pair) < 4000:
        pair = (max(pair) + 4000, 1)
    fit_query_weights(path, *judged())
    side = open_index(path).query_side
    assert side is not None
    said, other = (np.array([term], U) for term in pair)
    TermFactors(np.ones(5000, F), np.ones(21, F), AddedWords(said, other, np.ones(1, F))).save(side)
    with pytest.raises(DataError, match="the fitted query weights are another index's: added words that are no terms"):
        Searcher.open(path).search("cat")


def test_pairs_are_read_as_they_were_written(tmp_path) -> None:
    words = AddedWords(np.array([2, 2, 0], U), np.array([1, 0, 2], U), np.array([0.5, 0.25, 1.0], F))
    assert len(words) == 3
    TermFactors(np.ones(3, F), added=words).save(tmp_path)
    read = TermFactors.load(tmp_path)
    assert read is not None
    assert read.added is not None
    assert [read.added.of(term) for term in range(3)] == [[(2, 1.0)], [], [(1, 0.5), (0, 0.25)]]
    assert len(AddedWords(np.zeros(0, U), np.zeros(0, U), np.zeros(0, F))) == 0
