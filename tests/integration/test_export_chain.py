"""Vectors → index → vectors → index, through the command line: every format ranks alike."""

from __future__ import annotations

import json

import pytest

from tests.integration.conftest import write_jsonl


@pytest.mark.parametrize("form", ["jsonl", "jsonl.gz", "npz", "csr", "ciff", "ciff.gz"])
def test_an_exported_index_ranks_like_the_index(run, tmp_path, vectors, form):
    assert run("index", "build", tmp_path / "index", "--vectors", vectors).code == 0
    exported = run("index", "export", tmp_path / "index", "--format", form, "--json")
    assert exported.code == 0, exported.err
    report = json.loads(exported.out)
    assert (report["documents"], report["postings"]) == (4, 7)
    built = run("index", "build", tmp_path / "again", "--vectors", tmp_path / f"index.{form}")
    assert built.code == 0, built.err
    queries = write_jsonl(tmp_path / "q.jsonl", [{"id": "q", "contents": "", "vector": {"cat": 1.0, "rain": 0.5}}])
    answers = []
    for name in ("index", "again"):
        searched = run("search", tmp_path / name, "--query-vectors", queries, "--output", tmp_path / f"{name}.trec")
        assert searched.code == 0, searched.err
        answers.append([line.split()[2:4] for line in (tmp_path / f"{name}.trec").read_text().splitlines()])
    assert answers[0] == answers[1] == [["d2", "1"], ["d4", "2"], ["d1", "3"]]


def test_export_overwrites_nothing_and_names_wrong_usage(run, tmp_path, vectors):
    run("index", "build", tmp_path / "index", "--vectors", vectors)
    target = tmp_path / "out.npz"
    assert run("index", "export", tmp_path / "index", "--output", target).code == 0
    before = target.read_bytes()
    refused = run("index", "export", tmp_path / "index", "--output", target)
    assert refused.code == 1
    assert "--overwrite" in refused.err
    assert run("index", "export", tmp_path / "index", "--output", target, "--overwrite").code == 0
    assert target.read_bytes() == before
    for arguments in (
        [],
        ["--format", "pickle"],
        ["--output", "x.txt"],
        ["--output", "x.npz", "--format", "csr"],
        ["--output", "x.npz", "--weights", "half"],
    ):
        assert run("index", "export", tmp_path / "index", *arguments).code == 2
    stored = run("index", "export", tmp_path / "index", "--output", tmp_path / "f.npz", "--weights", "stored")
    assert stored.code == 1
    assert "stores no float weights" in stored.err
