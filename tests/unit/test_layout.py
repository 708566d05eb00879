"""Layouts of an index: the same hits from fewer bytes, chosen at build or by compaction."""

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
from indexer.config import LAYOUTS
from indexer.inspect import inspect_index
from indexer.interchange import open_vectors
from indexer.interchange.export import export_index
from sparseir.errors import ConfigError
from sparseir.search.approximate import ApproximateConfig
from sparseir.search.searcher import Searcher

NUM_TERMS = 120


def vectors_of(rng, count):
    """Terms whose frequencies fall from one in two documents to a few in all: every kind of list."""
    share = 0.5 / (1 + np.arange(NUM_TERMS)) ** 1.3
    present = rng.random((count, NUM_TERMS)) < share
    rows = [{int(t): float(rng.gamma(1.0)) + 0.01 for t in np.flatnonzero(row)} for row in present]
    return SparseVectors.from_rows(rows, NUM_TERMS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The same three-part history in each layout, in folders of their names."""
    base = tmp_path_factory.mktemp("layout")
    rng = np.random.default_rng(3)
    parts = [vectors_of(rng, n) for n in (6000, 40, 700)]
    for layout in LAYOUTS:
        config = IndexConfig(layout=layout, metadata=("even",))
        at = 0
        for part in parts:
            names = [f"n{i}" for i in range(at, at + len(part))]
            fields = [{"even": i % 2 == 0, "title": f"t{i}"} for i in range(at, at + len(part))]
            write = add_documents if at else build_index
            write(base / layout, part, docnos=names, fields=fields, **({} if at else {"config": config}))
            at += len(part)
        delete_documents(base / layout, ordinals=list(range(0, at, 9)))
    return base


def queries():
    rng = np.random.default_rng(8)
    for size in (1, 3, 20, 60):
        terms = np.sort(rng.choice(NUM_TERMS, size, replace=False)).astype(np.uint32)
        yield terms, rng.random(size).astype(np.float32) + 0.01


def same_hits(first, second, **options):
    for terms, weights in queries():
        for k in (1, 10, 10_000):
            a, b = (s.search_terms(terms, weights, k, **options) for s in (first, second))
            np.testing.assert_array_equal(a.ordinals, b.ordinals)
            np.testing.assert_array_equal(a.scores, b.scores)


@pytest.mark.parametrize("layout", ["packed", "compact"])
def test_hits_are_those_of_the_standard_layout(folder, layout):
    """Of every engine there is, over segments, with deletions, and under a filter."""
    standard = Searcher.open(folder / "standard")
    blocks = ("block_max_wand", "block_filter") if layout == "packed" else ()
    for engine in ("auto", "exhaustive", "maxscore", "wand", *blocks):
        other = Searcher.open(folder / layout, engine=engine)
        same_hits(standard, other)
        same_hits(standard, other, filter={"even": True})


def test_approximate_search_of_a_packed_index(folder):
    """With the factor of exact search it is exact."""
    config = ApproximateConfig(bound_factor=1.0)
    same_hits(Searcher.open(folder / "standard"), Searcher.open(folder / "packed", engine=config))


def test_they_are_smaller_and_sound(folder):
    sizes = {layout: inspect_index(folder / layout) for layout in LAYOUTS}
    packed, plain = (
        sum(
            size
            for name, size in sizes[layout].section_bytes.items()
            if name not in ("NAMB", "NAMO", "NAMH", "NAMI", "FLDB")
        )
        for layout in ("compact", "standard")
    )
    assert packed < 0.75 * plain
    assert sizes["compact"].bytes < sizes["packed"].bytes < sizes["standard"].bytes
    assert sizes["compact"].postings == sizes["standard"].postings
    assert sizes["compact"].impacts == sizes["standard"].impacts
    assert "DOCB" in sizes["compact"].section_bytes
    assert not {"DOCS", "BMAX", "BLEV"} & sizes["compact"].section_bytes.keys()
    assert not {"DOCS"} & sizes["packed"].section_bytes.keys()
    assert verify_index(folder / "compact").segments == verify_index(folder / "packed").segments == 3


@pytest.mark.parametrize("engine", ["block_max_wand", "block_filter", ApproximateConfig(bound_factor=1.5)])
def test_engines_that_need_maxima_of_blocks_are_refused(folder, engine):
    with pytest.raises(ConfigError, match=r"exhaustive, maxscore, wand; .*--layout standard"):
        Searcher.open(folder / "compact", engine=engine)


def test_compaction_changes_the_layout_and_keeps_it(tmp_path):
    rng = np.random.default_rng(5)
    build_index(tmp_path / "i", vectors_of(rng, 3000), config=IndexConfig(stored_weights="f16", order="input"))
    before = open_index(tmp_path / "i").segments[0]
    compact_index(tmp_path / "i", layout="compact")
    assert open_index(tmp_path / "i").segments[0].header.flags == 3
    add_documents(tmp_path / "i", vectors_of(rng, 50))
    assert [s.header.flags for s in open_index(tmp_path / "i").segments] == [3, 3]
    delete_documents(tmp_path / "i", ordinals=range(3000, 3050))
    compact_index(tmp_path / "i")
    verify_index(tmp_path / "i")
    compact_index(tmp_path / "i", layout="standard")
    after = open_index(tmp_path / "i").segments[0]
    assert after.header == before.header
    for name in before.sections:
        np.testing.assert_array_equal(after.section(name), before.section(name), err_msg=name)
    report = compact_index(tmp_path / "i")
    assert (report.bytes_before, report.bytes_after) == (after.entry.bytes, after.entry.bytes)


def test_an_unknown_layout_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="layout is 'tiny'; expected one of standard, packed, compact"):
        IndexConfig(layout="tiny")


def test_export_gives_the_same_vectors(folder, tmp_path):
    rows = []
    for layout in LAYOUTS:
        export_index(open_index(folder / layout), tmp_path / f"{layout}.npz")
        batches = [batch.vectors for batch in open_vectors(tmp_path / f"{layout}.npz")]
        rows.append(SparseVectors.concatenate(batches))
    for name in ("indptr", "term_ids", "weights"):
        for other in rows[1:]:
            np.testing.assert_array_equal(getattr(rows[0], name), getattr(other, name))
