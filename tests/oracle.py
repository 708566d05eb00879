"""The specification of scoring and ranking, in short numpy. Every exact engine equals this to the bit.

impact        u8  = clip(floor(weight / doc_scale + 1/2), 1, 255) in float64; a positive weight never becomes 0
query_weight  int = clip(floor(w / query_scale + 1/2), 1, limit) in float64; query_scale = max(w) / limit
limit             = 4095; coarsened to floor((2**31 - 1) / (255 * terms)) where sum(query_weight) * 255 would reach 2**31
score         int = sum of query_weight * impact over the terms both hold
order             = (score descending, ordinal ascending); only score > 0 is a hit
shown score       = float32(float64(score) * doc_scale * query_scale)
"""

from __future__ import annotations

import numpy as np

MAX_QUERY_WEIGHT = 4095
MAX_IMPACT = 255


def quantize_impacts(weights, doc_scale):
    """u8 impacts of positive float32 weights; halves go up."""
    levels = np.floor(np.asarray(weights, np.float64) / float(doc_scale) + 0.5)
    return np.clip(levels, 1, MAX_IMPACT).astype(np.uint8)


def quantize_query(weights):
    """(int64 weights, float64 scale) of one query's positive float32 weights; halves go up.

    Only a query of more than 2,056 terms can reach the coarser limit.
    """
    w = np.asarray(weights, np.float64)
    if len(w) == 0:
        return np.zeros(0, np.int64), 0.0
    for limit in (MAX_QUERY_WEIGHT, (2**31 - 1) // (MAX_IMPACT * len(w))):
        scale = float(w.max()) / limit
        q = np.clip(np.floor(w / scale + 0.5), 1, limit).astype(np.int64)
        if int(q.sum()) * MAX_IMPACT < 2**31:
            break
    return q, scale


def scores(indptr, term_ids, impacts, query_terms, query_weights, num_terms):
    """int64 score of every document (row)."""
    table = np.zeros(num_terms, np.int64)
    inside = np.asarray(query_terms, np.int64) < num_terms
    table[np.asarray(query_terms, np.int64)[inside]] = np.asarray(query_weights, np.int64)[inside]
    products = table[np.asarray(term_ids, np.int64)] * np.asarray(impacts, np.int64)
    total = np.concatenate([[0], np.cumsum(products)])
    return total[indptr[1:]] - total[indptr[:-1]]


def rank(score, k, *, allowed=None, ordinals=None):
    """(ordinals int64 (k,), scores int64 (k,)): best first, ties by smaller ordinal, padded with -1 and 0."""
    score = np.asarray(score, np.int64)
    ordinals = np.arange(len(score)) if ordinals is None else np.asarray(ordinals, np.int64)
    hit = score > 0
    if allowed is not None:
        hit &= np.isin(ordinals, allowed)
    at = np.flatnonzero(hit)
    best = at[np.lexsort((ordinals[at], -score[at]))][:k]
    out_ordinals, out_scores = np.full(k, -1, np.int64), np.zeros(k, np.int64)
    out_ordinals[: len(best)], out_scores[: len(best)] = ordinals[best], score[best]
    return out_ordinals, out_scores


def shown(score, doc_scale, query_scale):
    """float32 score as users see it; padding is -inf."""
    value = (np.asarray(score, np.float64) * float(doc_scale) * float(query_scale)).astype(np.float32)
    return np.where(np.asarray(score) > 0, value, np.float32(-np.inf))
