"""The device layout holds every posting once, padded with zeros, in bank order, with 64-bit window offsets."""

from __future__ import annotations

import numpy as np
import pytest

from indexer.native.queries import QueryBatch, initial_thresholds
from sparseir.errors import ConfigError, IndexFormatError
from sparseir.search.gpu.batch import pack_bits
from sparseir.search.gpu.layout import DeviceLayout, build_layout
from sparseir.search.gpu.postings import SegmentPostings
from tests.gpu_cases import Case, make_case


def lists_of(layout: DeviceLayout):
    """Yields (window, row, local, impact) of every list, as stored."""
    for w in range(layout.num_windows):
        for e in range(int(layout.window_entry[w]), int(layout.window_entry[w + 1])):
            base = int(layout.window_posting[w])
            lo, hi = base + int(layout.entry_start[e + w]), base + int(layout.entry_start[e + w + 1])
            yield w, int(layout.entry_row[e]), layout.local[lo:hi], layout.impact[lo:hi]


def triples(case: Case):
    rows = np.repeat(np.arange(case.num_docs), np.diff(case.indptr))
    return sorted(zip(rows.tolist(), case.term_ids.tolist(), case.impacts.tolist(), strict=True))


@pytest.mark.parametrize("group", [1, 4])
@pytest.mark.parametrize("num_docs", [0, 1, 63, 64, 65, 300])
def test_every_posting_stands_once_and_padding_is_zero(num_docs, group):
    case = make_case(num_docs, num_docs)
    (postings,) = case.segments()
    layout = build_layout(postings, window_shift=6, group=group)
    found = []
    last = (-1, -1)
    for w, row, local, impact in lists_of(layout):
        assert (w, row) > last  # windows in order, rows ascending inside each
        last = (w, row)
        assert len(local) % group == 0
        assert (impact == 0).sum() < group
        assert (local < 64).all()
        real = impact > 0
        term = int(postings.term_ids[row])
        found += [(w * 64 + int(d), term, int(i)) for d, i in zip(local[real], impact[real], strict=True)]
    assert sorted(found) == triples(case)


def rows_of_banks(local, group):
    """The rows of postings that the lanes of a warp add at once."""
    for start in range(0, len(local), 32 * group):
        tile = local[start : start + 32 * group]
        for i in range(group):
            yield tile[i::group] % 32


@pytest.mark.parametrize("group", [1, 4])
def test_bank_order_reaches_its_minimum(group):
    """Lists of one window of 8,192: the conflicts of all rows sum to the list's largest bank count, plus at most one
    per row where a level wraps into the next."""
    rng = np.random.default_rng(3)
    for size in (1, 5, 31, 32, 33, 200, 2000, 8192):
        docs = np.sort(rng.choice(8192, size, replace=False))
        postings = SegmentPostings.from_rows(
            np.concatenate([[0], np.cumsum(np.isin(np.arange(8192), docs))]), np.zeros(size), np.full(size, 7)
        )
        layout = build_layout(postings, window_shift=13, group=group)
        ordered = sum(int(np.bincount(row, minlength=32).max()) for row in rows_of_banks(layout.local, group))
        largest = int(np.bincount(docs % 32).max())
        shuffled = rng.permutation(docs)
        random_order = sum(int(np.bincount(shuffled[i : i + 32] % 32).max()) for i in range(0, size, 32))
        assert ordered <= max(largest, -(-size // 32)) + -(-size // 32) + group
        if size >= 200:
            assert ordered < 0.75 * random_order


def test_documents_beyond_65536_keep_their_windows():
    """Runs of 65,536: documents 0, 65,535, 65,536 and 140,000 of one term, windows of 8,192: 0, 7, 8 and 17."""
    indptr = np.zeros(140_002, np.int64)
    for doc in (0, 65_535, 65_536, 140_000):
        indptr[doc + 1 :] += 1
    postings = SegmentPostings.from_rows(indptr, np.zeros(4), np.array([1, 2, 3, 4]))
    layout = build_layout(postings, group=1)
    assert [(w, row, local.tolist(), i.tolist()) for w, row, local, i in lists_of(layout)] == [
        (0, 0, [0], [1]),
        (7, 0, [8191], [2]),
        (8, 0, [0], [3]),
        (17, 0, [140_000 - 17 * 8192], [4]),
    ]


def test_groups_of_four_only_where_padding_is_cheap():
    sparse = make_case(1, 300, num_terms=500, density=0.003).segments()[0]
    assert build_layout(sparse, window_shift=6).group == 1
    dense = SegmentPostings.from_rows(np.arange(8193), np.zeros(8192), np.full(8192, 9))
    layout = build_layout(dense)
    assert layout.group == 4
    assert layout.nbytes / dense.num_postings < 3.5


def test_damaged_postings_are_refused():
    postings = SegmentPostings.from_rows(np.arange(11), np.zeros(10), np.full(10, 9))
    postings.docs[9] = 60_000
    with pytest.raises(IndexFormatError, match="beyond the last"):
        build_layout(postings)
    repeated = SegmentPostings.from_rows(np.arange(70_001), np.zeros(70_000), np.full(70_000, 9))
    repeated.docs[:65_536] = 64
    with pytest.raises(IndexFormatError, match="many times"):
        build_layout(repeated)
    with pytest.raises(ConfigError, match="window"):
        build_layout(postings, window_shift=17)


def test_initial_threshold_by_hand():
    """Impacts of term 0: 9, 7, 5, 3; k = 2 takes rank 2 (7), one deletion needs rank 4 (3); k = 5 has no rank."""
    (segment,) = [SegmentPostings.from_rows(np.arange(5), np.zeros(4), np.array([5, 9, 3, 7]))]
    query = make_case(0, 1, num_terms=1, lengths=[1, 0]).queries
    weight = int(query.weights[0])
    assert segment.ladder[0, :4].tolist() == [9, 7, 3, 0]
    assert initial_thresholds(query, segment.ladder, 2, 0).tolist() == [7 * weight, 1]
    assert initial_thresholds(query, segment.ladder, 2, 1).tolist() == [3 * weight, 1]
    assert initial_thresholds(query, segment.ladder, 5, 0).tolist() == [1, 1]
    assert initial_thresholds(query, segment.ladder, 20_000, 0).tolist() == [1, 1]


def test_bits_by_hand():
    flags = np.zeros(40, np.bool_)
    flags[[0, 33]] = True
    assert pack_bits(flags).tolist() == [1, 2]


@pytest.mark.parametrize("num_ids", [0, 1, 2, 50, 1000])
def test_terms_become_rows(num_ids):
    """Any gaps: none, few, many, a first or a last id far away."""
    rng = np.random.default_rng(num_ids)
    for largest in (num_ids, num_ids + 3, 4 * num_ids + 1, 2**32 - 1):
        have = np.sort(rng.choice(min(largest + 1, 100_000), num_ids, replace=False)).astype(np.uint32)
        if num_ids:
            have[-1] = largest
        asked = np.unique(np.concatenate([have[::2], rng.integers(0, largest + 1, 40), [0, 2**32 - 1]])).astype(
            np.uint32
        )
        query = QueryBatch(
            indptr=np.array([0, 1, len(asked)]), ids=asked, weights=np.arange(1, len(asked) + 1, dtype=np.int32)
        )
        rows = query.resolve(have)
        inside = np.isin(asked, have)
        np.testing.assert_array_equal(have[rows.ids], asked[inside])
        np.testing.assert_array_equal(rows.weights, query.weights[inside])
        assert rows.indptr.tolist() == [0, int(inside[0]), int(inside.sum())]
