"""Vectors from another tool → index → run file, through the command line, without a model."""

from __future__ import annotations

import json

import pytest

from tests.integration.conftest import VECTORS, write_jsonl


def test_build_and_search_with_query_vectors(run, tmp_path, vectors):
    built = run("index", "build", tmp_path / "index", "--vectors", vectors, "--json")
    assert built.code == 0, built.err
    assert json.loads(built.out)["documents"] == 4
    queries = write_jsonl(
        tmp_path / "queries.jsonl",
        [
            {"id": "q1", "contents": "", "vector": {"cat": 1.0, "unheard": 3.0}},
            {"id": "q2", "contents": "", "vector": {"rain": 1.0, "city": 1.0}},
            {"id": "q3", "contents": "", "vector": {}},
        ],
    )
    searched = run("search", tmp_path / "index", "--query-vectors", queries, "--output", tmp_path / "run.trec")
    assert searched.code == 0, searched.err
    assert "3 queries, 2 with hits" in searched.err
    lines = [line.split() for line in (tmp_path / "run.trec").read_text().splitlines()]
    # q1: d2 and d4 hold cat with equal weights: a tie, broken by input order, written strictly falling.
    assert [(c[0], c[2], c[3]) for c in lines] == [
        ("q1", "d2", "1"),
        ("q1", "d4", "2"),
        ("q2", "d1", "1"),
        ("q2", "d2", "2"),
    ]
    assert float(lines[0][4]) > float(lines[1][4])


def test_a_text_query_without_a_query_side_says_what_to_do(run, tmp_path, vectors):
    run("index", "build", tmp_path / "index", "--vectors", vectors)
    searched = run("search", tmp_path / "index", "cat")
    assert searched.code == 1
    assert "carries no query side" in searched.err
    assert "--model" in searched.err


def test_nothing_is_overwritten_without_being_told(run, tmp_path, vectors):
    assert run("index", "build", tmp_path / "index", "--vectors", vectors).code == 0
    before = {p: p.read_bytes() for p in (tmp_path / "index").rglob("*") if p.is_file()}
    again = run("index", "build", tmp_path / "index", "--vectors", vectors)
    assert again.code == 1
    assert "overwrite" in again.err
    assert {p: p.read_bytes() for p in (tmp_path / "index").rglob("*") if p.is_file()} == before
    assert run("index", "build", tmp_path / "index", "--vectors", vectors, "--overwrite").code == 0
    (tmp_path / "run.trec").write_text("precious")
    queries = write_jsonl(tmp_path / "q.jsonl", [{"id": "q", "contents": "", "vector": {"cat": 1}}])
    refused = run("search", tmp_path / "index", "--query-vectors", queries, "--output", tmp_path / "run.trec")
    assert refused.code == 1
    assert (tmp_path / "run.trec").read_text() == "precious"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "d5", "vector": {"cat": -1}}', "vectors.jsonl:5"),
        ('{"id": "d5", "vector": {"cat": NaN}}', "vectors.jsonl:5"),
        ('{"id": "d1", "vector": {"cat": 1}}', "d1"),
        ('{"id": "d5"}', "vectors.jsonl:5"),
        ("{broken", "vectors.jsonl:5"),
    ],
)
def test_bad_vectors_are_named_and_leave_no_index(run, tmp_path, line, message):
    path = write_jsonl(tmp_path / "vectors.jsonl", VECTORS)
    path.write_text(path.read_text() + line + "\n")
    built = run("index", "build", tmp_path / "index", "--vectors", path)
    assert built.code == 1
    assert message in built.err
    assert run("search", tmp_path / "index", "cat").code == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["search"],
        ["search", "INDEX"],
        ["search", "INDEX", "text", "--queries", "q.tsv"],
        ["index", "build", "INDEX"],
        ["index", "build", "INDEX", "--corpus", "c.jsonl"],
        ["index", "build", "INDEX", "--vectors", "v.jsonl", "--memory-budget", "lots"],
        ["search", "INDEX", "text", "-k", "0"],
        ["nonsense"],
    ],
)
def test_wrong_usage_is_exit_code_two(run, arguments):
    outcome = run(*arguments)
    assert outcome.code == 2
    assert outcome.err


def test_an_index_that_is_none(run, tmp_path):
    outcome = run("search", tmp_path / "nothing", "text")
    assert outcome.code == 1
    assert "nothing" in outcome.err


def test_add_replace_delete_compact_and_export(run, tmp_path, vectors):
    index = tmp_path / "index"
    assert run("index", "build", index, "--vectors", vectors).code == 0
    more = write_jsonl(tmp_path / "more.jsonl", [{"id": "d2", "contents": "", "vector": {"dog": 1.0}}])
    refused = run("index", "add", index, "--vectors", more)
    assert refused.code == 1
    assert "d2" in refused.err
    assert run("index", "add", index, "--vectors", more, "--replace").code == 0
    (tmp_path / "ids.txt").write_text("d1\nnobody\n")
    deleted = run("index", "delete", index, "--ids", tmp_path / "ids.txt", "--json")
    assert json.loads(deleted.out) == {"deleted": 1, "missing": ["nobody"]}
    assert "nobody" in deleted.err
    assert run("index", "compact", index).code == 0
    inspected = run("index", "inspect", index, "--json")
    assert json.loads(inspected.out)["documents"] == 3
    assert "sections" in run("index", "inspect", index).out
    exported = run("index", "export", index, "--format", "jsonl", "--weights", "scaled", "--json")
    assert exported.code == 0, exported.err
    rows = [json.loads(line) for line in (tmp_path / "index.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == ["d3", "d4", "d2"]  # by ordinal: the replaced document took a new one
    assert rows[2]["vector"] == {"dog": pytest.approx(1.0, abs=2 / 255)}
    assert run("index", "export", index, "--format", "jsonl").code == 1


def test_an_interrupted_build_leaves_no_index_and_exit_code_one(run, tmp_path, vectors, monkeypatch):
    from sparseir.encode import indexing

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(indexing, "build_index", interrupted)
    outcome = run("index", "build", tmp_path / "index", "--vectors", vectors)
    assert outcome.code == 1
    assert "interrupted" in outcome.err
    monkeypatch.undo()
    assert run("search", tmp_path / "index", "cat").code == 1
    assert run("index", "build", tmp_path / "index", "--vectors", vectors).code == 0


def test_a_recall_target_reports_what_was_measured_and_on_what(run, tmp_path, vectors):
    assert run("index", "build", tmp_path / "index", "--vectors", vectors).code == 0
    queries = write_jsonl(
        tmp_path / "queries.jsonl", [{"id": f"q{i}", "contents": "", "vector": {"cat": 1.0 + i}} for i in range(9)]
    )
    target = ("search", tmp_path / "index", "--query-vectors", queries, "-k", "2", "--recall-target", "0.9")
    made_up = run(*target, "--json")
    assert made_up.code == 0, made_up.err
    (line,) = [json.loads(text) for text in made_up.err.splitlines() if text.startswith("{")]
    assert line["calibration"]["source"] == "inference-free pseudo-queries"
    assert line["calibration"]["target"] == 0.9
    assert line["calibration"]["knobs"] is None  # too small an index to be faster than exact search
    given = run(*target, "--calibrate-on", queries)
    assert given.code == 0, given.err
    assert "searched exactly; nothing faster was shown to reach recall@2 0.9 on 6 given queries" in given.err
    assert "on 6 given queries" in run(*target).err  # kept beside the index
    refused = run("search", tmp_path / "index", "--query-vectors", queries, "--calibrate-on", queries)
    assert refused.code == 2
    assert "--recall-target" in refused.err
