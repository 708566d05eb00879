"""Every exact engine equals the oracle to the bit, on every instruction set."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.errors import NativeError
from indexer.native.engine import ENGINES, INSTRUCTION_SETS, NativeIndex, Scratch
from tests import oracle
from tests.segment_reference import Rules, build_segment, compact_rules, packed_rules
from tests.strategies import Collection, collections, random_collection

EXACT = ["exhaustive", "maxscore", "wand", "block_max_wand", "block_filter", "auto"]
LAYOUTS = {"standard": Rules, "packed": packed_rules, "compact": compact_rules}


def available_isas():
    found = []
    for name in INSTRUCTION_SETS:
        try:
            NativeIndex([], doc_scale=1.0, isa=name)
        except NativeError:
            continue
        found.append(name)
    return found


ISAS = available_isas()


def run(index: NativeIndex, c: Collection, k: int, engine: str, passing=None):
    scratch = Scratch(index, k, len(c.query_terms))
    scratch.allow(None if passing is None else [bitmap(passing)])
    scratch.term_ids[:] = c.query_terms
    scratch.request.k, scratch.request.engine = k, ENGINES[engine]
    scores = scratch.search_quantized(c.query_weights, len(c.query_terms))
    return scratch.ordinals.copy(), scores


def bitmap(passing):
    """64 documents a word, as filters are given."""
    padded = np.zeros(-(-len(passing) // 64) * 64, bool)
    padded[: len(passing)] = passing
    return np.packbits(padded, bitorder="little").view(np.uint64)


def check(
    c: Collection, k: int, *, order=None, rules=None, allowed=None, passing=None, deleted=None, engines=EXACT, isas=ISAS
):
    data = build_segment(c.indptr, c.term_ids, c.impacts, order=order, rules=rules)
    score = oracle.scores(c.indptr, c.term_ids, c.impacts, c.query_terms, c.query_weights, c.num_terms)
    want_ordinals, want_scores = oracle.rank(score, k, allowed=allowed)
    for isa in isas:
        index = NativeIndex([data], doc_scale=1.0, isa=isa, deleted=[deleted])
        for engine in (e for e in engines if e in index.engines):
            ordinals, scores = run(index, c, k, engine, passing)
            np.testing.assert_array_equal(ordinals, want_ordinals, err_msg=f"{engine} on {isa}")
            np.testing.assert_array_equal(scores, want_scores, err_msg=f"{engine} on {isa}")
        index.close()


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(deadline=None, max_examples=60)
@given(c=collections(), k=st.integers(1, 500), data=st.data())
def test_small_collections(layout, c, k, data):
    shuffle = data.draw(st.booleans())
    order = np.random.default_rng(k).permutation(c.num_docs) if shuffle else None
    rows_from = data.draw(st.sampled_from([0, 10**9]))
    check(c, k, order=order, rules=LAYOUTS[layout](rows_from=rows_from))


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(deadline=None, max_examples=40)
@given(c=collections(), k=st.integers(1, 60), seed=st.integers(0, 99))
def test_deleted_documents_never_come_back(layout, c, k, seed):
    rng = np.random.default_rng(seed)
    order = rng.permutation(c.num_docs)
    gone = rng.random(c.num_docs) < rng.choice([0.0, 0.05, 0.9])  # by doc_id
    bitmap = np.packbits(gone, bitorder="little")
    check(c, k, order=order, rules=LAYOUTS[layout](rows_from=0), allowed=order[~gone], deleted=bitmap)


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(deadline=None, max_examples=40)
@given(c=collections(), k=st.integers(1, 60), seed=st.integers(0, 99))
def test_filters_restrict(layout, c, k, seed):
    """Random documents and runs of neighbours, from none to all; a filter overrides deletions."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(c.num_docs)
    passing = rng.random(c.num_docs) < rng.choice([0.0, 0.02, 0.3, 1.0])  # by doc_id
    if seed % 2:
        passing[: c.num_docs // 3] = False
    check(c, k, order=order, rules=LAYOUTS[layout](rows_from=0), allowed=order[passing], passing=passing)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("share", [0.0001, 0.01, 0.4])
def test_filters_over_windows(share, layout):
    rng = np.random.default_rng(5)
    c = random_collection(rng, num_docs=150_000, num_terms=12, density=0.3, impact_levels=200, query_terms=12)
    order = rng.permutation(c.num_docs)
    for passing in (rng.random(c.num_docs) < share, abs(np.arange(c.num_docs) - 80_000) < share * c.num_docs / 2):
        for k in (1, 10, 3000):
            check(c, k, order=order, allowed=order[passing], passing=passing, rules=LAYOUTS[layout]())


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("num_docs", [65535, 65536, 65537, 200_000])
def test_window_borders(num_docs, layout):
    rng = np.random.default_rng(num_docs)
    c = random_collection(rng, num_docs=num_docs, num_terms=12, density=0.5, impact_levels=200, query_terms=12)
    for k in (1, 10, 3000):
        check(c, k, order=rng.permutation(num_docs), rules=LAYOUTS[layout]())


def test_auto_gives_up_with_short_lists_over_several_windows():
    """Rare heavy terms that lie in several windows count as well when auto falls back to exhaustive scoring."""
    rng = np.random.default_rng(5)
    num_docs = 140_000
    common = random_collection(rng, num_docs=num_docs, num_terms=8, density=0.4, impact_levels=255, query_terms=8)
    rows = np.repeat(np.arange(num_docs), np.diff(common.indptr))
    rare = np.sort(rng.choice(num_docs, 24, replace=False))
    order = np.lexsort((np.r_[common.term_ids, np.full(24, 8)], np.r_[rows, rare]))
    counts = np.diff(common.indptr) + np.bincount(rare, minlength=num_docs)
    c = Collection(
        indptr=np.r_[0, np.cumsum(counts)],
        term_ids=np.r_[common.term_ids, np.full(24, 8)][order].astype(np.uint32),
        impacts=np.r_[common.impacts, np.full(24, 255)][order].astype(np.uint8),
        num_terms=9,
        query_terms=np.arange(9, dtype=np.uint32),
        query_weights=np.array([*range(300, 1100, 100), 4095], np.uint32),
    )
    for k in (10, 300):
        check(c, k, isas=["best"], engines=["auto", "block_filter", "exhaustive"])


@pytest.mark.parametrize("layouts", [("standard", "standard"), ("compact", "standard")])
@settings(deadline=None, max_examples=30)
@given(first=collections(max_docs=120), second=collections(max_docs=120), k=st.integers(1, 40))
def test_segments_merge_as_one(layouts, first, second, k):
    """Two segments with interleaved ordinals rank as one collection, ties included, whatever their layouts."""
    n, m = first.num_docs, second.num_docs
    numbers = np.random.default_rng(k).permutation(n + m).astype(np.uint32)
    indices = [
        build_segment(
            c.indptr, c.term_ids, c.impacts, ordinals=part, ordinal_base=7, rules=LAYOUTS[layout](rows_from=0)
        )
        for c, part, layout in zip((first, second), (numbers[:n], numbers[n:]), layouts, strict=True)
    ]
    score = np.concatenate(
        [
            oracle.scores(c.indptr, c.term_ids, c.impacts, first.query_terms, first.query_weights, 10**3)
            for c in (first, second)
        ]
    )
    want_ordinals, want_scores = oracle.rank(score, k, ordinals=numbers.astype(np.int64) + 7)
    index = NativeIndex(indices, doc_scale=1.0)
    for engine in index.engines:
        ordinals, scores = run(index, first, k, engine)
        np.testing.assert_array_equal(ordinals, want_ordinals)
        np.testing.assert_array_equal(scores, want_scores)


def run_segments(parts, query, k, **options):
    """Every engine over several segments at once; `parts` are collections with the ordinals of their rows."""
    files = [
        build_segment(c.indptr, c.term_ids, c.impacts, ordinals=numbers, order=order, rules=Rules(rows_from=rows_from))
        for c, numbers, order, rows_from in parts
    ]
    index = NativeIndex(files, doc_scale=1.0, **options)
    return {engine: run(index, query, k, engine) for engine in EXACT}


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), k=st.sampled_from([1, 2, 10, 300, 3000]))
def test_many_segments_of_any_size_rank_as_one(seed, k):
    """Segments with none, few, and many documents, deletions in some: the threshold of one serves the others."""
    rng = np.random.default_rng(seed)
    sizes = rng.choice(
        [0, 1, 33, 700, 2100, 5000, 70_000], int(rng.integers(2, 8)), p=[0.1, 0.1, 0.2, 0.2, 0.2, 0.19, 0.01]
    )
    numbers = rng.permutation(int(sizes.sum())).astype(np.uint32)
    density, levels = rng.choice([0.02, 0.3]), rng.choice([1, 5, 255])
    made = [
        random_collection(rng, num_docs=int(n), num_terms=16, density=density, impact_levels=levels, query_terms=9)
        for n in sizes
    ]
    parts, gone, scores, live = [], [], [], []
    for c, begin in zip(made, np.cumsum(sizes) - sizes, strict=True):
        part = numbers[begin : begin + c.num_docs]
        order = rng.permutation(c.num_docs)
        dead = rng.random(c.num_docs) < rng.choice([0.0, 0.1])  # by doc_id
        parts.append((c, part, order, int(rng.choice([0, 10**9]))))
        gone.append(np.packbits(dead, bitorder="little") if dead.any() else None)
        query = made[0]
        scores.append(oracle.scores(c.indptr, c.term_ids, c.impacts, query.query_terms, query.query_weights, 16))
        live.append(part[order[~dead]])
    ordinals = numbers.astype(np.int64)
    want = oracle.rank(np.concatenate(scores), k, ordinals=ordinals, allowed=np.concatenate(live))
    for engine, found in run_segments(parts, made[0], k, deleted=gone).items():
        np.testing.assert_array_equal(found[0], want[0], err_msg=engine)
        np.testing.assert_array_equal(found[1], want[1], err_msg=engine)


@pytest.mark.slow
def test_ten_thousand_collections():
    """Shapes and degenerate cases drawn from one stream: every engine, the widest and the scalar instruction set."""
    rng = np.random.default_rng(2026)
    for _ in range(10_000):
        c = random_collection(
            rng,
            num_docs=int(rng.choice([0, 1, 2, 31, 32, 33, 65, int(rng.integers(2, 400)), int(rng.integers(2, 400))])),
            num_terms=int(rng.integers(1, 24)),
            density=float(rng.choice([0.02, 0.2, 0.6, 1.0])),
            impact_levels=int(rng.choice([1, 2, 5, 255])),
            query_terms=int(rng.integers(1, 24)),
        )
        gone = rng.random(c.num_docs) < rng.choice([0.0, 0.0, 0.1, 0.9])
        order = rng.permutation(c.num_docs)
        check(
            c,
            int(rng.choice([1, 2, 10, 100, 1000])),
            order=order,
            rules=LAYOUTS[str(rng.choice(list(LAYOUTS)))](rows_from=int(rng.choice([0, 10**9]))),
            allowed=order[~gone],
            deleted=np.packbits(gone, bitorder="little") if gone.any() else None,
            isas=["best", "scalar"],
        )
