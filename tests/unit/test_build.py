"""What a built segment holds, against the definitions of docs/index-format.md computed the slow way."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from indexer import Documents, IndexConfig, SparseVectors, build_index, open_index, verify_index
from indexer.errors import ConfigError, DataError, IndexFormatError
from indexer.format.segment import SegmentFile
from tests import oracle, segment_reference


def random_vectors(rng, rows, num_terms, mean):
    weights = []
    for _ in range(rows):
        n = min(num_terms, int(rng.poisson(mean)))
        terms = (
            rng.choice(num_terms, n, replace=False)
            if rng.random() < 0.5
            else np.unique(rng.integers(0, 1 + num_terms // 8, n))
        )
        weights.append({int(t): float(rng.gamma(1.0, 0.6)) + 1e-4 for t in terms})
    return SparseVectors.from_rows(weights, num_terms)


def doc_ids_of(segment, t):
    """Absolute doc_ids of the term at place t, from its directory."""
    record = segment.section("TREC")[t]
    start, df = int(record["postings_start"]), int(record["df"])
    low = segment.section("DOCS")[start : start + df].astype(np.int64)
    if record["cell_shift"] == 255:
        at, n = int(record["directory_start"]), int(record["num_windows"])
        first = segment.section("WNST")[at : at + n].astype(np.int64)
        window = np.repeat(segment.section("WNID")[at : at + n].astype(np.int64), np.diff(np.append(first, df)))
    else:
        shift, at = int(record["cell_shift"]), int(record["directory_start"])
        cells = segment.section("CELL")[at : at + -(-segment.num_docs >> shift) + 1].astype(np.int64)
        assert cells[0] == 0
        assert cells[-1] == df
        window = np.repeat(np.arange(len(cells) - 1) >> (16 - shift), np.diff(cells))
    return window * 65536 + low


@pytest.mark.parametrize(("rows", "threads"), [(1, 1), (70, 1), (3000, 2), (70_000, 2)])
def test_postings_equal_the_quantised_input(tmp_path, rows, threads):
    check_build(tmp_path, rows, threads, "input")


@pytest.mark.slow
@pytest.mark.parametrize("order", ["clusters", "bisection"])
def test_a_reordered_segment_holds_the_same_documents(tmp_path, order):
    pytest.importorskip("numba")
    check_build(tmp_path, 3000, 2, order)


def check_build(tmp_path, rows, threads, order):
    rng = np.random.default_rng(rows)
    vectors = random_vectors(rng, rows, 400, 6 if rows > 10_000 else 40)
    index = build_index(tmp_path / "index", vectors, config=IndexConfig(order=order), num_threads=threads)
    segment = index.segments[0]
    doc_of_row = np.argsort(segment.ordinals)
    assert (order == "input") == (len(segment.section("ORDN")) == 0)
    assert (np.sort(segment.ordinals) == np.arange(rows)).all()
    impacts = oracle.quantize_impacts(vectors.weights, index.doc_scale)
    row = np.repeat(doc_of_row, np.diff(vectors.indptr))
    order = np.lexsort((row, vectors.term_ids))
    term_ids = segment.section("TERM")
    np.testing.assert_array_equal(term_ids, np.unique(vectors.term_ids))
    docs = np.concatenate([doc_ids_of(segment, t) for t in range(len(term_ids))])
    np.testing.assert_array_equal(docs, row[order])
    np.testing.assert_array_equal(segment.section("IMPA"), impacts[order])
    check_tables(segment, row[order], impacts[order])


def check_tables(segment, docs, impacts):
    superblocks = -(-segment.num_docs // 2048)
    for t, record in enumerate(segment.section("TREC")):
        part = slice(int(record["postings_start"]), int(record["postings_start"]) + int(record["df"]))
        best = np.sort(impacts[part])[::-1]
        assert record["list_max"] == best[0]
        ladder = [best[2**j - 1] if 2**j <= len(best) else 0 for j in range(15)] + [0]
        np.testing.assert_array_equal(segment.section("LADD").reshape(-1, 16)[t], ladder)
        row = int(record["bound_row"])
        assert (row != 0xFFFFFFFF) == (segment.num_docs > 2048 and len(best) > segment.num_docs // 192)
        if row == 0xFFFFFFFF:
            continue
        block_max = np.zeros(superblocks * 64, np.uint8)
        np.maximum.at(block_max, docs[part] >> 5, impacts[part])
        levels = segment.section("BLEV").reshape(-1, 16)[row]
        assert levels[0] == 0
        assert levels[15] == best[0]
        assert (np.diff(levels.astype(int)) >= 0).all()
        packed = segment.section("BMAX").reshape(-1, superblocks, 32)[row]
        codes = np.concatenate([packed & 15, packed >> 4], axis=1).reshape(-1)
        np.testing.assert_array_equal(codes, np.searchsorted(levels, block_max))
        np.testing.assert_array_equal(
            segment.section("SMAX").reshape(-1, superblocks)[row], block_max.reshape(-1, 64).max(axis=1)
        )


def test_names_fields_and_columns_travel(tmp_path):
    vectors = SparseVectors.from_rows([{0: 1.0}, {}, {4: 2.0}], 5)
    names = ["ä/1", "", "名"]
    fields = [{"title": "a", "year": 1999}, {"year": None}, {"title": "c", "year": 2001.5}]
    side = tmp_path / "side"
    side.mkdir()
    (side / "query.json").write_text("{}")
    index = build_index(
        tmp_path / "i",
        vectors,
        docnos=names,
        fields=fields,
        config=IndexConfig(metadata=("year", "title")),
        query_side=side,
        encoder="abc",
    )
    assert index.docnos([0, 1, 2, 3]) == [*names, None]
    assert index.ordinals(["名", "nobody", ""]).tolist() == [2, -1, 1]
    assert index.fields([2, 0]) == [fields[2], fields[0]]
    year = index.segments[0].column("year")
    assert year.kind == "float"
    assert year.values[year.valid].tolist() == [1999.0, 2001.5]
    title = index.segments[0].column("title")
    assert [title.categories[c] for c in title.values[title.valid]] == ["a", "c"]
    assert index.field_kinds == {"year": "float", "title": "str"}
    assert (index.query_side / "query.json").read_text() == "{}"
    assert index.encoder.fingerprint == "abc"


def test_without_names_a_document_is_called_by_its_ordinal(tmp_path):
    index = build_index(tmp_path / "i", SparseVectors.from_rows([{0: 1.0}, {1: 1.0}], 2))
    assert index.docnos([1, 0]) == ["1", "0"]
    assert index.ordinals(["1", "01", "2", "x"]).tolist() == [1, -1, -1, -1]


def test_a_docno_given_twice_is_named_with_both_rows(tmp_path):
    vectors = SparseVectors.empty(3, 1)
    with pytest.raises(DataError, match=r"'x' stands in row 0 and again in row 2"):
        build_index(tmp_path / "i", vectors, docnos=["x", "y", "x"])


def test_no_documents_and_only_empty_documents(tmp_path):
    assert build_index(tmp_path / "a", SparseVectors.empty(0, 7)).num_docs == 0
    index = build_index(tmp_path / "b", SparseVectors.empty(2, 7))
    assert (index.num_docs, index.num_postings, index.num_terms) == (2, 0, 7)


def test_huge_vocabulary_and_batches(tmp_path):
    last = 2**32 - 2
    batches = [
        SparseVectors.from_rows([{0: 1.0, last: 0.5}], last + 1),
        SparseVectors.from_rows([{last: 2.0}], last + 1),
    ]
    index = build_index(tmp_path / "i", iter(batches))
    assert index.segments[0].section("TERM").tolist() == [0, last]
    assert index.segments[0].section("IMPA").tolist() == [128, 64, 255]


def test_an_index_is_replaced_only_when_asked(tmp_path):
    vectors = SparseVectors.from_rows([{0: 1.0}], 1)
    first = build_index(tmp_path / "i", vectors)
    with pytest.raises(ConfigError, match="holds an index already"):
        build_index(tmp_path / "i", vectors)
    second = build_index(tmp_path / "i", vectors, overwrite=True)
    assert second.generation == first.generation + 1
    assert first.segments[0].section("IMPA").tolist() == [255]  # the old snapshot still reads
    assert first.refresh().generation == second.generation
    assert len(list((tmp_path / "i").glob("*.seg"))) == 1


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(ConfigError, match=r"thesis\.tex"):
        build_index(tmp_path, SparseVectors.empty(1, 1), overwrite=True)
    with pytest.raises(IndexFormatError, match="holds no index"):
        open_index(tmp_path)


@pytest.mark.parametrize(
    ("layout", "rules"),
    [
        ("standard", segment_reference.Rules()),
        ("packed", segment_reference.packed_rules()),
        ("compact", segment_reference.compact_rules()),
    ],
)
@pytest.mark.parametrize("num_docs", [0, 1, 300, 5000])
def test_segment_equals_the_reference_builder(tmp_path, layout, rules, num_docs):
    """Every section, byte by byte, against the independent numpy builder."""
    vectors = random_vectors(np.random.default_rng(5), num_docs, 60, 9)
    index = build_index(tmp_path / "i", vectors, config=IndexConfig(order="input", layout=layout))
    if num_docs == 0:
        assert index.segments == ()
        return
    impacts = oracle.quantize_impacts(vectors.weights, index.doc_scale)
    reference_bytes = segment_reference.build_segment(vectors.indptr, vectors.term_ids, impacts, rules=rules)
    (tmp_path / "reference.seg").write_bytes(reference_bytes)
    reference = SegmentFile(tmp_path / "reference.seg")
    segment = index.segments[0]
    assert segment.header == reference.header
    assert segment.sections.keys() == reference.sections.keys()
    assert len(segment.section("BITS")) > 0 or num_docs < 5000
    for name in segment.sections:
        np.testing.assert_array_equal(segment.section(name), reference.section(name), err_msg=name)


@pytest.mark.parametrize(
    "config",
    [
        IndexConfig(order="input"),
        IndexConfig(doc_scale=0.01, stored_weights="f16"),
        IndexConfig(order="input", layout="compact"),
    ],
)
def test_a_build_within_a_budget_gives_the_same_segment(tmp_path, config, monkeypatch):
    """Runs spilled and merged against one inversion in memory, from a matrix and from batches with names and fields."""
    monkeypatch.setattr("indexer.merge.runs._SMALLEST_RUN", 900)
    vectors = random_vectors(np.random.default_rng(8), 4000, 60, 9)
    names = [f"d{i}" for i in range(4000)]
    fields = [{"year": i % 5} for i in range(4000)]
    whole = build_index(tmp_path / "whole", vectors, docnos=names, fields=fields, config=config)
    cuts = [0, 1, 1500, 1500, 4000]
    batches = (Documents(vectors.slice(a, b), names[a:b], fields[a:b]) for a, b in pairwise(cuts))
    built = {
        "sliced": build_index(
            tmp_path / "a", vectors, docnos=names, fields=fields, config=config, memory_budget=1, num_threads=2
        ),
        "batches": build_index(tmp_path / "b", batches, config=config, memory_budget=1),
    }
    for how, index in built.items():
        assert index.doc_scale == whole.doc_scale
        assert index.segments[0].entry.num_clipped == whole.segments[0].entry.num_clipped
        for name in whole.segments[0].sections:
            np.testing.assert_array_equal(
                index.segments[0].section(name), whole.segments[0].section(name), err_msg=f"{how} {name}"
            )
        assert {p.name for p in index.path.iterdir()} == {"manifest.json", "write.lock", index.segments[0].entry.file}


def test_a_docno_given_twice_in_different_runs(tmp_path, monkeypatch):
    monkeypatch.setattr("indexer.merge.runs._SMALLEST_RUN", 2)
    vectors = SparseVectors.from_rows([{0: 1.0}, {1: 1.0}, {0: 2.0}, {1: 3.0}], 2)
    with pytest.raises(DataError, match="'x' stands in row 1 and again in row 3"):
        build_index(tmp_path / "i", vectors, docnos=["a", "x", "b", "x"], memory_budget=1)


def test_names_and_fields_must_be_one_a_row(tmp_path):
    vectors = SparseVectors.empty(3, 1)
    for names in (["a", "b"], ["a", "b", "c", "d"]):
        with pytest.raises(DataError, match="rows beside"):
            build_index(tmp_path / "i", vectors, docnos=names)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace('"version": 1', '"version": 99'),
        lambda text: text[:40],
        lambda text: text.replace("num_terms", "num_terns"),
        lambda text: "",
        lambda text: "[]",
    ],
)
def test_overwrite_replaces_what_is_damaged_or_of_another_version(tmp_path, damage):
    """It is what the messages about such an index advise."""
    path = tmp_path / "i"
    build_index(path, SparseVectors.from_rows([{0: 1.0}] * 3, 2))
    manifest = path / "manifest.json"
    before = manifest.read_text()
    manifest.write_text(damage(before))
    assert manifest.read_text() != before
    with pytest.raises(IndexFormatError):
        open_index(path)
    with pytest.raises(ConfigError, match="overwrite"):
        build_index(path, SparseVectors.from_rows([{0: 1.0}], 2))
    built = build_index(path, SparseVectors.from_rows([{0: 1.0}] * 5, 2), overwrite=True)
    assert built.num_docs == len(open_index(path)) == 5
    assert built.generation > 1
    assert verify_index(path).documents == 5
