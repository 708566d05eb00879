"""`sparseir index fit`: judged queries in, other query weights out; refusals that change nothing."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("scipy", reason="the extra 'index' is not installed")
pytest.importorskip("ir_measures", reason="the extra 'evaluate' is not installed")

from tests.integration.test_text_chain import sparseir
from tests.tiny_collections import write_jsonl

ANIMALS = ["cat", "dog", "horse", "goat", "sheep", "cow", "hen", "duck", "goose", "pig"]
TEXTS = [f"{animal} {topic}" for animal in ANIMALS for topic in ("food", "age", "price", "name")]


@pytest.fixture
def collection(tmp_path):
    folder = tmp_path / "zoo"
    (folder / "qrels").mkdir(parents=True)
    texts = [*TEXTS, "please tell", "please tell", "tell please"]
    write_jsonl(folder / "corpus.jsonl", [{"_id": f"d{i}", "text": text} for i, text in enumerate(texts)])
    write_jsonl(folder / "queries.jsonl", [{"_id": f"q{i}", "text": f"please tell {t}"} for i, t in enumerate(TEXTS)])
    rows = "".join(f"q{i}\td{i}\t1\n" for i in range(len(TEXTS)))
    (folder / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n" + rows)
    sparseir("index", "build", tmp_path / "i", "--bm25", "--corpus", folder)
    return folder


def first(index) -> str:
    return json.loads(sparseir("search", index, "please tell cat food", "-k", "1", "--json").stdout)["docno"]


def test_from_judgements_to_other_weights_and_back(collection, tmp_path):
    index = tmp_path / "i"
    assert first(index) == "d40"
    said = sparseir("index", "fit", index, collection).stdout.splitlines()
    assert said[0].startswith(f"{index}: 40 judged queries, ridge 0.")
    assert said[1].startswith("held out (40 queries): nDCG@10 ")
    assert said[2].startswith("… that ask for documents no fitted query asks for (40 queries)")
    assert said[3].startswith("held out, about other things than the fitted ones (40 queries): nDCG@10 ")
    assert said[5].startswith("lowered: ")
    assert "pleas 0" in said[5]
    assert said[6] == f"committed as generation 2; sparseir index fit {index} --undo takes it back"
    assert first(index) == "d0"
    sparseir("index", "verify", index)
    assert sparseir("index", "fit", index, "--undo").stdout == f"{index}: query weights as built\n"
    assert first(index) == "d40"
    assert sparseir("index", "fit", index, "--undo").stdout == f"{index}: nothing was fitted\n"


def test_files_of_queries_and_judgements_do_as_well(collection, tmp_path):
    (tmp_path / "clicks.qrels").write_text("".join(f"q{i} 0 d{i} 1\n" for i in range(len(TEXTS))))
    (tmp_path / "q.tsv").write_text("".join(f"q{i}\tplease tell {t}\n" for i, t in enumerate(TEXTS)))
    done = sparseir(
        "index", "fit", tmp_path / "i", "--queries", tmp_path / "q.tsv", "--qrels", tmp_path / "clicks.qrels", "--json"
    )
    found = json.loads(done.stdout)
    assert (found["committed"], found["queries"], found["generation"]) == (True, 40, 2)
    assert found["held_out"]["loss_after"] < found["held_out"]["loss_before"]
    assert found["strength"] > 0
    undone = json.loads(sparseir("index", "fit", tmp_path / "i", "--undo", "--json").stdout)
    assert (undone["undone"], undone["generation"]) == (True, 3)


def test_judgements_that_say_nothing_change_nothing(collection, tmp_path):
    """Queries of one word, whose documents all have the same score, of which one is relevant."""
    (tmp_path / "q.tsv").write_text("".join(f"q{i}\t{text.split()[0]}\n" for i, text in enumerate(TEXTS)))
    (tmp_path / "qrels").write_text("".join(f"q{i} 0 d{i} 1\n" for i in range(len(TEXTS))))
    given = ["index", "fit", tmp_path / "i", "--queries", tmp_path / "q.tsv", "--qrels", tmp_path / "qrels"]
    assert "no better for other weights: the index is as it was" in sparseir(*given).stderr
    found = json.loads(sparseir(*given, "--json").stdout)
    assert (found["committed"], found["strength"], found["generation"]) == (False, None, 1)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["i"], 2, "give a collection with judgements, or --queries FILE and --qrels FILE"),
        (
            ["i", "zoo", "--queries", "q.tsv"],
            2,
            "give a collection with judgements, or --queries FILE and --qrels FILE",
        ),
        (["i", "--queries", "q.tsv"], 2, "give a collection with judgements, or --queries FILE and --qrels FILE"),
        (["i", "zoo", "--undo"], 2, "--undo needs no judgements"),
        (["i", "zoo", "--depth", "1"], 2, "--depth"),
        (["i", "zoo", "--seed", "-1"], 2, "--seed"),
        (["i", "zoo", "--split", "test"], 1, "test"),
        (["nowhere", "zoo"], 1, "does not exist"),
        (["i", "--queries", "few.tsv", "--qrels", "few.qrels"], 1, "1 of 1 queries have relevant documents"),
        (["i", "--queries", "few.tsv", "--qrels", "bad.qrels"], 1, "bad.qrels:1"),
    ],
)
def test_what_cannot_be_fitted(collection, tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "few.tsv").write_text("q0\tcat food\n")
    (tmp_path / "few.qrels").write_text("q0 0 d0 1\n")
    (tmp_path / "bad.qrels").write_text("q0 0 d0 one\n")
    said = sparseir("index", "fit", *arguments, code=code).stderr
    assert message in said
    assert "Traceback" not in said
    assert json.loads(sparseir("index", "inspect", tmp_path / "i", "--json").stdout)["generation"] == 1
