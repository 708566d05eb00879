"""Approximate search: exact at its loosest and under a filter; what it finds has its true score; the same knobs, the same hits."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.native.engine import APPROXIMATE, NativeIndex, Scratch
from tests import oracle
from tests.segment_reference import Rules, build_segment
from tests.strategies import collections


def search(index, c, k, knobs, allowed=None):
    scratch = Scratch(index, k, len(c.query_terms))
    scratch.allow(None if allowed is None else [allowed])
    scratch.term_ids[:] = c.query_terms
    request = scratch.request
    request.k, request.engine = k, APPROXIMATE
    request.bound_factor, request.bound_mass, request.max_blocks = knobs
    scores = scratch.search_quantized(c.query_weights, len(c.query_terms))
    return scratch.ordinals.copy(), scores


@settings(deadline=None, max_examples=80)
@given(c=collections(), k=st.integers(1, 60), data=st.data())
def test_knobs(c, k, data):
    rows_from = data.draw(st.sampled_from([0, 10**9]))
    index = NativeIndex(
        [build_segment(c.indptr, c.term_ids, c.impacts, rules=Rules(rows_from=rows_from))], doc_scale=1.0
    )
    truth = oracle.scores(c.indptr, c.term_ids, c.impacts, c.query_terms, c.query_weights, c.num_terms)
    want = oracle.rank(truth, k)
    mass = data.draw(st.sampled_from([0.01, 0.5, 0.7, 1.0]))

    loosest = search(index, c, k, (1.0, mass, 0))
    np.testing.assert_array_equal(loosest[0], want[0])
    np.testing.assert_array_equal(loosest[1], want[1])

    knobs = (data.draw(st.sampled_from([1.0, 1.1, 1.5, 3.0, 1000.0])), mass, data.draw(st.sampled_from([0, 1, 2, 9])))
    everything = np.full(max(1, -(-c.num_docs // 64)), 2**64 - 1, np.uint64)
    filtered = search(index, c, k, knobs, everything)
    np.testing.assert_array_equal(filtered[0], want[0])

    ordinals, scores = search(index, c, k, knobs)
    found = ordinals >= 0
    np.testing.assert_array_equal(scores[found], truth[ordinals[found]])
    assert len(np.unique(ordinals[found])) == found.sum()
    order = np.lexsort((ordinals[found], -scores[found].astype(np.int64)))
    np.testing.assert_array_equal(order, np.arange(found.sum()))
    again = search(index, c, k, knobs)
    np.testing.assert_array_equal(ordinals, again[0])
    index.close()
