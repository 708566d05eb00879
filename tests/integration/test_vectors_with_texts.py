"""Vectors of another tool with their texts and fields; vocabularies that grow; vectors that do not belong; no vectors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from indexer import Documents, IndexConfig, SparseVectors, add_documents, build_index, open_index, verify_index
from indexer.interchange import Vocabulary, write_vectors
from sparseir.data.records import Document
from sparseir.encode.indexing import index_documents
from sparseir.encode.options import IndexingOptions
from sparseir.encode.vectors import index_vectors
from sparseir.errors import ConfigError, DataError
from tests.integration.conftest import DOCUMENTS, refused_build, write_jsonl
from tests.lexical_cases import TableEncoder

LINES = [
    {"id": "d1", "contents": "", "vector": {"rain": 2.0}, "year": 1999, "title": "Weather", "text": "It rains."},
    {
        "_id": "d2",
        "contents": "The cat sat.",
        "vector": {"cat": 1.5, "rain": 1.0},
        "year": 2004,
        "tags": ["a", {"b": 1}],
    },
    {"id": "d3", "vector": {"cat": 1.0}, "year": None},
]


def hits(run, index, terms, *more):
    """Hits of one vector as JSON."""
    queries = write_jsonl(index.parent / "q.jsonl", [{"id": "q", "vector": terms}])
    searched = run("search", index, "--query-vectors", queries, "--json", *more)
    assert searched.code == 0, searched.err
    return [json.loads(line) for line in searched.out.splitlines()]


@pytest.mark.parametrize("budget", [(), ("--memory-budget", "1KB")])
def test_what_stands_beside_a_vector_is_stored_and_filters(run, tmp_path, budget):
    vectors, index = write_jsonl(tmp_path / "v.jsonl", LINES), tmp_path / "index"
    built = run("index", "build", index, "--vectors", vectors, "--metadata", "year", *budget)
    assert (built.code, built.err) == (0, "")
    stored = open_index(index).fields([0, 1, 2])
    assert stored[0] == {"year": 1999, "title": "Weather", "text": "It rains."}
    assert stored[1] == {"year": 2004, "tags": ["a", {"b": 1}], "text": "The cat sat."}
    assert stored[2] == {}
    assert [h["docno"] for h in hits(run, index, {"rain": 1.0})] == ["d1", "d2"]
    assert [h["docno"] for h in hits(run, index, {"rain": 1.0}, "--filter", "year >= 2000")] == ["d2"]
    verify_index(index)


def test_bare_vectors_store_no_fields(run, tmp_path, vectors):
    assert run("index", "build", tmp_path / "index", "--vectors", vectors).code == 0
    assert "FLDO" not in open_index(tmp_path / "index").segments[0].sections


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "d9", "vector": {}, "text": 5}', "v.jsonl:4: 'text' is 5; expected a string"),
        ('{"id": "d9", "vector": {}, "contents": ["x"]}', "v.jsonl:4: 'text' is ['x']; expected a string"),
        ('{"id": "d9", "vector": {}, "year": NaN}', "v.jsonl:4: NaN is not a JSON number"),
        ('{"id": "d9", "vector": {}, "a": "\\ud800"}', "v.jsonl:4: 'a' holds half a character"),
        ('{"id": "d9", "vector": {}, "a": [{"b": "\\ud800"}]}', "v.jsonl:4: 'a' holds half a character"),
    ],
)
def test_a_field_that_cannot_be_stored_is_named_with_its_line(run, tmp_path, line, message):
    assert message in refused_build(run, tmp_path / "v.jsonl", LINES, line)


def test_texts_and_fields_come_from_a_corpus_by_name(run, tmp_path, vectors):
    """In another order, with one document too few and two too many."""
    texts = [*reversed(DOCUMENTS[1:]), {"_id": "x1", "text": "a"}, {"_id": "x2", "text": "b"}]
    corpus, index = write_jsonl(tmp_path / "corpus.jsonl", texts), tmp_path / "index"
    built = run("index", "build", index, "--vectors", vectors, "--corpus", corpus, "--metadata", "year")
    assert built.code == 0, built.err
    assert f"1 of 4 vectors have no document in {corpus} ('d1'); they are indexed with" in built.err
    assert f"2 of 5 documents of {corpus} have no vector ('x1', 'x2'); they are not in the index" in built.err
    opened = open_index(index)
    assert opened.fields([0, 1]) == [{}, {"year": 2004, "text": DOCUMENTS[1]["text"]}]
    assert [h["docno"] for h in hits(run, index, {"cat": 1.0}, "--filter", "year > 2010")] == ["d4"]
    assert not list(tmp_path.glob(".sparseir-*"))
    more = write_jsonl(tmp_path / "more.jsonl", [{"id": "x1", "vector": {"cat": 9.0}, "seen": True, "text": "old"}])
    added = run("index", "add", index, "--vectors", more, "--corpus", corpus)
    assert added.code == 0, added.err
    assert "4 of 5 documents" in added.err
    assert "'d4', 'd3', 'd2' and 1 more" in added.err
    assert open_index(index).fields([4]) == [{"seen": True, "text": "a"}]


def test_a_corpus_of_other_documents_is_refused(run, tmp_path, vectors):
    corpus = write_jsonl(tmp_path / "corpus.jsonl", [{"_id": "7", "text": "a"}, {"_id": "d1", "text": "b"}])
    built = run("index", "build", tmp_path / "index", "--vectors", vectors, "--corpus", corpus)
    assert built.code == 1
    assert f"3 of 4 vectors have no document in {corpus} ('d2', 'd3', 'd4'; the corpus has '7')" in built.err
    assert run("search", tmp_path / "index", "x").code == 1
    write_vectors(tmp_path / "v.npz", SparseVectors.from_rows([{0: 1.0}], 1))
    unnamed = run("index", "build", tmp_path / "index", "--vectors", tmp_path / "v.npz", "--corpus", corpus)
    assert unnamed.code == 1
    assert "these vectors have no names" in unnamed.err


def test_a_broken_corpus_is_named_and_leaves_nothing(run, tmp_path, vectors):
    corpus = write_jsonl(tmp_path / "corpus.jsonl", DOCUMENTS)
    corpus.write_text(corpus.read_text() + "{broken\n")
    built = run("index", "build", tmp_path / "index", "--vectors", vectors, "--corpus", corpus)
    assert built.code == 1
    assert "corpus.jsonl:5" in built.err
    assert not list(tmp_path.glob(".sparseir-*"))
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize("arguments", [["--lexical"], ["--bm25"], ["--idf", "corpus"], ["--max-active-dims", "3"]])
def test_what_needs_texts_to_encode_does_not_go_with_vectors(run, tmp_path, vectors, arguments):
    corpus = write_jsonl(tmp_path / "corpus.jsonl", DOCUMENTS)
    given = ("--vectors", vectors, "--corpus", corpus)
    assert run("index", "build", tmp_path / "index", *given, *arguments).code == 2


def test_new_terms_are_added(run, tmp_path, vectors):
    index = tmp_path / "index"
    assert run("index", "build", index, "--vectors", vectors).code == 0
    before = open_index(index)
    more = write_jsonl(tmp_path / "more.jsonl", [{"id": "d9", "vector": {"find": 1.0, "cat": 0.5}}])
    added = run("index", "add", index, "--vectors", more)
    assert (added.code, added.err) == (0, "")
    after = open_index(index)
    assert (before.num_terms, after.num_terms) == (5, 6)
    assert Vocabulary.load(after.query_side).terms == ["rain", "city", "cat", "mat", "dog", "find"]
    assert [h["docno"] for h in hits(run, index, {"find": 1.0})] == ["d9"]
    assert [h["docno"] for h in hits(run, index, {"cat": 1.0})] == ["d2", "d4", "d9"]
    assert verify_index(index).documents == 5
    same = write_jsonl(tmp_path / "same.jsonl", [{"id": "d10", "vector": {"cat": 0.5}}])
    assert run("index", "add", index, "--vectors", same).code == 0
    assert open_index(index).query_side == after.query_side  # nothing new: it stays
    compacted = run("index", "compact", index)
    assert compacted.code == 0
    assert [h["docno"] for h in hits(run, index, {"find": 1.0})] == ["d9"]


def test_an_index_first_built_of_empty_vectors_takes_terms(run, tmp_path):
    empty = write_jsonl(tmp_path / "e.jsonl", [{"id": "e", "vector": {}}])
    assert run("index", "build", tmp_path / "index", "--vectors", empty).code == 0
    more = write_jsonl(tmp_path / "more.jsonl", [{"id": "m", "vector": {"a": 1.0, "b": 2.0}}])
    assert run("index", "add", tmp_path / "index", "--vectors", more).code == 0
    assert [h["docno"] for h in hits(run, tmp_path / "index", {"b": 1.0})] == ["m"]


def matrix(path: Path, rows, num_terms, terms=None) -> Path:
    vectors = SparseVectors.from_rows(rows, num_terms)
    names = [f"{path.stem}{i}" for i in range(len(rows))]
    write_vectors(path, [Documents(vectors, names)], vocabulary=Vocabulary.fixed(terms) if terms else None)
    return path


@pytest.mark.parametrize("ending", ["npz", "csr"])
def test_numbers_grow_too(run, tmp_path, ending):
    """With strings beside them, without any, and refused where the index has strings and they have none."""
    plain, named = tmp_path / "plain", tmp_path / "named"
    assert (
        run("index", "build", plain, "--vectors", matrix(tmp_path / f"a.{ending}", [{0: 1.0}, {1: 1.0}], 2)).code == 0
    )
    added = run("index", "add", plain, "--vectors", matrix(tmp_path / f"b.{ending}", [{6: 1.0}], 7))
    assert added.code == 0, added.err
    assert open_index(plain).num_terms == 7
    decimal = write_jsonl(tmp_path / "n.jsonl", [{"id": "n", "vector": {"9": 1.0}}])
    assert run("index", "add", plain, "--vectors", decimal).code == 0
    assert open_index(plain).num_terms == 10
    words = run(
        "index", "add", plain, "--vectors", write_jsonl(tmp_path / "w.jsonl", [{"id": "w", "vector": {"x": 1}}])
    )
    assert words.code == 1
    assert "known by number alone" in words.err
    first = matrix(tmp_path / f"c.{ending}", [{0: 1.0}], 2, ["a", "b"])
    assert run("index", "build", named, "--vectors", first).code == 0
    assert (
        run("index", "add", named, "--vectors", matrix(tmp_path / f"d.{ending}", [{2: 1.0}], 3, ["a", "b", "c"])).code
        == 0
    )
    assert Vocabulary.load(open_index(named).query_side).terms == ["a", "b", "c"]
    unnamed = run("index", "add", named, "--vectors", matrix(tmp_path / f"f.{ending}", [{3: 1.0}], 4))
    assert unnamed.code == 1
    assert "has terms up to number 3, and the index strings for 3" in unnamed.err
    assert [h["docno"] for h in hits(run, named, {"c": 1.0})] == ["d0"]


def test_ids_grow_in_python_where_nothing_fixed_them(tmp_path):
    build_index(tmp_path / "i", SparseVectors.from_rows([{0: 1.0}], 1))
    assert add_documents(tmp_path / "i", SparseVectors.from_rows([{4: 1.0}], 9)).num_terms == 5
    verify_index(tmp_path / "i")


@pytest.mark.parametrize("name", ["v.jsonl", "v.npz", "v.csr", "v.ciff"])
def test_files_without_a_vector_are_refused_as_an_empty_corpus_is(run, tmp_path, vectors, name):
    path = tmp_path / name
    write_vectors(path, [Documents(SparseVectors.empty(0, 1), [])], vocabulary=Vocabulary.fixed(["a"]))
    built = run("index", "build", tmp_path / "index", "--vectors", path)
    assert built.code == 1
    assert f"{path}: holds no documents" in built.err
    assert not (tmp_path / "index" / "manifest.json").exists()
    assert run("index", "build", tmp_path / "index", "--vectors", vectors).code == 0
    assert run("index", "add", tmp_path / "index", "--vectors", path).code == 1


def test_vectors_and_models_do_not_mix_unasked(tmp_path, vectors):
    texts = [Document("a", "cats in the park")]
    index_documents(tmp_path / "model", TableEncoder(), texts)
    adding = IndexingOptions(mode="add")
    with pytest.raises(ConfigError, match=r"index 'model' was made by the model .*vectors\.jsonl was: name the model"):
        index_vectors(tmp_path / "model", vectors, options=adding)
    index_vectors(tmp_path / "plain", vectors)
    for call in (
        lambda: index_vectors(tmp_path / "plain", vectors, options=adding, encoder=TableEncoder()),
        lambda: index_documents(tmp_path / "plain", TableEncoder(), texts, options=adding),
    ):
        with pytest.raises(ConfigError, match=r"(without|does not know) .* (build|built?) a new index"):
            call()
    assert open_index(tmp_path / "plain").num_docs == 4


def test_vectors_of_the_index_s_own_model_are_added(tmp_path):
    encoder = TableEncoder()
    index_documents(tmp_path / "i", encoder, [Document("a", "cats in the park")])
    term = encoder.terms()[0]
    path = write_jsonl(tmp_path / "v.jsonl", [{"id": "b", "vector": {term: 1.0}}])
    assert index_vectors(tmp_path / "i", path, options=IndexingOptions(mode="add"), encoder=encoder).num_docs == 2
    path = write_jsonl(tmp_path / "w.jsonl", [{"id": "c", "vector": {"unheard of": 1.0}}])
    with pytest.raises(DataError, match=r"which is fixed .by a model.*give vectors of the same model"):
        index_vectors(tmp_path / "i", path, options=IndexingOptions(mode="add"), encoder=encoder)


def test_the_manifest_says_where_vectors_came_from(run, tmp_path, vectors):
    assert run("index", "build", tmp_path / "index", "--vectors", vectors).code == 0
    assert json.loads((tmp_path / "index" / "manifest.json").read_text())["source"] == "vectors.jsonl"
    assert "encoder not recorded, vectors of vectors.jsonl" in run("index", "inspect", tmp_path / "index").out
    index_documents(tmp_path / "model", TableEncoder(), [Document("a", "cats")])
    assert "source" not in json.loads((tmp_path / "model" / "manifest.json").read_text())


def test_cut_weights_are_said_on_the_command_line(run, tmp_path):
    index = tmp_path / "index"
    small = write_jsonl(tmp_path / "a.jsonl", [{"id": n, "vector": {n: 0.1}} for n in "abc"])
    assert run("index", "build", index, "--vectors", small, "--set", "stored_weights=f32").err == ""
    large = {"low": 0.5, "mid": 1.5, "high": 3.0}
    more = write_jsonl(tmp_path / "b.jsonl", [{"id": n, "vector": {"a": w}} for n, w in large.items()])
    added = run("index", "add", index, "--vectors", more)
    assert added.code == 0
    assert "3 of 3 (100%) weights are above 0.1, the most that impacts hold here" in added.err
    compacted = run("index", "compact", index)
    assert "impacts were made anew from the stored weights; 255 now stands for 3" in compacted.err
    found = hits(run, index, {"a": 1.0})
    assert [h["docno"] for h in found] == ["high", "mid", "low", "a"]
    assert [h["score"] for h in found] == pytest.approx([3.0, 1.5, 0.5, 0.1], abs=3 / 255)


def test_exact_float_without_weights_says_how_to_store_them(run, tmp_path, vectors):
    run("index", "build", tmp_path / "index", "--vectors", vectors)
    refused = run("search", tmp_path / "index", "--query-vectors", vectors, "--engine", "exact_float")
    assert refused.code == 1
    assert "--set stored_weights=f32" in refused.err
    assert IndexConfig(stored_weights="f32").stored_weights == "f32"  # the key and the value that it names
