"""`index export --format ENGINE` and `index query` through the command line."""

from __future__ import annotations

import json

import pytest

from sparseir.cli.index.export import ENGINES
from tests.integration.conftest import DOCUMENTS, write_jsonl


def test_the_engines_of_the_command_line_are_those_there_are():
    from indexer.interchange.stores import STORES

    assert tuple(STORES) == ENGINES


@pytest.fixture
def words(run, tmp_path):
    """A BM25 index, which carries its query side."""
    corpus = write_jsonl(tmp_path / "corpus.jsonl", DOCUMENTS)
    assert run("index", "build", tmp_path / "index", "--bm25", "--corpus", corpus, "--metadata", "year").code == 0
    return tmp_path / "index"


@pytest.mark.parametrize("form", ENGINES)
def test_export_check_and_query(run, tmp_path, words, form):
    queries = tmp_path / "queries.tsv"
    queries.write_text("q1\tcats and dogs\nq2\train in the city\n")
    done = run("index", "export", words, "--format", form, "--check", "--queries", queries, "--json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert report["documents"] == 4
    assert (report["check"]["overlap"], report["check"]["failed"]) == (1.0, [])
    assert report["check"]["must_equal"] == (0 if form in ("opensearch-ann", "seismic") else 2)
    out = tmp_path / f"index.{form}"
    assert "year" in next(out.glob("[dp]o*s*")).read_text()
    readme = (out / "README.md").read_text()
    assert f"--format {form}" in readme
    assert "## What the linter said" in readme
    plain = run("index", "export", words, "--format", form, "--check", "--output", tmp_path / "again", "--name", "cats")
    assert plain.code == 0, plain.err
    assert "check: " in plain.out
    assert "pseudo-queries, overlap@10 1.0000" in plain.out
    assert ("note: " in plain.err) == bool(report["findings"])
    asked = run("index", "query", words, "cats and dogs", "--format", form, "-k", 2, "--name", "cats")
    assert asked.code == 0, asked.err
    assert "cat" in asked.out if form in ("opensearch", "seismic") else asked.out
    if form != "pgvector":
        json.loads(asked.out)


def test_wrong_usage_is_refused_before_the_work(run, tmp_path, words):
    refused = run("index", "export", words, "--format", "vespa", "--weights", "scaled")
    assert refused.code == 1
    assert "vespa cannot hold weights 'scaled'" in refused.err
    for arguments in (
        ["--format", "npz", "--check"],
        ["--format", "solr"],
        ["--format", "vespa", "--queries", "q.tsv"],
        ["--format", "vespa", "--weights", "half"],
        ["--format", "vespa", "--file-size", "much"],
    ):
        assert run("index", "export", words, *arguments).code == 2, arguments
    assert run("index", "export", words, "--format", "qdrant").code == 0
    again = run("index", "export", words, "--format", "qdrant")
    assert again.code == 1
    assert "--overwrite" in again.err
    assert run("index", "export", words, "--format", "qdrant", "--overwrite").code == 0
    nothing = run("index", "query", words, "xyzzy", "--format", "qdrant")
    assert nothing.code == 1
    assert "no term with a weight" in nothing.err
    assert run("index", "query", words, "cat", "--format", "solr").code == 1
