"""Mining and scoring over a prepared folder: searches, filters, parts that outlast a stop, shards, and what is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sparseir import cli
from sparseir.data.prepared.expanded import documents_of, expansions_mark
from sparseir.data.prepared.folder import Prepared
from sparseir.data.prepared.prepare import PrepareOptions, prepare
from sparseir.errors import ConfigError, DataError
from sparseir.lexical.memory import BM25
from sparseir.mining.mine import MiningFilters, mine
from sparseir.mining.nearest import ExactIndex
from sparseir.mining.parts import PartOptions, judged_queries
from sparseir.mining.score import score
from sparseir.mining.searches import DenseSearch, IndexSearch, bm25_search, index_search
from sparseir.search.searcher import Searcher
from sparseir.text_index import Index
from tests.tiny_collections import DOCUMENTS, QUERIES, write_collection, write_jsonl


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    """The tiny collection, its four positives, and documents 6 and 7 as negatives of all queries."""
    collection = write_collection(tmp_path / "c")
    rows = [{"qid": qid, "pos": [f"d{d}"], "neg": {"given": ["d6", "d7"]}} for qid, _, d in QUERIES]
    file = write_jsonl(tmp_path / "hard.jsonl", rows)
    options = PrepareOptions(
        documents=str(collection), queries=str(collection / "queries.jsonl"), pairs=(f"hard={file}",)
    )
    return prepare(tmp_path / "p", options)


class Fixed:
    """A search that finds documents 0, 1, 2 … with scores 8, 7, 6 … for every query."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def best(self, queries: Sequence[str], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        self.asked += queries
        rows = np.tile(np.arange(k), (len(queries), 1))
        rows[rows >= len(DOCUMENTS)] = -1
        return rows.astype(np.int64), (8 - np.tile(np.arange(k), (len(queries), 1))).astype(np.float32)

    def scores(self, query: str, documents: NDArray[np.int64]) -> NDArray[np.float32]:
        return (8 - documents).astype(np.float32)


def negatives(prepared: Prepared, name: str) -> list[list[int]]:
    table = prepared.table("negatives", name)
    return [table.documents(row).tolist() for row in range(len(prepared.queries))]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        # the positive of query i is document i
        ({"depth": 3}, [[1, 2], [0, 2], [0, 1], [0, 1, 2]]),
        ({"depth": 3, "skip": 1}, [[1, 2], [2], [1], [1, 2]]),
        ({"depth": 8, "most": 2}, [[1, 2], [0, 2], [0, 1], [0, 1]]),
        # positives score 8, 7, 6, 5; those of three quarters, 6, 5.25, 4.5, 3.75, and above are left out
        ({"depth": 6, "margin": 0.75}, [[3, 4, 5], [3, 4, 5], [4, 5], [5]]),
        ({"depth": 20}, [[1, 2, 3, 4, 5, 6, 7], [0, 2, 3, 4, 5, 6, 7], [0, 1, 3, 4, 5, 6, 7], [0, 1, 2, 4, 5, 6, 7]]),
    ],
)
def test_filters_by_hand(prepared: Prepared, filters: dict[str, Any], expected: list[list[int]]) -> None:
    mine(prepared, Fixed(), "m", what="fixed", filters=MiningFilters(**filters), parts=PartOptions())
    assert negatives(prepared, "m") == expected
    table = prepared.table("scores", "m")
    for query, documents in enumerate(expected):
        wanted = np.array([*documents, query])
        assert table.find(query, wanted).tolist() == (8.0 - wanted).tolist()


def test_a_margin_below_zero_is_of_the_size_of_the_score(prepared: Prepared) -> None:
    """The best positive scores −2: with .5 those from −3 on are left out, and −4 stays."""

    class Logits(Fixed):
        def best(self, queries: Sequence[str], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
            rows, _ = super().best(queries, k)
            return rows, np.tile(np.array([-2, -2.5, -3, -4], np.float32), (len(queries), 1))

        def scores(self, query: str, documents: NDArray[np.int64]) -> NDArray[np.float32]:
            return np.full(len(documents), -2, np.float32)

    found = Logits()
    mine(prepared, found, "m", what="l", filters=MiningFilters(depth=4, margin=0.5), parts=PartOptions(max_queries=1))
    assert negatives(prepared, "m") == [[3], [], [], []]


@pytest.mark.parametrize(("given", "message"), [({"skip": 5, "depth": 5}, "--skip 5"), ({"margin": 0.0}, "--margin 0")])
def test_filters_that_leave_nothing_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MiningFilters(**given)


def test_bm25_ranks_as_in_memory_and_its_index_holds_no_texts(prepared: Prepared) -> None:
    search = bm25_search(prepared, num_threads=1, language="english")
    memory = BM25(list(prepared.documents))
    texts = [text for _, text, _ in QUERIES]
    rows, scores = search.best(texts, 8)
    for text, found, given in zip(texts, rows, scores, strict=True):
        want, values = memory.search(text, 8)
        kept = found[found >= 0]
        assert set(kept.tolist()) == set(want.tolist())
        order = dict(zip(want.tolist(), values.tolist(), strict=True))
        np.testing.assert_allclose([order[row] for row in kept.tolist()], given[: len(kept)], rtol=0.02)
        np.testing.assert_allclose(search.scores(text, kept), given[: len(kept)], rtol=1e-6)
    assert search.scores("cats", np.array([2])).tolist() == [0.0]
    index = Searcher.open(prepared.path / "indexes" / "bm25-english").index
    assert not index.fields([0])[0]
    before = (prepared.path / "indexes" / "bm25-english" / "manifest.json").stat().st_mtime_ns
    bm25_search(prepared, num_threads=1, language="english")
    assert (prepared.path / "indexes" / "bm25-english" / "manifest.json").stat().st_mtime_ns == before


def test_an_index_is_searched_by_the_names_of_its_documents(prepared: Prepared, tmp_path: Path) -> None:
    rows = [{"_id": f"d{i}", "text": prepared.documents[i]} for i in reversed(range(len(DOCUMENTS)))]
    Index.build(tmp_path / "i", rows).close()
    search = index_search(prepared, tmp_path / "i", model=None, num_threads=1)
    ours = bm25_search(prepared, num_threads=1, language="english")
    for (a, x), (b, y) in zip(
        zip(*search.best(["cats dogs"], 4), strict=True), zip(*ours.best(["cats dogs"], 4), strict=True), strict=True
    ):
        assert set(a.tolist()) == set(b.tolist())
        np.testing.assert_allclose(np.sort(x), np.sort(y))
    assert search.scores("cats", np.array([6])) > 0
    Index.build(tmp_path / "other", [{"_id": "x", "text": "cats"}]).close()
    with pytest.raises(DataError, match="holds 'x', which is not among the documents of this folder"):
        IndexSearch(Searcher.open(tmp_path / "other"), prepared.documents).best(["cats"], 1)


class Letters:
    """Embeds a text as how often it has each letter."""

    dimensions = 26

    def __init__(self) -> None:
        self.count = 0

    def embed(self, texts: Sequence[str], **_: Any) -> NDArray[np.float32]:
        self.count += len(texts)
        return np.array([[text.count(chr(97 + i)) for i in range(26)] for text in texts], np.float32)


@pytest.mark.parametrize("block", [1, 3, 100])
def test_dense_search_in_blocks_is_the_whole_product(prepared: Prepared, tmp_path: Path, block: int) -> None:
    letters = Letters()
    search = DenseSearch(prepared.documents, letters, tmp_path / "v", block=block)
    texts = [text for _, text, _ in QUERIES]
    want = letters.embed(texts) @ letters.embed(list(prepared.documents)).T
    rows, scores = search.best(texts, 5)
    order = np.argsort(-want, axis=1, kind="stable")[:, :5]
    np.testing.assert_array_equal(scores, np.take_along_axis(want, order, 1))
    np.testing.assert_array_equal(np.take_along_axis(want, rows, 1), scores)
    np.testing.assert_array_equal(search.scores(texts[1], np.array([7, 0, 3])), want[1, [7, 0, 3]])
    again = Letters()
    DenseSearch(prepared.documents, again, tmp_path / "v", block=block)
    assert again.count == 0  # what is on disk is not embedded again
    np.save(tmp_path / "v" / "vectors-000000.npy", np.zeros((1, 2), np.float16))
    with pytest.raises(DataError, match=r"expected float16 \(\d, 26\); remove it"):
        search.best(texts, 2)
    np.save(tmp_path / "v" / "vectors-000000.npy", np.array([print], object), allow_pickle=True)
    with pytest.raises(DataError, match="no part of embeddings"):
        search.best(texts, 2)


@pytest.mark.parametrize(("count", "k"), [(300, 3), (2, 9), (1, 1)])
@pytest.mark.parametrize("by", ["numpy", "faiss"])
def test_exact_search_of_vectors(count: int, k: int, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Integers, so that many scores are equal: hits of one score come by rising row."""
    if by == "faiss":
        pytest.importorskip("faiss")
    else:
        monkeypatch.setattr("sparseir.mining.nearest._faiss_index", lambda _: None)
    rng = np.random.default_rng(0)
    vectors, queries = (rng.integers(-4, 5, (n, 5)).astype(np.float32) for n in (9, count))
    index = ExactIndex(vectors)
    assert (index._index is not None) == (by == "faiss")
    rows, scores = index.best(queries, k)
    want = queries @ vectors.T
    np.testing.assert_array_equal(scores, -np.sort(-want, axis=1)[:, :k])
    np.testing.assert_array_equal(np.take_along_axis(want, rows, 1), scores)
    assert ((np.diff(rows, axis=1) > 0) | (np.diff(scores, axis=1) < 0)).all()


def test_a_stopped_run_makes_the_parts_that_are_missing_and_others_are_refused(prepared: Prepared) -> None:
    def stop(stage: str, done: int, total: int | None) -> None:
        if done == 2:
            raise KeyboardInterrupt

    parts = PartOptions(size=1)
    filters = MiningFilters(depth=3)
    with pytest.raises(KeyboardInterrupt):
        mine(prepared, Fixed(), "m", what="fixed", filters=filters, parts=parts, progress=stop)
    going_on = PartOptions(size=1, resume=True)
    with pytest.raises(ConfigError, match="its parts were made with another search, depth"):
        mine(prepared, Fixed(), "m", what="other", filters=MiningFilters(depth=4), parts=going_on)
    search = Fixed()
    made = mine(prepared, search, "m", what="fixed", filters=filters, parts=going_on)
    assert search.asked == ["heat of a wing", "boundary layer"]
    assert made == {"negatives.m": 9, "scores.m": 13}
    assert not (prepared.path / "work" / "m").exists()
    with pytest.raises(ConfigError, match=r"has negatives\.m and scores\.m already; give another --name"):
        mine(prepared, search, "m", what="fixed", filters=filters, parts=parts)


def test_shares_are_joined_by_the_one_that_finds_all_of_them(prepared: Prepared) -> None:
    filters = MiningFilters(depth=3)
    first = PartOptions(size=1, shard=(1, 2))
    assert mine(prepared, Fixed(), "m", what="fixed", filters=filters, parts=first) is None
    with pytest.raises(ConfigError, match="say --resume"):
        mine(prepared, Fixed(), "m", what="fixed", filters=filters, parts=PartOptions(size=1, shard=(2, 2)))
    second = PartOptions(size=1, shard=(2, 2), resume=True)
    assert mine(prepared, Fixed(), "m", what="fixed", filters=filters, parts=second) is not None
    mine(prepared, Fixed(), "whole", what="fixed", filters=filters, parts=PartOptions())
    assert negatives(prepared, "m") == negatives(prepared, "whole")


class Lengths:
    """Scores a pair as 100 · the query's length + the document's."""

    def __init__(self, wrong: str | None = None) -> None:
        self.wrong = wrong

    def scores(self, queries: Sequence[str], documents: Sequence[str], pairs: NDArray[np.int64]) -> NDArray[np.float32]:
        out = [np.nan if documents[d] == self.wrong else 100 * len(queries[q]) + len(documents[d]) for q, d in pairs]
        return np.array(out, np.float32)


@pytest.mark.parametrize("size", [1, 3, 100])
def test_scores_are_of_positives_and_negatives(prepared: Prepared, size: int) -> None:
    made = score(prepared, Lengths(), "l", what="lengths", parts=PartOptions(size=size))
    assert made == {"scores.l": 12}
    table = prepared.table("scores", "l")
    for row, (_, text, positive) in enumerate(QUERIES):
        documents = np.array([positive, 6, 7])
        want = [100 * len(text) + len(prepared.documents[int(d)]) for d in documents]
        assert table.find(row, documents).tolist() == want
        assert np.isnan(table.find(row, np.array([5]))).all()


def test_a_score_that_is_no_number_and_tables_that_are_not_there_are_refused(prepared: Prepared) -> None:
    with pytest.raises(DataError, match="gives nan for query 'q0' and document 'd6'"):
        score(prepared, Lengths(prepared.documents[6]), "l", what="lengths", parts=PartOptions())
    with pytest.raises(DataError, match=r"has no negatives 'bm25' \(found: given\)"):
        score(prepared, Lengths(), "k", what="lengths", parts=PartOptions(), negatives=("bm25",))


def test_queries_without_positives_are_not_worked_on(prepared: Prepared, tmp_path: Path) -> None:
    assert judged_queries(prepared).tolist() == [0, 1, 2, 3]
    assert judged_queries(prepared, 2.0).tolist() == []
    bare = prepare(
        tmp_path / "bare", PrepareOptions(documents=str(tmp_path / "c"), queries=str(tmp_path / "c" / "queries.jsonl"))
    )
    with pytest.raises(DataError, match="no query has a positive; read judgements first"):
        mine(bare, Fixed(), "m", what="fixed", filters=MiningFilters(), parts=PartOptions())


def test_the_command_mines_and_says_what_it_made(prepared: Prepared, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["mine", str(prepared.path), "--bm25", "--depth", "5", "--threads", "1", "--json", "-q"]) == 0
    out = json.loads(capsys.readouterr().out)
    assert (out["complete"], set(out["tables"])) == (True, {"negatives.bm25", "scores.bm25"})
    assert cli.run(["mine", str(prepared.path)]) == 2
    assert cli.run(["mine", str(prepared.path), "--bm25", "--skip", "200"]) == 2
    assert cli.run(["mine", str(prepared.path), "--bm25"]) == 1
    assert "already" in capsys.readouterr().err
    assert cli.run(["mine", str(prepared.path / "nowhere"), "--bm25"]) == 1
    assert cli.run(["score", str(prepared.path)]) == 2


def test_teachers_score_pairs_as_they_score_batches(prepared: Prepared, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from sparseir.config.data import DataConfig
    from sparseir.config.loss import LossConfig
    from sparseir.config.model import ModelConfig
    from sparseir.mining.scorers import open_scorer
    from sparseir.models import SparseEncoder
    from sparseir.train.material.collection import TrainingSet
    from sparseir.train.material.teachers import load_teacher
    from tests.tiny_models import save_cross_encoder, save_masked_lm

    base = save_masked_lm(tmp_path / "base")
    SparseEncoder.from_config(ModelConfig(base=str(base), kind="splade"), device="cpu").save(tmp_path / "sparse")
    models = {
        "cross_encoder": save_cross_encoder(tmp_path / "cross"),
        "dense": base,
        "sparse": tmp_path / "sparse",
    }
    training = TrainingSet.read(DataConfig(dataset=str(tmp_path / "c")))
    places = list(range(len(DOCUMENTS)))
    pairs = np.array([(q, d) for q in range(len(QUERIES)) for d in places])
    for kind, model in models.items():
        teacher = load_teacher(f"{kind}:{model}", training, LossConfig(), device="cpu")
        want = teacher.scores(training.queries, places)
        scorer = open_scorer(kind, str(model), max_length=256, batch_size=4, device="cpu")
        got = scorer.scores([q.text for q in training.queries], training.texts, pairs)
        np.testing.assert_allclose(got.reshape(want.shape), want, rtol=0.05, atol=0.05)  # bfloat16


@pytest.fixture
def expanded(prepared: Prepared, tmp_path: Path) -> Prepared:
    """The same folder with expansions of two documents: "zeppelin" is in no text, "cats" in the first already."""
    rows = [
        {"id": "d6", "predicted_queries": ["zeppelin cats"]},
        {"id": "d0", "predicted_queries": ["what cats zeppelin"]},
    ]
    file = write_jsonl(tmp_path / "x.jsonl", rows)
    collection = tmp_path / "c"
    options = PrepareOptions(
        documents=str(collection), queries=str(collection / "queries.jsonl"), expansions=str(file), resume=True
    )
    return prepare(tmp_path / "p", options)


def test_bm25_over_expansions_is_that_of_the_training_loop(expanded: Prepared, tmp_path: Path) -> None:
    """In an index of its own, which stands beside that of the texts and is made again for other expansions."""
    from sparseir.config.data import DataConfig
    from sparseir.train.material.collection import TrainingSet

    texts = TrainingSet.read(
        DataConfig(dataset=str(tmp_path / "c"), expansions=str(tmp_path / "x.jsonl")), expanded=True
    ).texts
    assert list(documents_of(expanded, expanded=True)) == texts
    plain, search = (bm25_search(expanded, num_threads=1, language="english", expanded=on) for on in (False, True))
    assert plain.best(["zeppelin"], 4)[0].tolist() == [[-1, -1, -1, -1]]
    for text in ("zeppelin", "cats", QUERIES[0][1]):
        rows, scores = search.best([text], 8)
        want, values = BM25(texts).search(text, 8)
        kept = rows[0][rows[0] >= 0]
        known = dict(zip(want.tolist(), values.tolist(), strict=True))
        assert set(kept.tolist()) == set(want.tolist())
        np.testing.assert_allclose([known[row] for row in kept.tolist()], scores[0][: len(kept)], rtol=0.02)
    folder = expanded.path / "indexes"
    assert sorted(p.name for p in folder.iterdir()) == ["bm25-english", "bm25-english-expanded"]
    before = (folder / "bm25-english-expanded" / "manifest.json").read_bytes()
    bm25_search(expanded, num_threads=1, language="english", expanded=True)
    assert (folder / "bm25-english-expanded" / "manifest.json").read_bytes() == before
    assert Searcher.open(folder / "bm25-english-expanded").index.manifest.source == (
        expanded.stores + expansions_mark(expanded)
    )


@pytest.mark.parametrize("kind", ["cross_encoder", "dense", "sparse"])
def test_teachers_read_expansions_as_those_of_the_training_loop(kind: str, expanded: Prepared, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from sparseir.config.data import DataConfig
    from sparseir.config.loss import LossConfig
    from sparseir.config.model import ModelConfig
    from sparseir.mining.scorers import open_scorer
    from sparseir.models import SparseEncoder
    from sparseir.train.material.collection import TrainingSet
    from sparseir.train.material.teachers import load_teacher
    from tests.tiny_models import save_cross_encoder, save_masked_lm

    base = save_masked_lm(tmp_path / "base")
    SparseEncoder.from_config(ModelConfig(base=str(base), kind="splade"), device="cpu").save(tmp_path / "sparse")
    model = {"cross_encoder": save_cross_encoder(tmp_path / "cross"), "dense": base, "sparse": tmp_path / "sparse"}[
        kind
    ]
    data = DataConfig(dataset=str(tmp_path / "c"), expansions=str(tmp_path / "x.jsonl"))
    training = TrainingSet.read(data, expanded=True, separator=" [SEP] ")
    scorer = open_scorer(kind, str(model), max_length=64, batch_size=4, device="cpu")
    for on in (False, True):
        score(expanded, scorer, f"t{on}", what=kind, parts=PartOptions(), expanded=on)
    loss = LossConfig(teachers=(f"{kind}:{model}",), teacher_length=64, info_nce=1.0, kl=1.0)
    teacher = load_teacher(f"{kind}:{model}", training, loss, device="cpu")
    live = teacher.scores(training.queries, list(range(len(DOCUMENTS))))
    table, without = (expanded.table("scores", name) for name in ("tTrue", "tFalse"))
    for row, (_, _, positive) in enumerate(QUERIES):
        documents = np.array([positive, 6, 7])
        np.testing.assert_allclose(table.find(row, documents), live[row, documents], rtol=3e-2, atol=3e-2)
        assert table.find(row, np.array([7])) == pytest.approx(without.find(row, np.array([7])), rel=3e-2, abs=3e-2)
    assert not np.allclose(table.find(0, np.array([0, 6])), without.find(0, np.array([0, 6])), rtol=1e-3)


def test_results_with_expansions_are_told_from_others(
    expanded: Prepared, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By their names, by what the tables say they are made of, and by parts that others do not take up."""
    folder, mark = str(expanded.path), expansions_mark(expanded)
    mine_it = ["mine", folder, "--bm25", "--depth", "5", "--threads", "1", "-q"]
    assert cli.run(mine_it) == 0
    assert cli.run([*mine_it, "--expanded"]) == 0
    made_of = {name: table["made_of"] for name, table in Prepared(folder).summary()["tables"].items()}
    assert made_of["negatives.bm25"] == made_of["scores.bm25"] == "bm25 english"
    assert made_of["negatives.bm25-expanded"] == made_of["scores.bm25-expanded"] == f"bm25 english{mark}"
    assert re.fullmatch(r" with expansions [0-9a-f]{8}", mark)
    assert cli.run(["data", "inspect", folder]) == 0
    assert f"bm25 english{mark}" in capsys.readouterr().out
    half = [*mine_it, "--name", "half", "--part", "1", "--shard"]
    assert cli.run([*half, "1/2"]) == 0
    assert cli.run([*half, "2/2", "--resume", "--expanded"]) == 1
    assert "its parts were made with another search; give the same" in capsys.readouterr().err
    score(expanded, Lengths(), "s", what="lengths", parts=PartOptions(size=1, shard=(1, 2)), negatives=("given",))
    parts = PartOptions(size=1, shard=(2, 2), resume=True)
    with pytest.raises(ConfigError, match="its parts were made with another teacher"):
        score(expanded, Lengths(), "s", what="lengths", parts=parts, negatives=("given",), expanded=True)
    score(expanded, Lengths(), "e", what="lengths", parts=PartOptions(), negatives=("given",), expanded=True)
    table, text = Prepared(folder).table("scores", "e"), "d6"
    assert table.described["made_of"] == f"lengths{mark}"
    row = int(expanded.documents.rows([text])[0])
    longer = len(documents_of(expanded, expanded=True)[row]) - len(expanded.documents[row])
    assert longer == len(" zeppelin")  # it says cats itself
    assert table.find(0, np.array([row])).tolist() == [100 * len(QUERIES[0][1]) + len(expanded.documents[row]) + longer]
    assert cli.run(["mine", folder, "--index", str(tmp_path), "--expanded"]) == 2
    assert "an index has what it was built of" in capsys.readouterr().err


def test_dense_vectors_with_expansions_are_kept_apart(
    expanded: Prepared, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from sparseir.models.networks.dense import DenseEmbedder
    from tests.tiny_models import save_masked_lm

    base = save_masked_lm(tmp_path / "base")
    command = ["mine", str(expanded.path), "--dense", str(base), "--depth", "4", "--device", "cpu", "-q"]
    assert cli.run(command) == 0
    assert cli.run([*command, "--expanded"]) == 0
    mark = expansions_mark(expanded).rpartition(" ")[2]
    folder = expanded.path / "indexes"
    assert sorted(p.name for p in folder.iterdir()) == ["dense-base-256", f"dense-base-256-expanded-{mark}"]
    assert Prepared(expanded.path).names("negatives") == ["base", "base-expanded", "given"]
    kept = np.load(folder / f"dense-base-256-expanded-{mark}" / "vectors-000000.npy")
    embedder = DenseEmbedder(str(base), max_length=256, device="cpu", bf16=True)
    np.testing.assert_allclose(kept, embedder.embed(list(documents_of(expanded, expanded=True))), rtol=2e-2, atol=2e-2)
    capsys.readouterr()


def test_a_folder_without_expansions_says_so(prepared: Prepared, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["mine", str(prepared.path), "--bm25", "--expanded", "-q"]) == 1
    assert "has no expansions to read with its documents" in capsys.readouterr().err
    with pytest.raises(DataError, match="has no expansions"):
        score(prepared, Lengths(), "l", what="lengths", parts=PartOptions(), expanded=True)
