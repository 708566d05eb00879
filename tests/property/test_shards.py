"""Shards are one index: hits, scores, ties, filters, deletions and explanations to the bit, however many there are."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer import IndexConfig, SparseVectors, build_index, build_shards, compact_index, delete_documents
from sparseir.search.searcher import Searcher
from tests import oracle
from tests.strategies import collections

ENGINES = ["auto", "exhaustive", "maxscore", "wand", "block_max_wand", "block_filter", "exact_float"]


@settings(deadline=None, max_examples=12)
@given(
    c=collections(max_docs=150).filter(lambda c: c.num_docs),
    shards=st.integers(1, 5),
    k=st.integers(1, 200),
    order=st.sampled_from(["input", "clusters"]),
    memory_budget=st.sampled_from([0, 1]),
    scale=st.sampled_from([0.0, 1.0]),
    seed=st.integers(0, 99),
)
def test_shards_equal_one_index_and_the_oracle(c, shards, k, order, memory_budget, scale, seed):
    shards = min(shards, c.num_docs)
    rng = np.random.default_rng(seed)
    vectors = SparseVectors(c.indptr, c.term_ids, c.impacts.astype(np.float32), c.num_terms)
    fields = [{"part": int(part)} for part in rng.integers(0, 3, c.num_docs)]
    config = IndexConfig(doc_scale=scale, order=order, metadata=("part",), stored_weights="f32")
    query = c.query_terms, c.query_weights.astype(np.float32)
    gone = np.flatnonzero(rng.random(c.num_docs) < rng.choice([0, 0.3])).tolist()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        whole = build_index(path / "whole", vectors, fields=fields, config=config)
        options = {"fields": fields, "config": config, "memory_budget": memory_budget}
        parts = build_shards(path / "parts", vectors, shards=shards, **options)
        assert (parts.doc_scale, parts.num_docs, parts.num_terms) == (whole.doc_scale, whole.num_docs, whole.num_terms)
        if gone:
            for name in ("whole", "parts"):
                assert delete_documents(path / name, ordinals=gone).deleted == len(gone)
        if seed % 2:
            compact_index(parts.shards[0].path)
        places = [shard.path for shard in parts.shards]
        for engine in ENGINES:
            one = Searcher.open(path / "whole", engine=engine)
            for given_as in (path / "parts", rng.permutation(places).tolist()):
                many = Searcher.open(given_as, engine=engine)
                for condition in (None, "part in (0, 2)", np.arange(0, c.num_docs, 2), [str(c.num_docs - 1), "0"]):
                    want = one.search_terms(*query, k, filter=condition)
                    got = many.search_terms(*query, k, filter=condition)
                    np.testing.assert_array_equal(got.ordinals, want.ordinals, err_msg=f"{engine}, {condition}")
                    np.testing.assert_array_equal(got.scores, want.scores, err_msg=f"{engine}, {condition}")
                    assert many.named(_row(got)) == one.named(_row(want))
                    assert many.fields(got.ordinals) == one.fields(want.ordinals)
        if scale:  # the impacts are the weights, so that the oracle can score them
            alive = np.ones(c.num_docs, bool)
            alive[gone] = False
            score = oracle.scores(c.indptr, c.term_ids, c.impacts, c.query_terms, _quantised(query[1]), c.num_terms)
            want_ordinals, _ = oracle.rank(score, k, allowed=np.flatnonzero(alive))
            found = Searcher.open(path / "parts").search_terms(*query, k).ordinals
            np.testing.assert_array_equal(found[found >= 0], want_ordinals[want_ordinals >= 0])


def _row(ranking):
    return type(ranking)(ranking.ordinals[None], ranking.scores[None])


def _quantised(weights):
    from indexer.native.queries import quantize_queries

    rows = SparseVectors.from_arrays([0, len(weights)], np.arange(len(weights)), weights, len(weights))
    return quantize_queries(rows)[0].weights.astype(np.uint32)
