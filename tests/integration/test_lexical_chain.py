"""BM25 and two-channel indexes through the command line: build, add, search, explain, export, evaluate, refusals."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch", reason="the extra 'train' is not installed")
pytest.importorskip("ir_measures", reason="the extra 'evaluate' is not installed")

from tests.integration.test_text_chain import sparseir
from tests.tiny_collections import write_collection, write_jsonl
from tests.tiny_models import save_masked_lm


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    return write_collection(tmp_path_factory.mktemp("data") / "tiny", ("test",))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_masked_lm(tmp_path_factory.mktemp("model") / "base")


@pytest.fixture(scope="module")
def bm25(tmp_path_factory, collection):
    index = tmp_path_factory.mktemp("bm25") / "i"
    sparseir("index", "build", index, "--bm25", "--corpus", collection, "--set", "lexical.alpha=2")
    return index


@pytest.fixture(scope="module")
def both(tmp_path_factory, collection, model):
    index = tmp_path_factory.mktemp("both") / "i"
    sparseir("index", "build", index, "--model", model, "--corpus", collection, "--lexical", "--device", "cpu")
    return index


def docnos(done):
    return [json.loads(line)["docno"] for line in done.stdout.splitlines()]


def test_text_to_hits_without_a_model(bm25, tmp_path):
    assert docnos(sparseir("search", bm25, "running dogs", "--json")) == ["d0", "d6"]
    one, two = (
        json.loads(sparseir("explain", bm25, "running dogs", "d0", "--json", "--alpha", a).stdout) for a in (1, 2)
    )
    assert two["score"] == pytest.approx(2 * one["score"], rel=1e-3)
    assert {t["channel"] for t in one["terms"]} == {"lexical"}
    sparseir("index", "export", bm25, "--output", tmp_path / "v.jsonl")
    assert set(json.loads((tmp_path / "v.jsonl").read_text().splitlines()[1])["vector"]) == {"weather", "now", "park"}


def test_added_texts_are_found_by_new_words(bm25, tmp_path):
    more = write_jsonl(tmp_path / "more.jsonl", [{"_id": "n", "title": "", "text": "zebras, weather"}])
    sparseir("index", "add", bm25, "--corpus", more)
    assert docnos(sparseir("search", bm25, "zebra", "--json")) == ["n"]
    state = json.loads(sparseir("index", "inspect", bm25, "--json").stdout)["lexical"]
    assert (state["config"]["alpha"], state["config"]["language"]) == (2, "english")
    line = next(s for s in sparseir("index", "inspect", bm25).stdout.splitlines() if s.startswith("lexical channel: "))
    assert "language english, 33 stop words, k1 0.9, b 0.4, alpha 2; average length" in line
    moved = state["lengths"]["words"] / state["lengths"]["documents"] / state["lengths"]["average"]
    assert line.endswith(f"ever added, {moved:.2f} times that")
    sparseir("index", "compact", bm25)
    sparseir("index", "verify", bm25)
    assert docnos(sparseir("search", bm25, "zebra", "--json")) == ["n"]


def test_a_model_that_runs_on_queries_has_words_beside_it(both, model):
    explanation = json.loads(sparseir("explain", both, "running dogs", "d0", "--json", "--model", model).stdout)
    assert {t["channel"] for t in explanation["terms"]} == {"learned", "lexical"}
    table = sparseir("explain", both, "running dogs", "d0", "--model", model).stdout
    assert "channel" in table
    message = sparseir("search", both, "dogs", code=1).stderr
    assert "name the model with --model" in message


def test_a_run_bears_the_name_it_is_given(bm25, collection, tmp_path):
    queries = ("search", bm25, "--queries", collection / "queries.jsonl")
    sparseir(*queries, "--output", tmp_path / "run.trec", "--tag", "stems")
    assert {line.split()[-1] for line in (tmp_path / "run.trec").read_text().splitlines()} == {"stems"}
    assert {line.split()[-1] for line in sparseir(*queries).stdout.splitlines()} == {"sparseir"}
    refused = sparseir(*queries, "--output", tmp_path / "other.trec", "--tag", "two words", code=2)
    assert "one word" in refused.stderr
    assert not (tmp_path / "other.trec").exists()


def test_evaluation_of_both_channels(collection, model, tmp_path):
    done = sparseir(
        *("evaluate", model, collection, "--lexical", "--json", "--device", "cpu", "--measures", "nDCG@10"),
        *("--runs", tmp_path / "runs"),
    )
    bm25, one, two = (json.loads(line) for line in done.stdout.splitlines())
    assert (bm25["system"], two["system"]) == ("BM25", f"{one['system']}+lexical")
    assert one["encode_seconds"] == two["encode_seconds"]  # both are of one encoding
    # Weights are 8-bit on one scale for both channels, so terms may be lost in rounding, but no more are than that.
    assert two["document_terms"] == pytest.approx(one["document_terms"] + bm25["document_terms"])
    assert bm25["measures"]["nDCG@10"] > 0.5
    assert two["document_terms"] > bm25["document_terms"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--bm25", "--corpus", "c", "--language", "klingon"), 2, "no stemmer for language 'klingon'; there are: none"),
        (("--bm25", "--corpus", "c", "--set", "lexical.alpha=-1"), 2, "alpha: expected a number of at least 0"),
        (("--bm25", "--corpus", "c", "--set", "lexical.bb=1"), 2, "bb: unknown key; did you mean 'b'?"),
        (("--bm25", "--model", "m", "--corpus", "c"), 2, "a BM25 index is made of texts alone"),
        (("--lexical", "--vectors", "v.npz"), 2, "--lexical counts the words of texts"),
        (
            ("--model", "m", "--corpus", "c", "--no-lexical", "--language", "german"),
            2,
            "is a setting of the lexical channel",
        ),
        (("--model", "m", "--corpus", "c", "--no-lexical", "--lexical"), 2, "contradict each other"),
        (("--corpus", "c"), 2, "or --bm25 and --corpus INPUT"),
    ],
)
def test_wrong_use_is_one_line_before_any_work(tmp_path, arguments, code, message):
    done = sparseir("index", "build", tmp_path / "i", *arguments, code=code)
    assert message in done.stderr
    assert not (tmp_path / "i").exists()


def test_the_channel_cannot_be_weighed_where_there_is_none(tmp_path):
    write_jsonl(tmp_path / "v.jsonl", [{"id": "a", "contents": "", "vector": {"cat": 1.0}}])
    sparseir("index", "build", tmp_path / "i", "--vectors", tmp_path / "v.jsonl")
    done = sparseir("search", tmp_path / "i", "cat", "--alpha", 1, code=1)
    assert "has no lexical channel for alpha to weigh" in done.stderr
    assert "--alpha is -1; expected" in sparseir("search", tmp_path / "i", "cat", "--alpha=-1", code=2).stderr
