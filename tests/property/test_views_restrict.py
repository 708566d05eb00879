"""What a view of a filter answers equals the oracle restricted to the filter, to the bit, whatever the index looks like."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer import (
    IndexConfig,
    SparseVectors,
    add_documents,
    build_index,
    compact_index,
    delete_documents,
    open_index,
)
from indexer.merge.subset import subset_segment
from indexer.native.engine import ENGINES, NativeIndex
from sparseir.search.cpu import CpuEngine
from sparseir.search.filters.expressions import allowed_documents
from tests import oracle
from tests.property.test_engines import ISAS
from tests.strategies import collections, random_collection

LAYOUTS = ("standard", "packed", "compact")


def build(folder, c, layout, cuts, gone):
    """An index of the collection, impacts as weights, in segments between the cuts; some documents deleted."""
    vectors = SparseVectors(c.indptr, c.term_ids, c.impacts.astype(np.float32), c.num_terms)
    config = IndexConfig(doc_scale=1.0, layout=layout)
    edges = [0, *sorted(cuts), c.num_docs]
    build_index(folder, vectors.slice(*edges[:2]), config=config)
    for begin, end in itertools.pairwise(edges[1:]):
        add_documents(folder, vectors.slice(begin, end))
    if len(gone):
        delete_documents(folder, ordinals=gone.tolist())
    return open_index(folder)


def check(index, c, allowed, ks, isas=("best",)):
    """Integer scores and ordinals of every engine in the view, and under the bitmaps it was made of."""
    score = oracle.scores(c.indptr, c.term_ids, c.impacts, c.query_terms, c.query_weights, c.num_terms)
    bitmaps = allowed_documents(index, allowed)
    for isa in isas:
        deleted = [segment.deleted for segment in index.segments]
        native = NativeIndex([s.data for s in index.segments], doc_scale=1.0, deleted=deleted, isa=isa)
        made = subset_segment(index, native, bitmaps)
        np.testing.assert_array_equal(made, subset_segment(index, native, bitmaps, num_threads=3))
        view = NativeIndex([made], doc_scale=1.0, isa=isa)
        assert view.engines == tuple(ENGINES), "a view has all engines, a compact index or not"
        for engine in ENGINES:
            searched = [(CpuEngine(view, engine=engine), None)]
            if engine in native.engines:
                searched += [(CpuEngine(native, engine=engine), view), (CpuEngine(native, engine=engine), bitmaps)]
            for k in ks:
                want = oracle.rank(score, k, allowed=allowed)
                for number, (cpu, restriction) in enumerate(searched):
                    got = cpu.search_integers(c.query_terms, c.query_weights, k, restriction)
                    for a, b in zip(got, want, strict=True):
                        np.testing.assert_array_equal(a, b, err_msg=f"{engine}, k={k}, {isa}, way {number}")


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(deadline=None, max_examples=12)
@given(c=collections(), k=st.integers(1, 60), data=st.data())
def test_small_collections(layout, c, k, data):
    """No document to all of them, in one to three segments of any size, with and without deletions; k beyond them."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    cuts = rng.integers(0, c.num_docs + 1, data.draw(st.integers(0, 2)))
    gone = np.flatnonzero(rng.random(c.num_docs) < rng.choice([0.0, 0.1]))
    passing = np.flatnonzero(rng.random(c.num_docs) < data.draw(st.sampled_from([0.0, 0.02, 0.3, 1.0])))
    with tempfile.TemporaryDirectory() as folder:
        index = build(Path(folder) / "index", c, layout, cuts.tolist(), gone)
        if data.draw(st.booleans()):  # ordinals with gaps
            compact_index(index.path)
            index = open_index(index.path)
        check(index, c, np.setdiff1d(passing, gone), (1, k, c.num_docs + 5))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_windows(tmp_path, layout):
    """Over a hundred thousand documents in two segments: lists with bitmaps, bounds, several windows, on all instruction
    sets; views of more and of fewer than 65,536 documents."""
    rng = np.random.default_rng(7)
    c = random_collection(rng, num_docs=110_000, num_terms=10, density=0.3, impact_levels=200, query_terms=10)
    gone = rng.permutation(c.num_docs)[:50]
    index = build(tmp_path / "index", c, layout, [30_000], gone)
    for share in (0.03, 0.9):
        passing = np.flatnonzero(rng.random(c.num_docs) < share)
        check(index, c, np.setdiff1d(passing, gone), (1, 10, 3000), ISAS if share < 0.5 else ["best"])
