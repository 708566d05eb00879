"""Vectors from another tool → index → run file, through the command line, without a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from indexer import Documents, SparseVectors, open_index
from indexer.interchange import Vocabulary, write_vectors
from sparseir.search.batches import rows_for
from tests.integration.conftest import VECTORS, refused_build, write_jsonl


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
    assert message in refused_build(run, tmp_path / "vectors.jsonl", VECTORS, line)
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
        ["index", "build", "INDEX", "--vectors", "v.jsonl", "--idf", "corpus"],
        ["index", "build", "INDEX", "--vectors", "v.jsonl", "--max-active-dims", "9"],
        ["index", "build", "INDEX", "--vectors", "v.jsonl", "--set", "order"],
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
    other = run(*target, "--engine", "exact_float")
    assert (other.code, "excludes --engine exact_float" in other.err) == (2, True)
    unstored = run("search", tmp_path / "index", "--query-vectors", queries, "--engine", "exact_float")
    assert (unstored.code, "build it with --set stored_weights=f32" in unstored.err) == (1, True)


def matrix(path: Path, terms: list[str], rows: list[list[int]]) -> Path:
    """A matrix with named columns, the row's terms weighing 1."""
    ids = [SparseVectors.from_arrays([0, len(r)], r, [1.0] * len(r), len(terms)) for r in rows]
    batch = Documents(SparseVectors.concatenate(ids), [f"{path.stem}{i}" for i in range(len(rows))])
    write_vectors(path, [batch], vocabulary=Vocabulary.fixed(terms))
    return path


@pytest.mark.parametrize("ending", ["npz", "csr"])
def test_numbers_that_mean_other_terms_are_refused(run, tmp_path, ending):
    """Term 1 is 'b' in the index: a matrix that calls it 'c' would answer for other words, without a word."""
    index = tmp_path / "index"
    assert run("index", "build", index, "--vectors", matrix(tmp_path / f"d.{ending}", ["a", "b"], [[0], [1]])).code == 0
    same = run("search", index, "--query-vectors", matrix(tmp_path / f"q.{ending}", ["a", "b"], [[1]]))
    assert [line.split()[2] for line in same.out.splitlines()] == ["d1"]
    other = matrix(tmp_path / f"o.{ending}", ["a", "c"], [[1]])
    for command in (["search", index, "--query-vectors", other], ["index", "add", index, "--vectors", other]):
        refused = run(*command)
        assert refused.code == 1
        assert "term id 1 is 'c' here and 'b' in the index" in refused.err
    folder = tmp_path / "folder"
    folder.mkdir()
    matrix(folder / f"a.{ending}", ["a", "b"], [[0]])
    matrix(folder / f"b.{ending}", ["a", "b"], [[1]])
    assert run("index", "add", index, "--vectors", folder).code == 0
    matrix(folder / f"c.{ending}", ["b", "a"], [[1]])
    mixed = run("index", "build", tmp_path / "mixed", "--vectors", folder)
    assert mixed.code == 1
    assert "term id 0 is 'b' here and 'a'" in mixed.err


def test_many_queries_as_json(run, tmp_path, vectors):
    run("index", "build", tmp_path / "index", "--vectors", vectors)
    queries = write_jsonl(
        tmp_path / "q.jsonl",
        [{"id": "q 1", "contents": "", "vector": {"cat": 1}}, {"id": "q2", "contents": "", "vector": {"dog": 1}}],
    )
    searched = run("search", tmp_path / "index", "--query-vectors", queries, "--json")
    hits = [json.loads(line) for line in searched.out.splitlines()]
    assert [(h["qid"], h["rank"], h["docno"]) for h in hits] == [("q 1", 1, "d2"), ("q 1", 2, "d4"), ("q2", 1, "d4")]
    assert hits[0]["score"] == hits[1]["score"]  # only a run file needs scores that fall
    both = ("--json", "--output", tmp_path / "run.trec")
    assert run("search", tmp_path / "index", "--query-vectors", queries, *both).code == 2


def test_a_file_of_names_that_is_not_text_is_named(run, tmp_path, vectors):
    run("index", "build", tmp_path / "index", "--vectors", vectors)
    (tmp_path / "ids.txt").write_bytes(b"\xef\xbb\xbfd1\r\n\n\xff\xfe\n")
    refused = run("index", "delete", tmp_path / "index", "--ids", tmp_path / "ids.txt")
    assert refused.code == 1
    assert "ids.txt:3: not UTF-8" in refused.err
    (tmp_path / "ids.txt").write_bytes(b"\xef\xbb\xbfd1\r\n\n")
    assert "1 document deleted" in run("index", "delete", tmp_path / "index", "--ids", tmp_path / "ids.txt").out


def test_a_field_no_document_has_is_refused_before_the_build(run, tmp_path, vectors):
    rows = [{"id": f"d{i}", "vector": {"a": 1.0}, "lang": "en"} for i in range(1500)]
    rows.append({"id": "last", "vector": {"a": 1.0}, "year": 2000})
    listed = write_jsonl(tmp_path / "v.jsonl", rows)
    corpus = write_jsonl(tmp_path / "corpus.jsonl", [{"id": row["id"], "text": "x", "topic": "t"} for row in rows])
    build = ("index", "build", tmp_path / "index", "--vectors", listed)
    for beside in ((), ("--corpus", corpus)):
        refused = run(*build, *beside, "--metadata", "yaer,lang")
        assert refused.code == 1
        assert "v.jsonl: no document has the field 'yaer' to filter by; did you mean 'year'?" in refused.err
        assert not (tmp_path / "index").exists()
    built = run(*build, "--corpus", corpus, "--metadata", "year,topic,lang")
    assert (built.code, built.err) == (0, "")
    assert set(open_index(tmp_path / "index").field_kinds) == {"year", "topic", "lang"}
    refused = run("index", "build", tmp_path / "other", "--vectors", vectors, "--metadata", "year")
    assert refused.code == 1
    assert "no document has the field 'year' to filter by (found: none)" in refused.err


def test_an_output_that_cannot_be_written_is_refused_before_the_work(run, tmp_path, vectors):
    run("index", "build", tmp_path / "index", "--vectors", vectors)
    search = ("search", tmp_path / "index", "--query-vectors", vectors, "--output")
    for target, message in (
        (tmp_path / "index" / "manifest.json" / "run.trec", "can be made"),
        (tmp_path, "exists already"),
    ):
        refused = run(*search, target)
        assert refused.code == 1
        assert message in refused.err
        assert ".part" not in refused.err


def test_a_setting_that_does_not_exist_is_named_beside_those_that_do(run, tmp_path, vectors):
    refused = run("index", "build", tmp_path / "index", "--vectors", vectors, "--set", "foo=1")
    assert refused.code == 2
    assert "foo: unknown key; there are doc_scale, order, stored_weights, metadata" in refused.err


def test_an_argument_that_is_not_text_is_wrong_usage(run):
    refused = run("search", "index", "caf\udce9")
    assert refused.code == 2
    assert "b'caf\\xe9' is not UTF-8" in refused.err


def test_more_hits_than_documents_take_no_room(run, tmp_path, vectors):
    """k of a thousand million would reserve twelve gigabytes a query."""
    run("index", "build", tmp_path / "index", "--vectors", vectors)
    searched = run("search", tmp_path / "index", "--query-vectors", vectors, "-k", "1000000000")
    assert searched.code == 0
    assert [line.split()[2] for line in searched.out.splitlines() if line.startswith("d4 ")] == ["d4", "d2"]
    assert rows_for(1000) == 512
    assert rows_for(10**6) * 12 * 10**6 <= 2**28
    assert rows_for(2**30) == 1
