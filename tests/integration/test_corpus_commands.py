"""Any text through the command line: formats, standard input, passages; and what is refused before a model is loaded."""

from __future__ import annotations

import io
import json
import os
import sys

import pytest

from tests.integration.conftest import DOCUMENTS, write_jsonl


def docnos(done):
    return [json.loads(line)["docno"] for line in done.out.splitlines()]


@pytest.fixture
def corpus(tmp_path):
    return write_jsonl(tmp_path / "corpus.jsonl", DOCUMENTS)


def test_a_folder_of_texts_to_hits(run, tmp_path):
    (tmp_path / "notes" / "deep").mkdir(parents=True)
    (tmp_path / "notes" / "deep" / "cats.md").write_text("# On cats\n\nThey sleep.\n")
    (tmp_path / "notes" / "rain.txt").write_text("It rains.")
    (tmp_path / "notes" / "empty.txt").write_text("")
    (tmp_path / "notes" / "scan.pdf").write_bytes(b"%PDF")
    built = run("index", "build", tmp_path / "new" / "folder" / "i", "--bm25", "--corpus", tmp_path / "notes")
    assert built.code == 0, built.err
    assert "3 files read; left out: 1 .pdf" in built.err
    assert "1 document of 3 has no text and matches nothing" in built.err
    found = run("search", tmp_path / "new" / "folder" / "i", "cats", "--json")
    assert docnos(found) == ["deep/cats.md"]
    assert json.loads(found.out)["fields"]["title"] == "On cats"


def test_formats_and_keys_that_are_said(run, tmp_path):
    table = tmp_path / "dump.dat"
    table.write_text("key;body;year\nx;cats sleep;1999\ny;it rains;2004\n")
    index = tmp_path / "i"
    build = ("index", "build", index, "--bm25", "--corpus", table)
    refused = run(*build)
    assert (refused.code, "say one of --format jsonl" in refused.err) == (1, True)
    refused = run(*build, "--format", "csv")
    assert (refused.code, "--fields id=COLUMN,text=COLUMN" in refused.err) == (1, True)
    assert run(*build, "--format", "csv", "--fields", "id=key,text=body", "--metadata", "year").code == 0
    assert docnos(run("search", index, "cats rain", "--filter", "year>=2000", "--json")) == ["y"]
    more = write_jsonl(tmp_path / "more.jsonl", [{"key": "z", "body": "cats"}])
    assert run("index", "add", index, "--corpus", more, "--fields", "id=key,text=body").code == 0
    assert sorted(docnos(run("search", index, "cats", "--json"))) == ["x", "z"]


def test_a_corpus_and_queries_from_standard_input(run, tmp_path, corpus, monkeypatch):
    index = tmp_path / "i"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(corpus.read_bytes())))
    built = run("index", "build", index, "--bm25", "--corpus", "-", "--metadata", "yaer")
    assert built.code == 0
    assert "no document has the field 'yaer'" in built.err  # a stream shows it at its end only
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"1\tcats\n")))
    assert {line.split()[2] for line in run("search", index, "--queries", "-").out.splitlines()} == {"d2", "d4"}
    read, write = os.pipe()
    os.write(write, b'{"_id": "q", "text": "dogs"}\n')
    os.close(write)
    assert [line.split()[2] for line in run("search", index, "--queries", f"/dev/fd/{read}").out.splitlines()] == ["d4"]
    os.close(read)


@pytest.mark.parametrize(
    ("options", "content", "said"),
    [
        (["--metadata", "yaer"], None, r"corpus.jsonl: no document has the field 'yaer' to filter by; did you mean 'year'?"),
        ([], '{"_id": "1", "text": "x"}\n{"_id": "2", "text": "", "n": NaN}\n', "corpus.jsonl:2: not valid JSON: 'n': NaN"),
        ([], "", "corpus.jsonl: the corpus is empty"),
        (["--format", "xml"], None, "--format is 'xml'; expected one of jsonl"),
        (["--fields", "body"], None, "--fields 'body': expected id=KEY,text=KEY,title=KEY"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["index", "encode"])
def test_faults_come_before_the_model(run, tmp_path, corpus, command, options, content, said):
    """No model is at the path, which would be the next complaint."""
    if content is not None:
        corpus.write_text(content)
    if command == "encode":
        if "--metadata" in options:
            return
        done = run("encode", tmp_path / "no-model", corpus, "--output", tmp_path / "v.npz", *options)
    else:
        done = run("index", "build", tmp_path / "i", "--model", tmp_path / "no-model", "--corpus", corpus, *options)
    assert done.code == (2 if said.startswith("--") else 1)
    assert said in done.err
    assert "no-model" not in done.err
    assert not (tmp_path / "i").exists()
    assert not (tmp_path / "v.npz.parts").exists()


def test_passages_through_the_commands(run, tmp_path):
    long = "cats sleep all day " * 10 + "and the weather is fine " + "dogs bark at night " * 10
    corpus = write_jsonl(tmp_path / "c.jsonl", [{"_id": "long", "text": long}, {"_id": "short", "text": "weather"}])
    index = tmp_path / "i"
    built = run("index", "build", index, "--bm25", "--corpus", corpus, "--windows", "10/5")
    assert built.code == 0, built.err
    assert " passages, " in built.out
    hits = [json.loads(line) for line in run("search", index, "weather", "--json").out.splitlines()]
    assert {hit["docno"] for hit in hits} == {"long", "short"}
    passage = next(hit["fields"] for hit in hits if hit["docno"] == "long")
    assert "weather" in passage["text"]
    number = passage["passage"]["number"]
    assert f"long#{number}" in run("search", index, "weather").out
    assert f"long#{number}: score" in run("explain", index, "weather", "long").out
    assert json.loads(run("index", "inspect", index, "--json").out)["windows"] == {"size": 10, "step": 5}
    (tmp_path / "ids").write_text("long\nnone\n")
    deleted = run("index", "delete", index, "--ids", tmp_path / "ids")
    assert "1 document deleted" in deleted.out
    assert "not in the index: 1 name (none)" in deleted.err
    assert docnos(run("search", index, "weather cats dogs", "--json")) == ["short"]
    refused = run("index", "build", tmp_path / "j", "--bm25", "--corpus", corpus, "--windows", "5/10")
    assert (refused.code, "expected SIZE/STEP with 1 ≤ STEP ≤ SIZE" in refused.err) == (2, True)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    pytest.importorskip("torch", reason="the extra 'train' is not installed")
    from tests.tiny_models import save_masked_lm

    return save_masked_lm(tmp_path_factory.mktemp("model") / "base")


def test_texts_that_the_model_cuts_are_counted_and_windows_are_not_cut(run, tmp_path, model):
    rows = [{"_id": "a", "text": "cats and dogs " * 200}, {"_id": "b", "text": "weather"}]
    corpus = write_jsonl(tmp_path / "c.jsonl", rows)
    build = ("index", "build", tmp_path / "i", "--model", model, "--corpus", corpus, "--device", "cpu")
    cut = run(*build)
    assert cut.code == 0, cut.err
    assert "1 of 2 texts was longer than the " in cut.err
    assert "--windows SIZE/STEP, such as 128/64, indexes passages of them" in cut.err
    whole = run(*build, "--overwrite", "--windows", "40/20")
    assert (whole.code, "longer than" in whole.err) == (0, False)
    assert json.loads(run("index", "inspect", tmp_path / "i", "--json").out)["documents"] > 25
    assert docnos(run("search", tmp_path / "i", "dogs", "--model", model, "--json"))[0] in ("a", "b")
    encoded = run("encode", model, corpus, "--output", tmp_path / "new" / "v.npz", "--device", "cpu")
    assert encoded.code == 0, encoded.err
    assert "1 of 2 texts was longer than the " in encoded.err
    empty = run("encode", model, corpus, "--output", tmp_path / "w.npz", "--shard", "2/2", "--device", "cpu")
    assert empty.code == 1
    assert "shard 2/2 holds no text: shards take turns at parts of 16,384 texts" in empty.err
    assert not list(tmp_path.glob("w.npz*"))


def test_evaluation_of_passages(run, tmp_path, model):
    pytest.importorskip("ir_measures", reason="the extra 'evaluate' is not installed")
    from tests.tiny_collections import write_collection

    collection = write_collection(tmp_path / "tiny", ("test",))
    done = run(
        "evaluate", model, collection, "--windows", "6/3", "--json", "--device", "cpu", "--measures", "R@100",
        "--output", tmp_path / "new" / "figures.json",
    )  # fmt: skip
    assert done.code == 0, done.err
    results = [json.loads(line) for line in done.out.splitlines()]
    assert [r["num_documents"] for r in results] == [8, 8]
    assert results[0]["measures"]["R@100"] == 1.0  # BM25: names of documents, not of passages, are judged
    assert (tmp_path / "new" / "figures.json").is_file()


def test_help_of_the_commands_names_the_inputs(run):
    for command in (["index", "build"], ["index", "add"], ["encode"]):
        said = " ".join(run(*command, "--help").out.split())
        assert "--format" in said
        assert "--fields" in said
