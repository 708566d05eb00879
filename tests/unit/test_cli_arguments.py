"""What the command line takes and refuses: one style of error, exit codes by one rule, nothing written on wrong usage."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from sparseir import Index, cli
from sparseir.cli.app import command_tree
from sparseir.cli.output.highlight import highlighted

DOCUMENTS = [
    {"_id": "a", "title": "Cats", "text": "The cat sat on the mat.", "year": 1999},
    {"_id": "b", "text": "dogs bark at cats", "year": 2004},
    {"_id": "c", "text": "rain in the park", "year": 2004},
]


@pytest.fixture
def index(tmp_path):
    Index.build(tmp_path / "index", DOCUMENTS, metadata=["year"]).close()
    return tmp_path / "index"


@pytest.fixture
def run(capsys):
    def call(*arguments, code=0):
        got = cli.run([str(a) for a in arguments])
        out, err = capsys.readouterr()
        assert got == code, err
        assert code == 0 or (err.startswith("error: ") and "Traceback" not in err)
        return out if code == 0 else err

    return call


def test_wrong_usage_is_one_line_and_exits_with_2(index, run):
    cases = {
        ("serch",): "no command serch; did you mean search?; see sparseir --help",
        ("index", "bild"): "no command bild; did you mean build?; see sparseir index --help",
        ("search",): "the following arguments are required: INDEX; see sparseir search --help",
        ("search", index, "cats", "--jsn"): "no option --jsn; did you mean --json?; see sparseir search --help",
        ("search", index, "cats", "dogs"): "one argument too many: dogs; see sparseir search --help",
        ("search", index, "cats", "-k", "0"): "-k is 0; expected at least 1; see",
        ("search", index, "cats", "-k", "ten"): "-k is 'ten'; expected a whole number; see",
        ("search", index, "cats", "--alpha", "x"): "--alpha is 'x'; expected a number; see",
        ("search", index, "cats", "--filter"): "--filter: expected one argument; see",
        ("search", index, "cats", "--engine", "fast"): "--engine is 'fast'; there are: auto, exhaustive",
        ("serve", index, "--engine", "fast"): "--engine is 'fast'; there are: auto, exhaustive",
        ("serve", index, "--port", "65536"): "--port is 65536; expected 0 to 65535",
        ("search", index): "give one of: the text of a query",
        ("search", index, "-", "--queries", "q.tsv"): "give one of: the text of a query",
        ("search", index, "-", "--fields", "title"): "--fields shows the hits of one query",
        ("search", index, "cats", "--tag", "a b"): "--tag is 'a b'; expected one word",
        ("search", index, "cats", "--alpha", "-1"): "--alpha is -1; expected at least 0",
        ("search", index, "cats", "--recall-target", "7"): "approximate: recall_target is 7.0",
        ("evaluate", "m", "d", "--baselines", "bm26"): "--baselines: unknown bm26",
        ("evaluate", "m", "d", "--measures", "nDCG@0"): "not measures: nDCG@0",
        ("evaluate", "m", "d", "--windows", "9"): "windows '9': expected SIZE/STEP",
        ("evaluate", "m", "--qrels", "q.tsv"): "--qrels q.tsv judges run files alone",
        ("index", "build", "i", "--bm25", "--corpus", "c.jsonl", "--windows", "2/9"): "windows 2/9: expected SIZE/STEP",
        (
            "index",
            "build",
            "i",
            "--bm25",
            "--corpus",
            "c.jsonl",
            "--language",
            "elvish",
        ): "no stemmer for language 'elv",
        ("index", "build", "i", "--bm25", "--corpus", "c.jsonl", "--format", "doc"): "--format is 'doc'; expected one",
        (
            "index",
            "build",
            "i",
            "--bm25",
            "--corpus",
            "c.jsonl",
            "--fields",
            "key=a",
        ): "--fields 'key=a': expected id=K",
        ("index", "delete", index): "give names (--id NAME, --ids FILE) or a filter",
        ("index", "delete", index, "--id", "a", "--filter", "year=1"): "give names",
        ("index", "compact", index, "--layout", "flat"): "index: layout is 'flat'; expected one of standard",
        ("train", "demo", "--output", index.parent / "m", "--set", "steps=1"): "--set takes section.key=value, not",
        ("config", "show", "demo", "--set", "steps=1"): "--set takes section.key=value, not 'steps=1'",
        ("train", "demo", "--output", index.parent / "m", "--set", "train.steps=-1"): "@configs/demo.yaml: 1 fault",
        ("train", "demo", "--output", index.parent / "m", "--set", "train.device=gpu"): "@configs/demo.yaml: 1 fault",
        ("config", "show", "demo", "--set", "model.size=1"): "@configs/demo.yaml: 1 fault",
        (
            "encode",
            "m",
            "c.jsonl",
            "--output",
            "o.npz",
            "--device",
            "gpu",
        ): "--device is 'gpu'; expected auto, cpu, cuda or",
        ("index", "build", "i", "--model", "m", "--corpus", "c.jsonl", "--device", "cuda:x"): "--device is 'cuda:x'",
        ("completion", "tcsh"): "SHELL is 'tcsh'; expected bash, zsh, fish",
    }
    for arguments, message in cases.items():
        error = run(*arguments, code=2)
        if message.startswith("@"):  # a recipe, whose place differs, and under it the faults of what was set
            assert f"{message[1:]}; see sparseir " in error, arguments
        else:
            assert error.startswith(f"error: {message}"), arguments
            assert error.count("\n") == 1
    assert not (index.parent / "m").exists()
    assert len(Index.open(index)) == 3


def test_a_filter_that_no_index_takes_is_wrong_usage(index, run):
    for command in (("search", index, "cats"), ("search", index.parent / "nothere", "x"), ("index", "delete", index)):
        message, shown, caret = run(*command, "--filter", "year=1999", "--filter", "year>=", code=2).splitlines()
        words = " ".join(str(w) for w in command[:2] if w in ("index", "delete", "search"))
        assert message.startswith("error: filter: expected a value at the end")
        assert message.endswith(f"; see sparseir {words} --help")
        assert (shown, caret.index("^")) == ("  year>=", 8)
    assert len(Index.open(index)) == 3


def test_a_fault_of_the_recipe_itself_is_no_wrong_usage(run, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(re.sub(r"^  steps: ", "  steps: -", run("config", "show", "demo"), flags=re.M), encoding="utf-8")
    assert "train: steps: expected at least 1" in run("config", "show", path, "--set", "train.seed=3", code=1)
    assert "steps: 3" in run("config", "show", path, "--set", "train.steps=3")  # what was set is right


def test_a_search_of_words_loads_little_and_starts_no_thread(index):
    program = """
import os, sys
from sparseir import cli
assert cli.run(["search", sys.argv[1], "cats"]) == 0
needless = {"tokenizers", "safetensors", "rich", "yaml", "zipfile", "hashlib", "difflib", "torch", "scipy"}
needless |= {"sparseir.search.filters.grammar", "sparseir.models.query_table", "indexer.native.builder", "sparseir.data.lines"}
print(sorted(needless & set(sys.modules)), len(os.listdir("/proc/self/task")), "OPENBLAS_NUM_THREADS" in os.environ)
"""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", program, str(index)], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.splitlines()[-1] == "[] 1 False"


def test_faults_of_inputs_exit_with_1(index, run, tmp_path):
    assert "nothere' does not exist; build an index there" in run("search", tmp_path / "nothere", "x", code=1)
    (tmp_path / "empty").mkdir()
    assert "holds no index (manifest.json is missing)" in run("search", tmp_path / "empty", "x", code=1)
    message, shown, caret = run("search", index, "cats", "--filter", "yeer=1", code=1).splitlines()
    assert "did you mean 'year'?" in message
    assert shown[caret.index("^") :] == "yeer=1"


def test_without_a_device_the_gpu_engine_leaves_nothing_behind(index, run, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    if shutil.which("nvidia-smi") is not None:
        pytest.skip("a GPU driver is installed, and the cuda backend finds its device without torch")
    before = sorted(p.name for p in index.parent.iterdir())
    run("search", index, "cats", "--engine", "gpu", code=1)
    assert sorted(p.name for p in index.parent.iterdir()) == before


def test_options_stand_anywhere_and_repeat(index, run):
    rows = [
        json.loads(line) for line in run("search", "-k", 1, index, "--json", "cats", "--filter=year>2000").splitlines()
    ]
    assert [(row["docno"], row["fields"]["year"]) for row in rows] == [("b", 2004)]
    assert (
        run("search", index, "cats", "--filter", "year=1999 or year=2004", "--filter", "year=1999", "--json").count(
            "\n"
        )
        == 1
    )
    assert run("search", index, "--", "-cats").count("\n") == 2


def test_fields_tag_and_standard_input(index, run, monkeypatch):
    lines = run("search", index, "cats", "--fields", "year,title,none").splitlines()
    assert lines[0].endswith("a  year=1999  title=Cats")
    assert lines[1].endswith("b  year=2004")
    rows = [json.loads(row) for row in run("search", index, "cats", "--fields", "title", "--json").splitlines()]
    assert [row["fields"] for row in rows] == [{"title": "Cats"}, {}]
    typed(monkeypatch, "cats\n\nq7\train\n")
    got = [line.split() for line in run("search", index, "-", "--tag", "mine").splitlines()]
    assert [(row[0], row[2], row[5]) for row in got] == [("1", "a", "mine"), ("1", "b", "mine"), ("q7", "c", "mine")]


def typed(monkeypatch, text):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


@pytest.mark.parametrize("way", [["-"], ["--queries", "-"]])
def test_both_ways_of_standard_input_read_the_same(index, run, monkeypatch, way):
    for text in ('{"_id": "q7", "text": "rain"}\n', "q7\train\n"):
        typed(monkeypatch, text)
        assert [line.split()[:3:2] for line in run("search", index, *way).splitlines()] == [["q7", "c"]]
    typed(monkeypatch, "rain\n")
    assert run("search", index, *way).split()[0] == "1"
    typed(monkeypatch, "q\tcats\nq\train\n")
    assert "standard input:2: duplicate id 'q'" in run("search", index, *way, code=1)
    typed(monkeypatch, "\n")
    assert "standard input: holds no queries" in run("search", index, *way, code=1)


def test_fields_that_no_hit_has_are_said(index, capsys):
    assert cli.run(["search", str(index), "cats", "--fields", "year,nothing"]) == 0
    assert capsys.readouterr().err == "no hit has the field 'nothing'\n"


def test_delete_by_name_and_by_filter(index, run):
    assert "1 document deleted" in run("index", "delete", index, "--id", "a", "--id", "nobody")
    assert json.loads(run("index", "delete", index, "--filter", "year>=2004", "--json")) == {
        "deleted": 2,
        "missing": [],
    }
    assert len(Index.open(index)) == 0


def test_help_of_everything(run):
    assert "search " in run("--help")
    assert "--filter EXPR" in run("search", "--help")
    assert "examples:" in run("search", "-h")
    assert run("index", "--help").startswith("usage: sparseir index COMMAND")
    assert run("--version").startswith("sparseir ")
    assert cli.run([]) == cli.run(["index"]) == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_names_every_command_and_option(run, shell):
    script = run("completion", shell)
    for name, entry in command_tree().commands.items():
        assert name in script
        for inner in getattr(entry, "names", ()):
            assert inner in script
    assert ("-l calibrate-on" if shell == "fish" else "--calibrate-on") in script


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("typed", "want"),
    [
        (["sparseir", "se"], ["search", "serve"]),
        (["sparseir", "index", "co"], ["compact"]),
        (["sparseir", "index", "delete", "--i"], ["--ids", "--id"]),
        (["sparseir", "search", "somewhere", "--js"], ["--json"]),
    ],
)
def test_bash_completes(run, typed, want):
    ask = f"COMP_WORDS=({' '.join(typed)}); COMP_CWORD={len(typed) - 1}; _sparseir; echo ${{COMPREPLY[@]}}"
    done = subprocess.run(
        ["bash", "-c", run("completion", "bash") + "\n" + ask], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == want


def test_words_of_the_query_are_bold_on_a_terminal():
    stored = {
        "title": "Cats",
        "text": "one \x1b[31m two " + "filler " * 40 + "a cat's mat, concatenated " + "more " * 40,
    }
    line = highlighted(stored, "the cat", 80)
    assert "\x1b[1mCats\x1b[0m · …" in line
    assert "\x1b[1mcat\x1b[0m's mat, concatenated" in line
    assert "\x1b[31m" not in line
    assert len(line.replace("\x1b[1m", "").replace("\x1b[0m", "")) <= 80
    assert highlighted({"text": "short"}, "cat", 80) == "short"


def test_verify_names_what_is_not_of_the_index_and_what_removes_it(index, capsys):
    (index / "000009.seg").write_bytes(b"half a segment")
    (index / "notes.txt").write_text("mine")
    assert cli.run(["index", "verify", str(index)]) == 0
    out, err = capsys.readouterr()
    assert ": sound; " in out
    assert "left by a writer that was stopped: 000009.seg; the next write removes that, sparseir index compact" in err
    assert "nothing that sparseir writes: notes.txt; remove it by hand" in err
    assert cli.run(["index", "compact", str(index)]) == 0
    capsys.readouterr()
    assert cli.run(["index", "verify", str(index), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["leftovers"], report["foreign"]) == ([], ["notes.txt"])


@pytest.mark.parametrize(
    "command", [["index", "inspect"], ["index", "verify"], ["index", "compact"], ["index", "export"]]
)
def test_an_address_is_no_folder(run, command):
    said = run(*command, "milvus://somewhere:19530/words", code=2)
    assert "INDEX is 'milvus://somewhere:19530/words', an address; expected a file or folder of this machine" in said
