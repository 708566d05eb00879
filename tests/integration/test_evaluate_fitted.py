"""`sparseir evaluate --fit`: a further row for each index, and what is refused before any work."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch", reason="the extra 'train' is not installed")
pytest.importorskip("ir_measures", reason="the extra 'evaluate' is not installed")

from tests.integration.test_fit_command import TEXTS
from tests.integration.test_text_chain import sparseir
from tests.tiny_collections import write_jsonl
from tests.tiny_models import save_masked_lm, tokenizer

FAST = ("--resamples", 200, "--measures", "RR@10", "--device", "cpu")


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    """Train asks for three of four documents, test for the others."""
    folder = tmp_path_factory.mktemp("data") / "zoo"
    (folder / "qrels").mkdir(parents=True)
    texts = [*TEXTS, "please tell", "please tell", "tell please"]
    write_jsonl(folder / "corpus.jsonl", [{"_id": f"d{i}", "text": text} for i, text in enumerate(texts)])
    asked = [
        (f"{split}{i}", split, i) for i in range(len(TEXTS)) for split in (("test",) if i % 8 == 0 else ("train",))
    ]
    write_jsonl(folder / "queries.jsonl", [{"_id": q, "text": f"please tell {TEXTS[i]}"} for q, _, i in asked])
    for split in ("train", "test"):
        rows = "".join(f"{q}\td{i}\t1\n" for q, s, i in asked if s == split)
        (folder / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + rows)
    return folder


def rows(done):
    return {r["system"]: r for r in map(json.loads, done.stdout.splitlines())}


def test_words_are_judged_as_built_and_fitted(collection, tmp_path):
    runs = tmp_path / "runs"
    found = rows(sparseir("evaluate", collection, "--fit", "train", "--runs", runs, "--json", *FAST))
    assert list(found) == ["BM25", "BM25+fitted"]
    as_built, fitted = found.values()
    assert as_built["measures"]["RR@10"] < 0.6  # "please tell" comes first
    assert fitted["measures"]["RR@10"] == 1.0
    assert fitted["comparisons"]["RR@10"]["difference"] > 0.4
    assert fitted["build_seconds"] > 0
    assert sorted(path.name for path in runs.iterdir()) == ["zoo.bm25+fitted.trec", "zoo.bm25.trec"]
    first = (runs / "zoo.bm25+fitted.trec").read_text().split()[:3]
    assert first == ["test0", "Q0", "d0"]


def test_words_are_judged_with_feedback(collection, tmp_path):
    found = rows(sparseir("evaluate", collection, "--feedback", 10, "--runs", tmp_path / "runs", "--json", *FAST))
    assert list(found) == ["BM25", "BM25+feedback"]
    as_built, told = found.values()
    assert told["query_terms"] > as_built["query_terms"]
    assert told["index_bytes"] == as_built["index_bytes"]
    assert told["build_seconds"] == as_built["build_seconds"]
    assert "RR@10" in told["comparisons"]
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["zoo.bm25+feedback.trec", "zoo.bm25.trec"]


def test_a_query_does_not_learn_from_the_document_that_is_left_out(tmp_path):
    """Query a is document a; by b, the first hit that counts, it finds c."""
    (tmp_path / "own" / "qrels").mkdir(parents=True)
    texts = {"a": "cat dog bird", "b": "cat dog fish snake", "c": "fish snake lizard"}
    write_jsonl(tmp_path / "own" / "corpus.jsonl", [{"_id": name, "text": text} for name, text in texts.items()])
    write_jsonl(tmp_path / "own" / "queries.jsonl", [{"_id": "a", "text": texts["a"]}])
    (tmp_path / "own" / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\na\tc\t1\n")
    found = rows(sparseir("evaluate", tmp_path / "own", "--feedback", 1, "--json", *FAST))
    assert [found[name]["measures"]["RR@10"] for name in ("BM25", "BM25+feedback")] == [0.0, 0.5]


def test_fitted_words_are_judged_with_feedback_too(collection):
    found = rows(sparseir("evaluate", collection, "--feedback", 2, "--fit", "train", "--json", *FAST))
    assert list(found) == ["BM25", "BM25+feedback", "BM25+fitted", "BM25+fitted+feedback"]
    assert found["BM25+fitted+feedback"]["measures"]["RR@10"] == 1.0
    assert found["BM25+fitted+feedback"]["build_seconds"] == found["BM25+fitted"]["build_seconds"]


@pytest.fixture(scope="module")
def looked_up(tmp_path_factory):
    """A random network without a head, which is read as inference-free."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("model") / "m"
    words = tokenizer()
    words.save_pretrained(str(folder))
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(words), **sizes)).save_pretrained(str(folder))
    return folder


def test_models_and_their_kept_indexes(collection, looked_up, tmp_path):
    kept = tmp_path / "kept"
    given = ("evaluate", looked_up, collection, "--fit", "train", "--indexes", kept, "--baselines", "", "--json", *FAST)
    done = sparseir(*given, code=1)
    found = rows(done)
    names = ["inference_free", "inference_free+fitted", "inference_free+lexical", "inference_free+lexical+fitted"]
    alone = names.pop(1)  # its vocabulary lacks these words
    assert f"zoo, {alone}: 0 of 35 queries have relevant documents" in done.stderr
    assert list(found) == names
    assert sorted(path.name for path in kept.iterdir()) == [f"zoo.{name}" for name in names]
    assert found[names[2]]["measures"]["RR@10"] > found[names[1]]["measures"]["RR@10"]
    again = rows(sparseir("evaluate", kept / f"zoo.{names[2]}", collection, "--baselines", "", "--json", *FAST))
    assert [r["measures"] for r in again.values()] == [found[names[2]]["measures"]]
    as_built = rows(sparseir("evaluate", kept / f"zoo.{names[1]}", collection, "--baselines", "", "--json", *FAST))
    assert [r["measures"] for r in as_built.values()] == [found[names[1]]["measures"]]


def test_what_cannot_be_fitted_is_said_before_the_work(collection, looked_up, tmp_path):
    refused = sparseir("evaluate", collection, "--fit", "test", code=2).stderr
    assert "fit is 'test', the split that is judged" in refused
    assert "no judgements for split 'dev'" in sparseir("evaluate", collection, "--fit", "dev", code=1).stderr
    assert (
        "fit is of whole documents"
        in sparseir("evaluate", collection, "--fit", "train", "--windows", "4/2", code=2).stderr
    )
    runs_model = save_masked_lm(tmp_path / "base")
    refused = sparseir("evaluate", runs_model, collection, "--fit", "train", code=1).stderr
    assert "run a model, whose weights cannot be fitted" in refused
    sparseir("index", "build", tmp_path / "i", "--bm25", "--corpus", collection)
    refused = sparseir("evaluate", tmp_path / "i", collection, "--fit", "train", "--baselines", "", code=1).stderr
    assert "fit one that stands with 'sparseir index fit'" in refused


def test_too_few_judgements_leave_the_other_rows(collection, tmp_path):
    rows_of_train = (collection / "qrels" / "train.tsv").read_text().splitlines()[:11]
    (collection / "qrels" / "few.tsv").write_text("\n".join(rows_of_train) + "\n")
    done = sparseir("evaluate", collection, "--fit", "few", "--json", *FAST, code=1)
    assert list(rows(done)) == ["BM25"]
    assert "fitting needs at least 30" in done.stderr
