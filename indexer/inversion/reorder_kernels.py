"""Loops of document ordering, compiled by numba. Import this only where documents are about to be ordered.

Rows are matrices (documents, width) of term slots and of weights in 0..255 relative to the row's largest; the entries of
a row come first, a weight of 0 ends it.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_jit = numba.njit(nogil=True, cache=True)


@_jit
def select_terms(
    indptr: Array, slots: Array, weights: Array, idf: Array, span: tuple[int, int], out_slots: Array, out_weights: Array
) -> None:
    """Keep the terms of each row with the largest weight · idf: a counting selection over 256 levels, O(nnz)."""
    histogram = np.zeros(256, np.int32)
    # A product beyond float32 counts as the largest: an infinite one would make levels that are no numbers.
    ceiling = np.finfo(np.float32).max
    width = out_slots.shape[1]
    for doc in range(span[0], span[1]):
        begin, end = indptr[doc], indptr[doc + 1]
        largest = np.float32(1e-20)
        for p in range(begin, end):
            largest = max(largest, min(weights[p] * idf[slots[p]], ceiling))
        step = np.float32(255) / largest
        cut, room = -1, width
        if end - begin > width:
            histogram[:] = 0
            for p in range(begin, end):
                histogram[int(min(weights[p] * idf[slots[p]], ceiling) * step)] += 1
            cut = 255
            while room >= histogram[cut]:
                room -= histogram[cut]
                cut -= 1
        n = 0
        for p in range(begin, end):
            level = int(min(weights[p] * idf[slots[p]], ceiling) * step)
            if level == 0 or level < cut:
                continue
            if level == cut:
                if room == 0:
                    continue
                room -= 1
            out_slots[doc, n] = slots[p]
            out_weights[doc, n] = level
            n += 1
        out_weights[doc, n:] = 0


@_jit
def make_centroids(
    slots: Array,
    weights: Array,
    members: Array,
    begin: Array,
    span: tuple[int, int],
    sums: Array,
    out_slots: Array,
    out_weights: Array,
) -> None:
    """Centroid of each cluster: the sum of its rows, cut to its heaviest terms, of length 1. sums: zeros, one a slot."""
    touched = np.empty(len(sums), np.int64)
    keep = out_slots.shape[1]
    for cluster in range(span[0], span[1]):
        n = 0
        for i in range(begin[cluster], begin[cluster + 1]):
            doc = members[i]
            for j in range(slots.shape[1]):
                if weights[doc, j] == 0:
                    break
                term = slots[doc, j]
                if sums[term] == 0:
                    touched[n] = term
                    n += 1
                sums[term] += weights[doc, j]
        values = np.empty(n, np.float32)
        for i in range(n):
            values[i] = -sums[touched[i]]
            sums[touched[i]] = 0
        heaviest = np.argsort(values, kind="mergesort")[:keep]
        length = np.sqrt(np.sum(values[heaviest] ** 2)) + np.float32(1e-9)
        out_weights[cluster] = 0
        for i in range(len(heaviest)):
            out_slots[cluster, i] = touched[heaviest[i]]
            out_weights[cluster, i] = -values[heaviest[i]] / length


@_jit
def nearest_centroids(
    slots: Array,
    weights: Array,
    members: Array,
    span: tuple[int, int],
    list_begin: Array,
    list_cluster: Array,
    list_weight: Array,
    scores: Array,
    labels: Array,
) -> None:
    """Cluster of each member with the largest dot product, the smaller at ties. scores: one a cluster."""
    for i in range(span[0], span[1]):
        doc = members[i]
        scores[:] = 0
        for j in range(slots.shape[1]):
            weight = np.float32(weights[doc, j])
            if weight == 0:
                break
            term = slots[doc, j]
            for p in range(list_begin[term], list_begin[term + 1]):
                scores[list_cluster[p]] += weight * list_weight[p]
        best = 0
        for cluster in range(1, len(scores)):
            if scores[cluster] > scores[best]:
                best = cluster
        labels[i] = best


@_jit
def _degrees(order: Array, span: tuple[int, int], slots: Array, weights: Array, left: Array, right: Array) -> None:
    """Documents of each half that hold each term."""
    middle = span[0] + (span[1] - span[0]) // 2
    for i in range(span[0], span[1]):
        for j in range(slots.shape[1]):
            if weights[order[i], j] == 0:
                break
            left[slots[order[i], j]] = 0
            right[slots[order[i], j]] = 0
    for i in range(span[0], span[1]):
        degrees = left if i < middle else right
        for j in range(slots.shape[1]):
            if weights[order[i], j] == 0:
                break
            degrees[slots[order[i], j]] += 1


@_jit
def _move_gain(
    row_slots: Array, row_weights: Array, here: Array, there: Array, log_here: float, log_there: float, log2: Array
) -> Any:
    """How much the cost Σ d·(log n − log(d + 1)) of both halves falls if the document changes sides."""
    gain = np.float32(0)
    for j in range(len(row_slots)):
        if row_weights[j] == 0:
            break
        x, y = here[row_slots[j]], there[row_slots[j]]
        gain += x * (log_here - log2[x + 1]) - (x - 1) * (log_here - log2[x])
        gain += y * (log_there - log2[y + 1]) - (y + 1) * (log_there - log2[y + 2])
    return gain


@_jit
def _bisect_once(
    order: Array,
    span: tuple[int, int],
    slots: Array,
    weights: Array,
    iterations: int,
    log2: Array,
    left: Array,
    right: Array,
    gains: Array,
) -> None:
    """Swap documents between the halves of a span while that makes them more alike inside."""
    low, high = span
    middle = low + (high - low) // 2
    log_left, log_right = log2[middle - low], log2[high - middle]
    _degrees(order, span, slots, weights, left, right)
    for _ in range(iterations):
        for i in range(low, high):
            doc = order[i]
            if i < middle:
                gains[i] = -_move_gain(slots[doc], weights[doc], left, right, log_left, log_right, log2)
            else:
                gains[i] = -_move_gain(slots[doc], weights[doc], right, left, log_right, log_left, log2)
        from_left = np.argsort(gains[low:middle], kind="mergesort")
        from_right = np.argsort(gains[middle:high], kind="mergesort")
        swaps = 0
        while swaps < len(from_left):
            a, b = low + from_left[swaps], middle + from_right[swaps]
            if gains[a] + gains[b] >= 0:
                break
            for doc, sign in ((order[a], 1), (order[b], -1)):
                for j in range(slots.shape[1]):
                    if weights[doc, j] == 0:
                        break
                    left[slots[doc, j]] -= sign
                    right[slots[doc, j]] += sign
            order[a], order[b] = order[b], order[a]
            swaps += 1
        if swaps * 200 < high - low:
            break


@_jit
def bisect_spans(
    order: Array,
    begin: Array,
    span: tuple[int, int],
    slots: Array,
    weights: Array,
    iterations: int,
    smallest: int,
    num_slots: int,
) -> None:
    """Recursive graph bisection (Dhulipala et al., KDD 2016) of order[begin[i] : begin[i + 1]] for i in span."""
    left, right = np.zeros(num_slots, np.int32), np.zeros(num_slots, np.int32)
    longest = 0
    for i in range(span[0], span[1]):
        longest = max(longest, begin[i + 1] - begin[i])
    log2 = np.log2(np.maximum(np.arange(longest + 3), 1)).astype(np.float32)
    gains = np.zeros(len(order), np.float32)
    stack = np.empty((128, 2), np.int64)
    for i in range(span[0], span[1]):
        stack[0, 0], stack[0, 1] = begin[i], begin[i + 1]
        top = 1
        while top > 0:
            top -= 1
            low, high = stack[top]
            if high - low <= smallest:
                continue
            _bisect_once(order, (low, high), slots, weights, iterations, log2, left, right, gains)
            middle = low + (high - low) // 2
            stack[top, 0], stack[top, 1] = low, middle
            stack[top + 1, 0], stack[top + 1, 1] = middle, high
            top += 2


@_jit
def offer_terms(docs: Array, levels: Array, slots: Array, out_slots: Array, out_weights: Array, counts: Array) -> None:
    """Offer postings to the rows of their documents, which keep their heaviest; documents marked −1 take none."""
    width = out_slots.shape[1]
    for i in range(len(docs)):
        doc = docs[i]
        if doc < 0:
            continue
        place = counts[doc]
        if place < width:
            counts[doc] += 1
        else:
            place = 0
            for j in range(1, width):
                if out_weights[doc, j] < out_weights[doc, place]:
                    place = j
            if out_weights[doc, place] >= levels[i]:
                continue
        out_slots[doc, place] = slots[i]
        out_weights[doc, place] = levels[i]
