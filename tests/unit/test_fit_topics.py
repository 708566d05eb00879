"""Fits that are held against queries about other things than those judged, and what is under way when somebody interrupts."""

from __future__ import annotations

import json
import time
from threading import Event

import numpy as np
import pytest

sparse = pytest.importorskip("scipy.sparse", reason="the extra 'index' is not installed")
pytest.importorskip("ir_measures", reason="the extra 'evaluate' is not installed")

from sparseir.cli import run as run_command  # noqa: E402
from sparseir.config.lexical import LexicalConfig  # noqa: E402
from sparseir.encode.indexing import index_documents  # noqa: E402
from sparseir.encode.options import IndexingOptions  # noqa: E402
from sparseir.errors import ConfigError, DataError  # noqa: E402
from sparseir.evaluate.options import EvaluationOptions  # noqa: E402
from sparseir.query_weights import FitOptions, fit_query_weights  # noqa: E402
from sparseir.query_weights.added import Pairs, WordAdder  # noqa: E402
from sparseir.query_weights.choice import _of_each, choose, try_on_topics  # noqa: E402
from sparseir.query_weights.lists import CandidateLists, DocumentRows  # noqa: E402
from sparseir.query_weights.ridge import Stopped, fit_ridge, unfitted  # noqa: E402
from sparseir.query_weights.topics import topic_halves  # noqa: E402
from tests.lexical_cases import documents  # noqa: E402


def lists_about(topics: np.ndarray, seed: int = 7) -> CandidateLists:
    """Of two candidates, term 0 marks the relevant one in topics 0 and 1, and the other in topics 2 and 3; term 1 is a hint."""
    rng, count = np.random.default_rng(seed), len(topics)
    relevance = np.tile([1.0, 0.0], count)
    marked = np.where(np.repeat(topics < 2, 2), relevance, 1 - relevance)
    parts = np.stack([marked, rng.normal(relevance, 1.0).clip(0)], axis=1).astype(np.float32)
    return CandidateLists(
        tuple(f"q{i}" for i in range(count)),
        np.arange(0, 2 * count + 1, 2),
        sparse.csr_matrix(parts),
        relevance,
        tuple(f"d{i}" for i in range(2 * count)),
        np.arange(2 * count),
        sparse.csr_matrix(np.ones((count, 2), np.float32)),
    )


def own_documents(lists: CandidateLists) -> dict[str, dict[str, int]]:
    return {qid: {f"d{2 * i}": 1} for i, qid in enumerate(lists.qids)}


@pytest.mark.parametrize("seed", range(5))
def test_topics_are_the_clouds_that_documents_make(seed: int) -> None:
    """Each of two clouds has words of its own beside words of all; which half comes first is no matter of chance."""
    rng = np.random.default_rng(0)
    clouds = rng.permutation(np.repeat(np.arange(2), [45, 55]))
    weights = (rng.uniform(size=(100, 60)) * (rng.uniform(size=(100, 60)) < 0.2)).astype(np.float32)
    for i, cloud in enumerate(clouds):
        weights[i, 10 * cloud : 10 * cloud + 10] += 3
    parts = topic_halves(sparse.csr_matrix(weights), seed=seed)
    assert sorted(np.concatenate(parts).tolist()) == list(range(100))
    assert [len(part) for part in parts] == [50, 50]
    assert min(len(np.unique(clouds[part])) for part in parts) == 1
    assert [part.tolist() for part in parts] == [p.tolist() for p in topic_halves(sparse.csr_matrix(weights), seed=9)]


def test_queries_for_one_document_stay_together() -> None:
    rng = np.random.default_rng(1)
    asked = rng.permutation(np.repeat(np.arange(5), [60, 20, 20, 20, 3]))
    rows = np.eye(5, 8)[asked]
    first, second = topic_halves(sparse.csr_matrix(rows.astype(np.float32)), seed=0)
    assert not set(asked[first]) & set(asked[second])
    assert sorted(np.concatenate([first, second]).tolist()) == list(range(123))


@pytest.mark.parametrize("weights", [np.ones((30, 4)), np.zeros((30, 4))])
def test_documents_that_are_alike_are_one_topic(weights: np.ndarray) -> None:
    (every,) = topic_halves(sparse.csr_matrix(weights.astype(np.float32)), seed=0)
    assert every.tolist() == list(range(30))


def test_topics_are_told_by_queries_for_documents_of_their_own() -> None:
    """Where there are enough of these: others only show that the documents asked for are asked for again."""
    topics = np.tile([0, 1], 100)
    lists = lists_about(topics)
    parts = [np.flatnonzero(topics == topic) for topic in (0, 1)]
    for shared, counted in ((40, 160), (180, 200)):  # of 200; 20 unshared ones are too few to tell
        qrels = {q: {"same" if i < shared else f"d{2 * i}": 1} for i, q in enumerate(lists.qids)}
        chosen = choose(lists, qrels, seed=0, topics=parts)
        assert len(chosen.held_out) == counted
        assert {int(q[1:]) >= shared for q in chosen.held_out.qids} == ({True} if counted == 160 else {True, False})


def test_what_holds_for_the_topics_judged_is_not_fitted_where_others_are_asked_for() -> None:
    """Three of four topics that are judged want term 0; the other one wants the opposite, as does the topic nobody judged."""
    topics = np.tile([0, 1, 0, 2], 100)
    lists = lists_about(topics)
    qrels = own_documents(lists)
    drawn = choose(lists, qrels, seed=0)
    assert drawn.strength < np.inf
    assert drawn.loss_after.mean() < drawn.loss_before.mean()
    parts = [np.flatnonzero(topics == topic) for topic in (0, 2)]
    told = try_on_topics(lists, qrels, parts, drawn)
    assert (told.strength, told.added_strength) == (drawn.strength, np.inf)
    assert told.held_out.qids == tuple(f"q{i}" for part in parts for i in part)
    assert told.loss_after[200:].mean() > told.loss_before[200:].mean()  # topic 2, told by what the others want
    chosen = choose(lists, qrels, seed=0, topics=[parts[1]])
    assert chosen.strength == np.inf
    assert chosen.after.tolist() == chosen.before.tolist()


def zoo() -> tuple[list[str], dict[str, str], dict[str, dict[str, int]]]:
    animals = ["cat", "dog", "horse", "goat", "sheep", "cow", "hen", "duck", "goose", "pig"]
    texts = [f"{animal} {topic}" for animal in animals for topic in ("food", "age", "price", "name")]
    asked = {f"q{i}": f"please tell {text}" for i, text in enumerate(texts)}
    return [*texts, *["please tell"] * 3], asked, {f"q{i}": {f"d{i}": 1} for i in range(len(texts))}


@pytest.mark.parametrize("shards", [1, 2])
def test_a_report_says_what_a_fit_is_worth_elsewhere(tmp_path, shards) -> None:
    """All animals want less of "please tell", so it helps those that were held out as a topic too."""
    texts, asked, qrels = zoo()
    options = IndexingOptions(lexical=LexicalConfig(), **({} if shards == 1 else {"shards": shards}))
    reports = {}
    for hold_out in ("queries", "topics"):
        index_documents(tmp_path / hold_out, None, documents(texts), options=options)
        reports[hold_out] = fit_query_weights(tmp_path / hold_out, asked, qrels, options=FitOptions(hold_out=hold_out))
    for report in reports.values():
        assert report.committed
        assert report.other_topics.queries == 40
        assert report.other_topics.ndcg_after > report.other_topics.ndcg_before + 0.1
    assert reports["topics"].other_topics == reports["topics"].held_out
    assert reports["queries"].other_topics != reports["queries"].held_out


def fitting(folder, asked: dict[str, str], qrels: dict[str, dict[str, int]]) -> list[str]:
    """The command that fits the index i to judgements in files."""
    (folder / "q.tsv").write_text("".join(f"{qid}\t{text}\n" for qid, text in asked.items()))
    (folder / "r").write_text("".join(f"{qid} 0 {docno} 1\n" for qid in qrels for docno in qrels[qid]))
    return ["index", "fit", str(folder / "i"), "--queries", str(folder / "q.tsv"), "--qrels", str(folder / "r")]


def test_from_the_command_line(tmp_path, capsys) -> None:
    texts, asked, qrels = zoo()
    index_documents(tmp_path / "i", None, documents(texts), options=IndexingOptions(lexical=LexicalConfig()))
    command = fitting(tmp_path, asked, qrels)
    assert run_command([*command, "--hold-out", "weeks"]) == 2
    assert "hold_out: expected one of queries, topics, found 'weeks'" in capsys.readouterr().err
    assert run_command([*command, "--hold-out", "topics"]) == 0
    shown = capsys.readouterr().out
    assert "held out, about other things than the fitted ones (40 queries): nDCG@10" in shown
    assert "held out (40" not in shown
    assert run_command([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["other_topics"]["queries"] == 40


def test_queries_for_one_document_have_no_other_topic(tmp_path, capsys) -> None:
    index_documents(tmp_path / "i", None, documents(["cat food", "dog food"]))
    asked = {f"q{i}": "cat food" for i in range(30)}
    qrels = {qid: {"d0": 1} for qid in asked}
    assert fit_query_weights(tmp_path / "i", asked, qrels).other_topics is None
    with pytest.raises(DataError, match="none is about other things"):
        fit_query_weights(tmp_path / "i", asked, qrels, options=FitOptions(hold_out="topics"))


def test_a_loss_elsewhere_is_said(tmp_path, capsys) -> None:
    """Cats want their food, dogs their price: what is learnt of the one is wrong for the other."""
    pets = [*(f"cat {i}" for i in "abcdefghijklmnopqrst"), *(f"dog {i}" for i in "abcdefghijklmnopqrst")]
    texts = [f"{pet} {word}" for pet in pets for word in ("food", "price")]
    index_documents(tmp_path / "i", None, documents(texts))
    asked = {f"q{i}": f"{pet} food price" for i, pet in enumerate(pets)}
    wanted = {f"q{i}": {f"d{2 * i + (i >= 20)}": 1} for i in range(40)}
    command = fitting(tmp_path, asked, wanted)
    assert run_command(command) == 0
    shown = capsys.readouterr()
    assert "other things than those judged lose; if there will be such, fit with --hold-out topics" in shown.err
    assert run_command([*command, "--hold-out", "topics"]) == 0
    assert "the index is as it was" in capsys.readouterr().err


def test_evaluations_take_what_a_fit_is_held_against() -> None:
    assert EvaluationOptions(fit="train", fit_hold_out="topics").fit_hold_out == "topics"
    with pytest.raises(ConfigError, match="fit-hold-out"):
        EvaluationOptions(fit="train", fit_hold_out="weeks")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="nothing is fitted"):
        EvaluationOptions(fit_hold_out="topics")


@pytest.mark.parametrize("ended_by", [KeyboardInterrupt, ValueError])
@pytest.mark.parametrize("which", [0, 2])
def test_parts_under_way_stop_when_one_ends_or_somebody_interrupts(ended_by, which) -> None:
    """The others would go on for ever otherwise, whichever is waited for first."""
    lists = lists_about(np.tile([0, 1], 20))
    start = unfitted(lists)
    stopped = []

    def work(part, stop: Event) -> None:
        if part == which:
            time.sleep(0.05)
            raise ended_by
        try:
            while True:
                fit_ridge(lists, start, 1.0, stop=stop)
        except Stopped:
            stopped.append(part)
            raise

    with pytest.raises(ended_by):
        _of_each([0, 1, 2], work, 3)  # type: ignore[list-item]
    assert sorted(stopped) == [part for part in (0, 1, 2) if part != which]


def test_looking_for_words_stops_too() -> None:
    lists = lists_about(np.tile([0, 1], 20))
    adder = WordAdder(DocumentRows(np.arange(80), sparse.csr_matrix(np.eye(80, 2, dtype=np.float32))), np.ones(2), 3)
    stop = Event()
    assert isinstance(adder.pairs(lists, unfitted(lists), stop), Pairs)
    stop.set()
    with pytest.raises(Stopped):
        adder.pairs(lists, unfitted(lists), stop)
    with pytest.raises(Stopped):
        adder.extended(lists, Pairs(np.array([0]), np.array([1])), stop)
