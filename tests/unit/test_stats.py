"""The counters of a search against searches counted by hand.

Forty documents, so blocks 0..31 and 32..39 of one superblock in one window; impacts are the weights:

    document 0     {0: 255, 1: 100}
    documents 1-9  {1: 10}
    document 33    {0: 50}
    documents 34-35  {1: 5}

Query {0: 1, 1: 1} with k = 1: both terms have the query weight q = 4095, and document 0 scores 355 q. The largest impact of
term 0 alone makes 255 q the smallest score that may enter.

exhaustive      all 2 + 12 postings, in 1 window, of which all 40 sums are compared.
maxscore        2 lists bounded in the window. Term 1, at most 100 q, is not essential. The 2 postings of term 0 are added; only
                document 0 has the 155 q that term 1 cannot give, and is completed with 1 posting.
wand            1 superblock bounded with 355 q, and visited. Pivot document 0 takes 2 postings. Then term 1 is at document 1,
                term 0 at 33: the pivot is 33, given up after the 50 q of term 0 and 1 posting since 50 + 100 < 255. Term 0 ends.
block_max_wand  64 blocks bounded: 355 q and 55 q. In block 0 pivot document 0 takes 2 postings; what is left there is term 1.
block_filter    64 blocks bounded. Block 0 is scored: 1 posting of term 0, 10 of term 1, 32 documents. Block 1 is not.
auto            scoring 14 postings costs less than bounding: exhaustive.
"""

from __future__ import annotations

import numpy as np
import pytest

from indexer import IndexConfig, SparseVectors, build_index
from indexer.errors import NativeError
from indexer.native.engine import APPROXIMATE, ENGINES, NativeIndex, Scratch
from sparseir.errors import ConfigError
from sparseir.search.searcher import Searcher
from tests.segment_reference import Rules, build_segment, compact_rules

DOCUMENTS = {0: {0: 255, 1: 100}, **{d: {1: 10} for d in range(1, 10)}, 33: {0: 50}, 34: {1: 5}, 35: {1: 5}}
ROWS = [DOCUMENTS.get(d, {}) for d in range(40)]
NAMES = ("postings_scored", "bounds_computed", "blocks_visited", "documents_scored")
COUNTED = {
    "exhaustive": (14, 0, 1, 40),
    "maxscore": (3, 2, 1, 1),
    "wand": (3, 1 + 2, 1, 2),
    "block_max_wand": (2, 64 + 1, 1, 1),
    "block_filter": (11, 64, 1, 32),
    "auto": (14, 0, 1, 40),
}
assert set(COUNTED) == set(ENGINES)


def segment(**options):
    lengths, pairs = [len(row) for row in ROWS], [pair for row in ROWS for pair in row.items()]
    return build_segment(np.cumsum([0, *lengths]), *zip(*pairs, strict=True), **options)


def search(index, engine, scratch=None):
    scratch = scratch or Scratch(index, 1, 2)
    scratch.request.k, scratch.request.engine = 1, engine
    scratch.request.bound_factor = scratch.request.bound_mass = 1.0
    scratch.term_ids[:2], scratch.weights[:2] = [0, 1], 1
    scratch.search(2)
    assert scratch.ordinals[0] == 0
    return scratch


def counts(scratch):
    return tuple(getattr(scratch.stats, name) for name in NAMES)


def dirty_memory():
    """Leave memory of the counters' size behind that is all ones: numpy hands such pieces out again."""
    for size in range(64, 1025, 64):
        pieces = [np.full(size, 255, np.uint8) for _ in range(16)]
        pieces.clear()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stats") / "index"
    return build_index(folder, SparseVectors.from_rows(ROWS, 2), config=IndexConfig(order="input")).path


@pytest.mark.parametrize("rows_from", [0, 10**9])
@pytest.mark.parametrize("engine", COUNTED)
def test_an_engine_counts_what_it_did(engine, rows_from):
    """With stored maxima of superblocks and blocks, and with those of the lists alone, which bound the same here."""
    index = NativeIndex([segment(rules=Rules(rows_from=rows_from))], doc_scale=1.0)
    assert counts(search(index, ENGINES[engine])) == COUNTED[engine]


@pytest.mark.parametrize("engine", COUNTED)
def test_searches_add_up_over_threads_and_scratches(path, engine):
    """Five queries over two threads, then one alone whose k = 100 takes a new scratch; the fresh searcher has counted nothing.

    The last query has no threshold, since no list has 100 postings, so that it is compared with one counted alone.
    """
    dirty_memory()
    searcher, alone = (Searcher.open(path, engine=engine, num_threads=2) for _ in range(2))
    assert searcher.stats() == dict.fromkeys(NAMES, 0)
    one, five = (SparseVectors.from_rows([{0: 1.0, 1: 1.0}] * n, 2) for n in (1, 5))
    searcher.search_vectors(five, k=1)
    assert tuple(searcher.stats()[name] for name in NAMES) == tuple(5 * count for count in COUNTED[engine])
    for s in (searcher, alone):
        s.search_vectors(one, k=100)
    assert tuple(searcher.stats()[name] - alone.stats()[name] for name in NAMES) == tuple(
        5 * n for n in COUNTED[engine]
    )


def test_segments_are_counted_by_the_engine_that_searched_them():
    """auto counts for itself and for the engine it chose; a replaced scratch hands its counts on."""
    index = NativeIndex([segment()], doc_scale=1.0)
    dirty_memory()
    scratch = Scratch(index, 1, 2)
    assert list(scratch.stats.queries) == [0] * 7
    for engine in (*ENGINES.values(), APPROXIMATE):
        search(index, engine, scratch)
    assert list(scratch.stats.queries) == [1, 2, 1, 1, 1, 1, 1]
    larger = Scratch(index, 9, 9)
    larger.add_stats(scratch.stats)
    larger.add_stats(scratch.stats)
    assert list(larger.stats.queries) == [2, 4, 2, 2, 2, 2, 2]
    assert counts(larger) == tuple(2 * count for count in counts(scratch))


def test_engines_that_bound_blocks_are_refused_where_blocks_have_no_maxima(tmp_path):
    """None of them answers as another engine would, and nothing is counted."""
    index = NativeIndex([segment(rules=compact_rules())], doc_scale=1.0)
    assert index.engines == ("auto", "exhaustive", "maxscore", "wand")
    for engine in (ENGINES["block_max_wand"], ENGINES["block_filter"], APPROXIMATE):
        scratch = Scratch(index, 1, 2)
        with pytest.raises(NativeError, match=f"engine {engine} needs maxima of blocks, which a compact segment lacks"):
            search(index, engine, scratch)
        assert counts(scratch) == (0, 0, 0, 0)
        assert sum(scratch.stats.queries) == 0
    config = IndexConfig(layout="compact")
    folder = build_index(tmp_path / "compact", SparseVectors.from_rows(ROWS, 2), config=config).path
    with pytest.raises(ConfigError, match="'block_max_wand' needs maxima of blocks"):
        Searcher.open(folder, engine="block_max_wand")
