"""train → encode → index → search → explain → evaluate through the command line, on a tiny collection and model."""

from __future__ import annotations

import contextlib
import io
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("torch", reason="the extra 'train' is not installed")
pytest.importorskip("ir_measures", reason="the extra 'evaluate' is not installed")

from sparseir import cli
from tests.integration.conftest import write_jsonl
from tests.tiny_models import WORDS, save_masked_lm

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    """24 documents of three words each; every query names one document's first and last word."""
    folder = tmp_path_factory.mktemp("data") / "tiny"
    (folder / "qrels").mkdir(parents=True)
    words = [w for w in WORDS if w.isalpha() and len(w) > 1][:12]
    documents, queries, judged = [], [], []
    for i in range(24):
        a, b, c = words[i % 12], words[(i * 5 + 1) % 12], words[(i * 7 + 2) % 12]
        documents.append({"_id": f"d{i}", "title": "", "text": f"{a} {b} {c}", "year": 2000 + i})
        queries.append({"_id": f"q{i}", "text": f"{a} {c}"})
        judged.append(f"q{i}\td{i}\t1\n")
    write_jsonl(folder / "corpus.jsonl", documents)
    write_jsonl(folder / "queries.jsonl", queries)
    header = "query-id\tcorpus-id\tscore\n"
    (folder / "qrels" / "train.tsv").write_text(header + "".join(judged[:16]))
    (folder / "qrels" / "test.tsv").write_text(header + "".join(judged[16:]))
    return folder


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, collection):
    """configs/demo.yaml, cut down to a tiny model and three steps."""
    folder = tmp_path_factory.mktemp("recipe")
    values = yaml.safe_load((ROOT / "configs" / "demo.yaml").read_text())
    values["model"] |= {"base": str(save_masked_lm(folder / "base")), "max_document_length": 32}
    values["data"] |= {"dataset": [str(collection)], "negatives": ["bm25"], "max_document_length": 32}
    values["loss"] |= {"teachers": ["bm25"]}
    values["train"] |= {"steps": 3, "batch_size": 4, "warmup_steps": 0, "bf16": False, "device": "cpu"}
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


@dataclass(frozen=True)
class Done:
    """What one command printed."""

    stdout: str
    stderr: str


def sparseir(*arguments: object, code: int = 0) -> Done:
    """One command in this process; a traceback or another exit code than `code` fails the test."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        got = cli.run([str(a) for a in arguments])
    assert got == code, err.getvalue()
    assert "Traceback" not in err.getvalue()
    return Done(out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def model(tmp_path_factory, recipe):
    folder = tmp_path_factory.mktemp("models") / "model"
    sparseir("train", recipe, "--output", folder)
    return folder


def test_the_whole_chain(model, collection, tmp_path):
    sparseir("encode", model, collection, "--output", tmp_path / "docs.jsonl")
    index, from_vectors = tmp_path / "index", tmp_path / "index-from-vectors"
    sparseir("index", "build", index, "--model", model, "--corpus", collection, "--idf", "corpus", "--metadata", "year")
    sparseir("index", "build", from_vectors, "--vectors", tmp_path / "docs.jsonl", "--model", model)
    query = json.loads((collection / "queries.jsonl").read_text().splitlines()[3])["text"]
    hits = [json.loads(line) for line in sparseir("search", index, query, "-k", 5, "--json").stdout.splitlines()]
    assert hits[0]["rank"] == 1
    assert hits[0]["fields"]["text"]
    assert sparseir("search", from_vectors, query, "-k", 5).stdout
    filtered = sparseir("search", index, query, "--json", "--filter", "year>=2020").stdout.splitlines()
    assert filtered
    assert all(json.loads(line)["fields"]["year"] >= 2020 for line in filtered)
    explained = json.loads(sparseir("explain", index, query, hits[0]["docno"], "--json").stdout)
    assert sum(t["product"] for t in explained["terms"]) == explained["integer_score"]
    assert explained["score"] == pytest.approx(hits[0]["score"])
    assert "sound" in sparseir("index", "verify", index).stdout


def test_evaluate_agrees_with_ir_measures_on_the_run_file(model, collection, tmp_path):
    import ir_measures

    arguments = [
        "evaluate",
        model,
        collection,
        "--no-lexical",
        "--idf",
        "corpus",
        "--indexes",
        tmp_path / "ix",
        "--runs",
        tmp_path / "runs",
    ]
    sparseir(*arguments, "--output", tmp_path / "results.json")
    results = {r["system"]: r for r in json.loads((tmp_path / "results.json").read_text())}
    index = tmp_path / "ix" / "tiny"
    sparseir("search", index, "--queries", collection / "queries.jsonl", "--output", tmp_path / "all.trec")
    qrels = [
        ir_measures.Qrel(*(line.split("\t")[0], line.split("\t")[1], int(line.split("\t")[2])))
        for line in (collection / "qrels" / "test.tsv").read_text().splitlines()[1:]
    ]
    measure = ir_measures.parse_measure("nDCG@10")
    for path, system in ((tmp_path / "all.trec", "inference_free"), (tmp_path / "runs" / "tiny.bm25.trec", "BM25")):
        independent = ir_measures.calc_aggregate([measure], qrels, ir_measures.read_trec_run(str(path)))[measure]
        assert results[system]["measures"]["nDCG@10"] == pytest.approx(independent, abs=1e-9)


def test_searching_text_imports_neither_torch_nor_scipy(model, collection, tmp_path):
    sparseir("index", "build", tmp_path / "index", "--model", model, "--corpus", collection)
    program = (
        "import sys; from sparseir import cli; code = cli.run(sys.argv[1:]); "
        "heavy = {'torch', 'transformers', 'scipy', 'numba'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "search", str(tmp_path / "index"), "weather"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_python_of_the_readme_runs(model, tmp_path, monkeypatch):
    lines = (ROOT / "README.md").read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("    from sparseir import"))
    block = [line[4:] for line in takewhile(lambda line: not line or line.startswith("    "), lines[start:])]
    (tmp_path / "model").symlink_to(model)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec("\n".join(block), names)
    assert names["hits"].ordinals.shape == (1, 10)


def test_an_index_of_another_encoder_is_refused(model, recipe, collection, tmp_path):
    sparseir("index", "build", tmp_path / "index", "--model", model, "--corpus", collection)
    sparseir(
        "train", recipe, "--output", tmp_path / "other", "--set", "train.seed=7", "--set", "model.fresh_head_bias=-1"
    )
    refused = sparseir("search", tmp_path / "index", "weather", "--model", tmp_path / "other", code=1)
    assert "another encoder" in refused.stderr
    sparseir("search", tmp_path / "index", "weather", "--model", tmp_path / "other", "--any-model")


def test_a_model_folder_is_not_overwritten(model, recipe):
    refused = sparseir("train", recipe, "--output", model, code=1)
    assert "Traceback" not in refused.stderr
    assert (model / "modules.json").is_file()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['{"_id": "a", "text": "x"}', '{"_id": "b"}'], "corpus.jsonl:2: .*text"),
        (['{"_id": "a", "text": "x"}', "{oops"], "corpus.jsonl:2"),
        (['{"_id": "a", "text": "x"}', '{"_id": "a", "text": "y"}'], "corpus.jsonl:2: .*a"),
        ([], "corpus.jsonl"),
    ],
)
def test_a_bad_corpus_is_named_and_leaves_no_index(model, tmp_path, lines, message):
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(line + "\n" for line in lines))
    refused = sparseir("index", "build", tmp_path / "index", "--model", model, "--corpus", path, code=1)
    assert re.search(message, refused.stderr), refused.stderr
    sparseir("search", tmp_path / "index", "x", code=1)


def test_a_model_that_is_none_and_an_unknown_collection(model, collection, tmp_path):
    assert "scifact" in sparseir("evaluate", model, "scifcat", code=1).stderr
    (tmp_path / "model").mkdir()
    assert "model" in sparseir("evaluate", tmp_path / "model", collection, code=1).stderr
