"""Compaction equals a fresh build of the live documents, section by section."""

from __future__ import annotations

import numpy as np
import pytest

from indexer import (
    IndexConfig,
    SparseVectors,
    add_documents,
    build_index,
    compact_index,
    delete_documents,
    open_index,
    verify_index,
)
from indexer.format.term_lists import read_lists
from tests import oracle
from tests.unit.test_build import random_vectors

POSTINGS = (
    "TERM", "TREC", "DOCS", "DOCO", "DOCB", "IMPA", "CELL", "WNID", "WNST", "LADD", "BMAX", "BLEV", "SMAX", "BITS", "FWGT",
)  # fmt: skip


def history(path, parts, config, gone):
    """Build from the first part, add the others, delete: (live rows, their names)."""
    names = [f"n{i}é" for i in range(sum(map(len, parts)))]
    fields = [{"title": f"t{i}", "year": i % 7, "lang": "de" if i % 3 else None} for i in range(len(names))]
    at = 0
    for number, part in enumerate(parts):
        here = slice(at, at + len(part))
        if number == 0:
            build_index(path, part, docnos=names[here], fields=fields[here], config=config)
        else:
            add_documents(path, part, docnos=names[here], fields=fields[here])
        at += len(part)
    delete_documents(path, ordinals=gone)
    return np.setdiff1d(np.arange(len(names)), gone), names, fields


@pytest.mark.parametrize(
    ("stored", "layout"),
    [("none", "standard"), ("f32", "standard"), ("f16", "standard"), ("none", "compact"), ("f16", "compact")],
)
@pytest.mark.parametrize("sizes", [(1,), (3, 1, 2), (900, 70, 2500)])
def test_compaction_equals_a_fresh_build(tmp_path, sizes, stored, layout):
    rng = np.random.default_rng(len(sizes))
    parts = [random_vectors(rng, n, 50, 9) for n in sizes]
    whole = SparseVectors.concatenate(parts)
    scale = float(whole.weights.max()) / 200
    config = IndexConfig(
        order="input", stored_weights=stored, doc_scale=scale, metadata=("year", "lang"), layout=layout
    )
    total = sum(sizes)
    gone = np.arange(total) if total == 1 else rng.choice(total, max(1, total // 5), replace=False)
    live, names, fields = history(tmp_path / "i", parts, config, gone.tolist())
    before = open_index(tmp_path / "i")
    report = compact_index(tmp_path / "i", num_threads=2)
    assert (report.segments_before, report.documents_dropped) == (len(sizes), len(gone))
    index = open_index(tmp_path / "i")
    assert index.num_docs == len(live) == before.num_docs
    if len(live) == 0:
        assert index.segments == ()
        return
    rows = SparseVectors.concatenate([whole.slice(i, i + 1) for i in live])
    fresh = build_index(tmp_path / "fresh", rows, config=config).segments[0]
    segment = index.segments[0]
    for name in POSTINGS:
        np.testing.assert_array_equal(segment.section(name), fresh.section(name), err_msg=name)
    assert segment.ordinals.tolist() == live.tolist()
    assert index.docnos(live) == [names[i] for i in live]
    assert index.ordinals([names[i] for i in live]).tolist() == live.tolist()
    assert index.fields(live[-3:]) == [fields[i] for i in live[-3:]]
    assert segment.column("year").values.tolist() == [i % 7 for i in live]
    lang = segment.column("lang")
    assert [lang.categories[c] if ok else None for c, ok in zip(lang.values, lang.valid, strict=True)] == [
        fields[i]["lang"] for i in live
    ]
    assert before.docnos(live[:2]) == [names[i] for i in live[:2]]  # the old snapshot still reads
    assert not list((tmp_path / "i").glob("*run*"))


def test_a_merge_in_tiny_pieces_changes_nothing(tmp_path, monkeypatch):
    rng = np.random.default_rng(1)
    parts = [random_vectors(rng, n, 60, 20) for n in (70_000, 2200)]
    config = IndexConfig(order="input", doc_scale=0.02)
    history(tmp_path / "a", parts, config, [5])
    history(tmp_path / "b", parts, config, [5])
    monkeypatch.setattr("indexer.merge.postings._SMALLEST_CHUNK", 1000)
    compact_index(tmp_path / "a", memory_budget=1)
    monkeypatch.undo()
    compact_index(tmp_path / "b")
    a, b = open_index(tmp_path / "a").segments[0], open_index(tmp_path / "b").segments[0]
    for name in b.sections:
        np.testing.assert_array_equal(a.section(name), b.section(name), err_msg=name)


def test_nothing_to_compact_changes_nothing(tmp_path):
    build_index(tmp_path / "i", SparseVectors.from_rows([{0: 1.0}], 1))
    report = compact_index(tmp_path / "i")
    assert report.bytes_before == report.bytes_after
    assert open_index(tmp_path / "i").generation == 1


def test_named_and_unnamed_segments_merge(tmp_path):
    build_index(tmp_path / "i", SparseVectors.from_rows([{0: 1.0}, {0: 2.0}], 1))
    add_documents(tmp_path / "i", SparseVectors.from_rows([{0: 1.0}], 1), docnos=["x"])
    compact_index(tmp_path / "i")
    assert open_index(tmp_path / "i").docnos([0, 1, 2]) == ["0", "1", "x"]


@pytest.mark.slow
def test_compaction_clusters_anew_and_keeps_every_document(tmp_path):
    pytest.importorskip("numba")
    rng = np.random.default_rng(2)
    parts = [random_vectors(rng, n, 50, 9) for n in (900, 1400)]
    whole = SparseVectors.concatenate(parts)
    config = IndexConfig(order="clusters", doc_scale=0.02)
    live, names, fields = history(tmp_path / "i", parts, config, [3, 1000])
    compact_index(tmp_path / "i", num_threads=2)
    verify_index(tmp_path / "i")
    index = open_index(tmp_path / "i")
    segment = index.segments[0]
    assert len(segment.section("ORDN")) == len(live)
    assert sorted(segment.ordinals.tolist()) == live.tolist()
    assert index.docnos(live) == [names[i] for i in live]
    assert index.fields(live[:5]) == [fields[i] for i in live[:5]]
    lists = read_lists(segment, 0, segment.header.num_terms)
    terms = np.repeat(lists.term_ids, np.diff(lists.start).astype(np.int64))
    found = set(zip(segment.ordinals[lists.doc_ids()].tolist(), terms.tolist(), lists.impacts.tolist(), strict=True))
    impacts = oracle.quantize_impacts(whole.weights, 0.02)
    rows = np.repeat(np.arange(len(whole)), np.diff(whole.indptr))
    keep = np.isin(rows, live)
    assert found == set(zip(rows[keep].tolist(), whole.term_ids[keep].tolist(), impacts[keep].tolist(), strict=True))
