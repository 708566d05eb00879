"""Query weights fitted to judgements: the loss by hand, one solution, and an index that keeps them."""

from __future__ import annotations

import math
import shutil

import numpy as np
import pytest

sparse = pytest.importorskip("scipy.sparse", reason="the extra 'index' is not installed")
pytest.importorskip("ir_measures", reason="the extra 'evaluate' is not installed")

from indexer import (  # noqa: E402
    IndexConfig,
    build_index,
    compact_index,
    open_index,
    replace_query_side,
    restore_index,
    take_snapshot,
    verify_index,
)
from indexer.vectors import SparseVectors  # noqa: E402
from sparseir.config.lexical import LexicalConfig  # noqa: E402
from sparseir.encode.indexing import index_documents  # noqa: E402
from sparseir.encode.options import IndexingOptions  # noqa: E402
from sparseir.errors import ConfigError, DataError, LockedError, MissingExtraError, SparseIRError  # noqa: E402
from sparseir.lexical.term_factors import FACTORS_FILE, TermFactors  # noqa: E402
from sparseir.query_weights import FitOptions, fit_query_weights, undo_fit  # noqa: E402
from sparseir.query_weights.choice import choose  # noqa: E402
from sparseir.query_weights.lists import CandidateLists, candidate_lists  # noqa: E402
from sparseir.query_weights.ridge import fit_ridge, list_losses, unfitted  # noqa: E402
from sparseir.search.searcher import Searcher  # noqa: E402
from sparseir.static.query_side import query_side_of  # noqa: E402
from tests.lexical_cases import TableEncoder, documents  # noqa: E402

ANIMALS = ["cat", "dog", "horse", "goat", "sheep", "cow", "hen", "duck", "goose", "pig"]
TOPICS = ["food", "age", "price", "name"]
TEXTS = [f"{animal} {topic}" for animal in ANIMALS for topic in TOPICS] + ["please tell"] * 3
NAMES = {text: f"d{i}" for i, text in enumerate(TEXTS)}


def judged() -> tuple[dict[str, str], dict[str, dict[str, int]]]:
    """Each document is asked for; "please tell" is in every query and says nothing, though it is rare among documents."""
    asked = {f"q{i}": f"please tell {text}" for i, text in enumerate(TEXTS[:-3])}
    return asked, {f"q{i}": {f"d{i}": 1} for i in range(len(asked))}


def build(path, *, encoder=None, texts=TEXTS, **options):
    lexical = LexicalConfig() if encoder is not None else None
    return index_documents(path, encoder, documents(texts), options=IndexingOptions(lexical=lexical, **options)).index


def encoder():
    words = ["[UNK]", "please", "tell", *ANIMALS, *TOPICS]
    return TableEncoder(words, query_weights=[1.0] * len(words))


def told(path, text, **options):
    """Names and scores of the hits."""
    hits = Searcher.open(path, **options).search(text)
    return hits.docnos, list(hits.scores)


def lists_of(parts, relevance, starts):
    size = len(parts)
    return CandidateLists(
        tuple(f"q{i}" for i in range(len(starts) - 1)),
        np.array(starts, np.int64),
        sparse.csr_matrix(np.array(parts, np.float32)),
        np.array(relevance, np.float64),
        tuple(f"d{i}" for i in range(size)),
        np.arange(size),
        sparse.csr_matrix(np.ones((len(starts) - 1, len(parts[0])), np.float32)),
    )


def test_the_loss_by_hand() -> None:
    """Two relevant documents do not compete: each is set against the one that is not."""
    lists = lists_of([[0.0]] * 4, [0.5, 0.5, 0.0, 1.0], [0, 3, 4])
    losses, gradient = list_losses(np.array([2.0, 1.0, 0.0, 5.0]), lists)
    expected = 0.5 * math.log(1 + math.exp(-2)) + 0.5 * math.log(1 + math.exp(-1))
    assert losses == pytest.approx([expected, 0.0])  # the second list has nothing to rank its document above
    assert gradient[0] == pytest.approx(-0.5 / (1 + math.exp(2)))
    assert gradient.sum() == pytest.approx(0)


def test_the_gradient_is_that_of_the_loss() -> None:
    rng = np.random.default_rng(0)
    relevance = np.array([0.25, 0.75, 0, 0, 0, 1.0, 0])
    lists = lists_of([[0.0]] * 7, relevance, [0, 5, 7])
    scores = rng.normal(size=7) * 3
    _, gradient = list_losses(scores, lists)
    for i, step in enumerate(np.eye(7) * 1e-6):
        above, below = list_losses(scores + step, lists)[0].sum(), list_losses(scores - step, lists)[0].sum()
        assert gradient[i] == pytest.approx((above - below) / 2e-6, abs=1e-6)


@pytest.mark.parametrize("far", [1e3, 1e6])
def test_scores_far_apart_give_numbers(far: float) -> None:
    lists = lists_of([[0.0]] * 3, [1.0, 0.0, 0.0], [0, 3])
    for scores in ([far, 0.0, -far], [-far, 0.0, far]):
        losses, gradient = list_losses(np.array(scores), lists)
        assert np.isfinite(losses).all()
        assert np.isfinite(gradient).all()
    assert losses == pytest.approx([2 * far])


def test_there_is_one_solution() -> None:
    """From wherever the search begins: the problem is convex."""
    rng = np.random.default_rng(1)
    parts = rng.uniform(size=(60, 5)) * (rng.uniform(size=(60, 5)) < 0.6)
    lists = lists_of(parts, np.tile([1.0, 0, 0, 0, 0, 0], 10), list(range(0, 61, 6)))
    start = unfitted(lists)
    first = fit_ridge(lists, start, 1.0)
    other = type(start)(rng.uniform(0, 4, size=5), start.scale, np.inf)
    assert fit_ridge(lists, other, 1.0).factors == pytest.approx(first.factors, abs=1e-3)
    assert (first.factors >= 0).all()
    assert abs(fit_ridge(lists, start, 1e6).factors - 1).max() < 1e-3


def test_what_judgements_do_not_say_is_not_fitted() -> None:
    """Relevance by chance: held-out queries are no better for it."""
    rng = np.random.default_rng(2)
    parts = rng.uniform(size=(1200, 30)) * (rng.uniform(size=(1200, 30)) < 0.3)
    lists = lists_of(parts, np.tile([1.0, 0, 0, 0, 0, 0], 200), list(range(0, 1201, 6)))
    found = choose(lists, {qid: {f"x{qid}": 1} for qid in lists.qids}, seed=0)
    assert found.strength == np.inf
    assert (found.after == found.before).all()
    assert sorted(found.held_out.qids) == sorted(lists.qids)  # each was held out once
    assert len(found.unshared) == 200


@pytest.mark.parametrize(("shared", "worth"), [(True, False), (False, True)])
def test_new_questions_do_not_pay_for_old_ones(shared: bool, worth: bool) -> None:
    """Two of three queries are for documents with the first term, the others for documents with the second one."""
    first = np.arange(600) % 3 > 0
    relevance = np.where(np.repeat(first, 2), np.tile([1.0, 0.0], 600), np.tile([0.0, 1.0], 600))
    hints = np.random.default_rng(3).normal(relevance, 1.0)[:, None].clip(0)  # so that scores have a scale
    lists = lists_of(np.hstack([[[1.0, 0.5], [0.5, 1.0]] * 600, hints]), relevance, list(range(0, 1201, 2)))
    many = {qid: {"same" if shared and one else f"x{qid}": 1} for qid, one in zip(lists.qids, first, strict=True)}
    assert (choose(lists, many, seed=0).strength < np.inf) is worth


@pytest.mark.parametrize("channels", ["words", "both", "learned"])
def test_candidates_are_what_the_index_scores(tmp_path, channels) -> None:
    build(tmp_path / "i", encoder=None if channels == "words" else encoder())
    if channels == "learned":
        index_documents(tmp_path / "i", encoder(), documents(TEXTS), options=IndexingOptions(overwrite=True))
    searcher = Searcher.open(tmp_path / "i")
    queries, qrels = judged()
    lists = candidate_lists(searcher, queries, qrels, depth=5)
    assert len(lists) == len(queries)
    for number, qid in enumerate(lists.qids):
        rows = slice(lists.starts[number], lists.starts[number + 1])
        hits = searcher.search(queries[qid], k=5)
        assert list(lists.docnos[rows])[:5] == hits.docnos
        assert lists.parts[rows].sum(1).A1[:5] == pytest.approx(
            hits.scores, rel=2e-3
        )  # queries have 12 bits in the engine


def test_a_relevant_document_that_is_not_found_is_a_candidate_and_an_own_one_is_not(tmp_path) -> None:
    build(tmp_path / "i")
    qrels = {"a": {"d8": 1, "d0": -1}, "d1": {"d0": 1}, "none": {"d0": 0}, "gone": {"d999": 1}}
    queries = {"a": "cat food", "d1": "cat age", "none": "cat", "gone": "cat"}
    lists = candidate_lists(Searcher.open(tmp_path / "i"), queries, qrels, depth=2)
    assert lists.qids == ("a", "d1")
    assert "d8" in lists.docnos[: lists.starts[1]]
    assert "d1" not in lists.docnos[lists.starts[1] :]
    assert lists.relevance.sum() == pytest.approx(2)


def test_queries_and_documents_may_be_numbered_alike(tmp_path) -> None:
    build(tmp_path / "i")
    queries, qrels = {f"d{i}": text for i, text in enumerate(TEXTS[:-3])}, {f"d{i}": {f"d{i}": 1} for i in range(40)}
    lists = candidate_lists(Searcher.open(tmp_path / "i"), queries, qrels, depth=5)
    assert len(lists) == 40


@pytest.mark.parametrize("layout", ["standard", "packed", "compact"])
def test_every_layout_is_read(tmp_path, layout) -> None:
    queries, qrels = judged()
    for name in ("standard", layout):
        config = IndexConfig(layout=name)
        index_documents(tmp_path / name, None, documents(TEXTS), options=IndexingOptions(config=config, overwrite=True))
    one, other = (fit_query_weights(tmp_path / name, queries, qrels) for name in ("standard", layout))
    assert (one.strength, one.held_out, one.lowered) == (other.strength, other.held_out, other.lowered)


@pytest.mark.parametrize("channels", ["words", "both"])
def test_a_fit_lifts_what_judgements_ask_for(tmp_path, channels) -> None:
    path = tmp_path / "i"
    built = build(path, encoder=encoder() if channels == "both" else None)
    queries, qrels = judged()
    before = Searcher.open(path).search("please tell cat food")
    report = fit_query_weights(path, queries, qrels)
    assert report.committed
    assert report.queries == 40
    assert report.generation == built.generation + 1
    assert report.held_out.queries == 40
    assert report.held_out.loss_after < report.held_out.loss_before
    assert report.unshared is not None
    assert report.unshared.queries == 40
    assert {token for token, _ in report.lowered} >= {"pleas", "tell"}
    after = Searcher.open(path).search("please tell cat food")
    assert (before.docnos[0], after.docnos[0]) == (f"d{len(TEXTS) - 3}", NAMES["cat food"])
    assert verify_index(path).checks


def test_fitting_twice_is_fitting_once_and_undoing_gives_the_build_back(tmp_path) -> None:
    path = tmp_path / "i"
    build(path, encoder=encoder())
    texts = ["please tell cat food", "dog price", "hen"]
    built = [told(path, text) for text in texts]
    queries, qrels = judged()
    fit_query_weights(path, queries, qrels)
    once = [told(path, text) for text in texts]
    fit_query_weights(path, queries, qrels)
    assert once == [told(path, text) for text in texts]
    undone = undo_fit(path)
    assert not (undone.query_side / FACTORS_FILE).exists()
    assert built == [told(path, text) for text in texts]
    assert undo_fit(path).generation == undone.generation


def test_all_engines_and_explanations_agree_after_a_fit(tmp_path) -> None:
    path = tmp_path / "i"
    build(path, encoder=encoder())
    fit_query_weights(path, *judged())
    docnos, scores = told(path, "please tell cat food", engine="exhaustive")
    for engine in ("maxscore", "wand", "block_max_wand", "block_filter"):
        assert told(path, "please tell cat food", engine=engine) == (docnos, scores)
    assert Searcher.open(path).explain("please tell cat food", docnos[0]).score == scores[0]


def test_texts_that_are_added_keep_the_fit_and_their_new_words_count_as_built(tmp_path) -> None:
    path = tmp_path / "i"
    build(path, encoder=encoder())
    fit_query_weights(path, *judged())
    before = TermFactors.load(open_index(path).query_side)
    assert before is not None
    options = IndexingOptions(mode="add")
    index_documents(path, encoder(), documents(["zebra please"], start=100), options=options)
    after = TermFactors.load(open_index(path).query_side)
    assert after is not None
    assert after.factors.tolist() == before.factors.tolist()
    assert after.of(open_index(path).num_terms) == 1.0
    assert Searcher.open(path).search("zebra").docnos == ["d100"]
    fit_query_weights(path, *judged())
    undo_fit(path)
    assert Searcher.open(path).search("zebra").docnos == ["d100"]


def test_compaction_and_snapshots_carry_the_fit(tmp_path) -> None:
    path = tmp_path / "i"
    build(path, encoder=encoder())
    fit_query_weights(path, *judged())
    fitted = told(path, "please tell cat food")
    take_snapshot(path, tmp_path / "snapshot")
    restore_index(tmp_path / "snapshot", tmp_path / "restored")
    compact_index(path)
    assert told(path, "please tell cat food") == told(tmp_path / "restored", "please tell cat food") == fitted
    undo_fit(tmp_path / "restored")
    assert told(tmp_path / "restored", "please tell cat food") != fitted


@pytest.mark.parametrize("lexical", [LexicalConfig(), None])
def test_a_service_takes_a_fit_with_its_commit(tmp_path, lexical) -> None:
    from sparseir.serve.indexes import ServedIndex

    path = tmp_path / "i"
    index_documents(path, encoder(), documents(TEXTS), options=IndexingOptions(lexical=lexical))
    served = ServedIndex("i", path, engine="auto", threads=1, model=None)
    before = served.current.encoder.encode("please tell cat food")
    fit_query_weights(path, *judged())
    assert served.refresh()
    after = served.current.encoder.encode("please tell cat food")
    own = Searcher.open(path).encode_queries(["please tell cat food"])
    assert (after[0].tolist(), after[1].tolist()) == (own.term_ids.tolist(), own.weights.tolist())
    assert after[1].tolist() != before[1].tolist()


def test_a_page_weighs_as_the_index_does(tmp_path) -> None:
    path = tmp_path / "i"
    build(path)
    as_built = np.array(query_side_of(open_index(path)).weights)
    fit_query_weights(path, *judged())
    fitted = np.array(query_side_of(open_index(path)).weights)
    factors = TermFactors.load(open_index(path).query_side)
    assert factors is not None
    assert fitted == pytest.approx(as_built * factors.factors)
    assert (fitted != as_built).any()


def test_shards_are_fitted_as_one(tmp_path) -> None:
    build(tmp_path / "one")
    index_documents(tmp_path / "parts", None, documents(TEXTS), options=IndexingOptions(shards=2))
    queries, qrels = judged()
    one, parts = (fit_query_weights(tmp_path / name, queries, qrels) for name in ("one", "parts"))
    assert (one.strength, one.held_out) == (parts.strength, parts.held_out)
    for text in ("please tell cat food", "hen"):
        assert told(tmp_path / "one", text) == told(tmp_path / "parts", text)
    undo_fit(tmp_path / "parts")
    assert Searcher.open(tmp_path / "parts").search("hen").docnos


def test_a_reader_goes_on_with_the_weights_it_opened(tmp_path) -> None:
    path = tmp_path / "i"
    build(path)
    searcher = Searcher.open(path)
    before = searcher.search("please tell cat food")
    fit_query_weights(path, *judged())
    again = searcher.search("please tell cat food")
    assert (again.docnos, list(again.scores)) == (before.docnos, list(before.scores))
    assert told(path, "please tell cat food")[1] != list(before.scores)


def test_what_cannot_be_fitted_is_refused(tmp_path) -> None:
    queries, qrels = judged()
    build_index(tmp_path / "bare", SparseVectors.from_rows([{0: 1.0}], 1), docnos=["a"], config=IndexConfig())
    with pytest.raises(SparseIRError, match="only an index whose queries are looked up"):
        fit_query_weights(tmp_path / "bare", queries, qrels)
    with pytest.raises(ConfigError, match="no query side"):
        replace_query_side(tmp_path / "bare", tmp_path)
    path = tmp_path / "i"
    generation = build(path).generation
    few = dict(list(queries.items())[:20])
    with pytest.raises(
        DataError, match="20 of 20 queries have relevant documents in index 'i'; fitting needs at least 30"
    ):
        fit_query_weights(path, few, qrels)
    with pytest.raises(DataError, match="0 of 40 queries"):
        fit_query_weights(path, queries, {})
    with pytest.raises(ConfigError, match="depth: expected at least 2, found 1; max_queries: expected at least 30"):
        FitOptions(depth=1, max_queries=3)
    assert open_index(path).generation == generation
    side = open_index(path).query_side
    assert side is not None
    shutil.copytree(side, tmp_path / "side")
    import fcntl

    with (path / "write.lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(LockedError):
            replace_query_side(path, tmp_path / "side")
    assert open_index(path).generation == generation


@pytest.mark.parametrize(
    "arrays",
    [
        {"factors": np.array([1.0, np.nan], np.float32)},
        {"factors": np.array([-1.0], np.float32)},
        {"factors": np.array([1.0], np.float64)},
        {"factors": np.ones((2, 2), np.float32)},
        {"factors": np.array(1.0, np.float32)},
        {"other": np.array([1.0], np.float32)},
        {"factors": np.array([1.0], np.float32), "table": np.array([np.inf], np.float32)},
        None,
    ],
)
def test_damaged_factors_are_refused(tmp_path, arrays) -> None:
    from safetensors.numpy import save_file

    build(tmp_path / "i")
    fit_query_weights(tmp_path / "i", *judged())
    side = open_index(tmp_path / "i").query_side
    assert side is not None
    if arrays is None:
        (side / FACTORS_FILE).write_bytes(b"\x00" * 40)
    else:
        save_file(arrays, side / FACTORS_FILE)
    with pytest.raises(DataError, match="the fitted query weights are"):
        Searcher.open(tmp_path / "i").search("cat")
    with pytest.raises(DataError, match="the fitted query weights are"):
        undo_fit(tmp_path / "i")


def test_more_queries_than_asked_for_are_drawn(tmp_path) -> None:
    path = tmp_path / "i"
    build(path)
    queries, qrels = judged()
    report = fit_query_weights(path, queries, qrels, options=FitOptions(max_queries=35))
    assert report.queries == 35


def test_words_that_were_added_while_it_fitted_are_not_lost(tmp_path, monkeypatch) -> None:
    from sparseir.query_weights import run

    path = tmp_path / "i"
    build(path)
    choose_first = run.choose

    def choose_late(lists, qrels, **options):
        index_documents(path, None, documents(["zebra"], start=100), options=IndexingOptions(mode="add"))
        return choose_first(lists, qrels, **options)

    monkeypatch.setattr(run, "choose", choose_late)
    with pytest.raises(LockedError, match="another writer has changed the query side"):
        fit_query_weights(path, *judged())
    assert told(path, "zebra")[0] == ["d100"]
    monkeypatch.undo()
    assert fit_query_weights(path, *judged()).committed
    assert told(path, "zebra")[0] == ["d100"]


@pytest.mark.parametrize("absent", ["scipy", "ir_measures"])
def test_a_package_that_is_missing_is_said_before_the_work(tmp_path, monkeypatch, absent) -> None:
    from sparseir.query_weights import run

    monkeypatch.setattr(run, "find_spec", lambda name: None if name == absent else object())
    with pytest.raises(MissingExtraError, match=absent.replace("_", "-")):
        fit_query_weights(tmp_path / "nothing", {}, {})


def test_an_index_opened_before_a_fit_has_one_weighting(tmp_path) -> None:
    """Also where its first query comes after the fit, and the words are read only then."""
    path = tmp_path / "i"
    build(path, encoder=encoder())
    as_built = Searcher.open(path).encode_queries(["please tell cat food"]).weights.tolist()
    searcher = Searcher.open(path)
    fit_query_weights(path, *judged())
    assert searcher.encode_queries(["please tell cat food"]).weights.tolist() == as_built


@pytest.mark.parametrize("grade", [1.5, 2**31 - 1])
def test_grades_that_no_measure_takes_change_nothing(tmp_path, grade) -> None:
    generation = build(tmp_path / "i").generation
    queries, qrels = judged()
    qrels["q7"] = {"d7": grade}
    with pytest.raises(
        DataError, match=r"query 'q7' and document 'd7' are judged .* expected a whole number of at most"
    ):
        fit_query_weights(tmp_path / "i", queries, qrels)
    assert open_index(tmp_path / "i").generation == generation


def test_more_candidates_than_documents_are_all_of_them(tmp_path) -> None:
    build(tmp_path / "i")
    assert fit_query_weights(tmp_path / "i", *judged(), options=FitOptions(depth=10**9)).committed


def test_a_report_that_fails_commits_nothing(tmp_path, monkeypatch) -> None:
    from sparseir.query_weights import run

    generation = build(tmp_path / "i").generation
    monkeypatch.setattr(run, "_furthest", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        fit_query_weights(tmp_path / "i", *judged())
    assert open_index(tmp_path / "i").generation == generation


def test_the_demo_fits_where_train_and_test_are_apart(tmp_path) -> None:
    from sparseir.cli.demo import _to_fit
    from sparseir.data import open_dataset
    from tests.tiny_collections import write_collection

    folder = write_collection(tmp_path / "c", ("train", "test"))
    rows = "".join(f"q{i}\td0\t1\n" for i in range(70))
    for split, few in (("train", rows), ("test", "x\td0\t1\n")):
        (folder / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + few)
    assert _to_fit(open_dataset(folder)) == "train"
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq3\td0\t1\n")
    assert _to_fit(open_dataset(folder)) is None
