"""`--expand MODEL`: words of a dense model in indexes that are built, grown, searched and judged from the command line."""

from __future__ import annotations

import json

import pytest

from indexer import open_index
from sparseir import Index
from sparseir.encode.words.stream import stored_channel
from sparseir.errors import ConfigError
from tests.integration.test_text_chain import sparseir
from tests.tiny_collections import write_collection, write_jsonl
from tests.tiny_models import save_masked_lm

pytest.importorskip("torch", reason="the extra 'train' is not installed")


@pytest.fixture(scope="module")
def dense(tmp_path_factory):
    return save_masked_lm(tmp_path_factory.mktemp("dense") / "model")


def hits(index, query):
    return [json.loads(line) for line in sparseir("search", index, query, "--json").stdout.splitlines()]


def test_an_index_is_built_searched_and_grown(tmp_path, dense):
    collection = write_collection(tmp_path / "tiny", ("test",))
    for name, more in (("plain", ()), ("words", ("--expand", dense))):
        sparseir("index", "build", tmp_path / name, "--bm25", "--corpus", collection, *more)
    plain, words = open_index(tmp_path / "plain"), open_index(tmp_path / "words")
    assert words.num_postings > plain.num_postings
    assert stored_channel(tmp_path / "words").config.expansion_model == str(dense)
    found = {name: {hit["docno"] for hit in hits(tmp_path / name, "cats")} for name in ("plain", "words")}
    assert found["plain"] <= found["words"]  # what an untrained model finds near others may rank before
    assert found["plain"]
    more = write_jsonl(tmp_path / "more.jsonl", [{"id": "new", "text": "cats and a zebra"}])
    sparseir("index", "add", tmp_path / "words", "--corpus", more)
    assert [hit["docno"] for hit in hits(tmp_path / "words", "zebra")] == ["new"]
    sparseir("index", "verify", tmp_path / "words")


def test_a_model_that_is_gone_when_documents_are_added(tmp_path, dense):
    collection = write_collection(tmp_path / "tiny", ("test",))
    moved = save_masked_lm(tmp_path / "here")
    sparseir("index", "build", tmp_path / "words", "--bm25", "--corpus", collection, "--expand", moved)
    moved.rename(tmp_path / "there")
    more = write_jsonl(tmp_path / "more.jsonl", [{"id": "new", "text": "cats and a zebra"}])
    refused = sparseir("index", "add", tmp_path / "words", "--corpus", more, code=1)
    assert str(moved) in refused.stderr
    assert "Traceback" not in refused.stderr
    assert open_index(tmp_path / "words").num_docs == open_index(tmp_path / "words").num_stored


def test_evaluate_shows_what_the_words_bring(tmp_path, dense):
    collection = write_collection(tmp_path / "tiny", ("test",))
    done = sparseir(
        "evaluate",
        collection,
        "--expand",
        dense,
        "--baselines",
        "bm25,dense",
        "--dense-model",
        dense,
        "--json",
        "--resamples",
        50,
    )
    rows = {row["system"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert list(rows) == ["BM25", "BM25 expanded", "dense"]
    assert rows["BM25 expanded"]["document_terms"] > rows["BM25"]["document_terms"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--bm25", "--expand", "no/such-model"), 1, "no/such-model"),
        (("--bm25", "--set", "lexical.expansion_words=-1"), 2, "expansion_words"),
        (("--vectors", "v.jsonl", "--expand", "x"), 2, "lexical.expansion_model=x is a setting of the lexical channel"),
    ],
)
def test_faults_are_said_before_the_work(tmp_path, words, code, said):
    collection = write_collection(tmp_path / "tiny", ("test",))
    write_jsonl(tmp_path / "v.jsonl", [{"id": "d0", "vector": {"cats": 1.0}}])
    given = [str(tmp_path / w) if w == "v.jsonl" else w for w in words]
    corpus = () if "--vectors" in given else ("--corpus", collection)
    refused = sparseir("index", "build", tmp_path / "index", *given, *corpus, code=code)
    assert said in refused.stderr
    assert not (tmp_path / "index" / "manifest.json").exists()


def test_from_python(tmp_path, dense):
    texts = ["a garden with roses and cats", "market prices and stock trading", "cats sleep in the garden"]
    with Index.build(tmp_path / "index", texts, expand=str(dense)) as index:
        assert {hit.docno for hit in index.search("cats", 2)} == {"0", "2"}
    from tests.lexical_cases import TableEncoder

    with pytest.raises(ConfigError, match="no channel of words"):
        Index.build(tmp_path / "other", texts, model=TableEncoder(), lexical=False, expand=str(dense))


def test_additions_one_after_another_load_the_model_once(tmp_path, dense, monkeypatch):
    from sparseir.models.networks import dense as module

    loads = []
    real = module.DenseEmbedder.__init__
    monkeypatch.setattr(
        module.DenseEmbedder, "__init__", lambda self, *a, **k: (loads.append(a), real(self, *a, **k))[1]
    )
    copy = save_masked_lm(tmp_path / "copy")
    with Index.build(tmp_path / "index", ["cats sleep in the garden"], expand=str(copy)) as index:
        built = len(loads)
        for text in ("a garden with roses", "stock market prices"):
            index.add([{"id": text[:3], "text": text}])
        assert len(loads) == built + 1
        assert index.search("roses", 1)[0].docno == "a g"


def test_an_addition_says_that_it_loads_the_dense_model(tmp_path, dense, capsys):
    from sparseir import cli

    Index.build(tmp_path / "words", ["cats sleep in the garden"], expand=str(dense)).close()
    Index.build(tmp_path / "plain", ["cats sleep in the garden"]).close()
    (tmp_path / "more").mkdir()
    for name in ("b", "c"):
        (tmp_path / "more" / f"{name}.txt").write_text("a garden with roses", encoding="utf-8")
    for index, said in (("words", [f"{dense} is loaded for this addition; add many files"]), ("plain", [])):
        assert cli.run(["index", "add", str(tmp_path / index), "--corpus", str(tmp_path / "more")]) == 0
        out, err = capsys.readouterr()
        assert "1 → 3 documents" in out
        assert [line for line in err.splitlines() if "is loaded" in line] == [
            line for line in err.splitlines() if any(line.startswith(start) for start in said)
        ]
        assert ("is loaded" in err) == bool(said)
