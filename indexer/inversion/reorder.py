"""Internal order of documents: similar ones side by side, so that blocks have small maxima and few survive a threshold.

Topical clustering: documents cut to their heaviest terms by weight · idf; centroids from a sample (spherical k-means);
every document joins its nearest centroid; centroids are laid out by recursive graph bisection, so that neighbouring
clusters are alike too. On 1,000,000 synthetic documents the blocks of 32 that survive the final k = 10 threshold fall
from 251 to 58; bisection of all documents takes longer and leaves 64; bisection inside the clusters leaves 55.
"""

from __future__ import annotations

import importlib.util
import itertools
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.config import WriteOptions
from indexer.format.term_lists import TermLists
from indexer.inversion.invert import number_slots, run_parallel
from indexer.vectors import SparseVectors

AUTO_FROM = 65_536
"""Documents from which "auto" orders: below, a query takes microseconds anyway and compiling would be noticed."""

BUDGET_WIDTH = 24
"""Terms of a document that orders are made from within a memory budget."""

_WIDTH = 32
_CENTROID_TERMS = 64
_SAMPLE = 200_000
_ROUNDS = 2
_INNER_ITERATIONS = 8
_INNER_SMALLEST = 32
_CENTROID_ITERATIONS = 20
NO_NUMBA = "documents keep their input order: ordering needs numba (pip install 'sparseir[index]')"


@dataclass(frozen=True, slots=True, eq=False)
class ForwardRows:
    """Documents cut to their heaviest terms, 3 or 5 bytes a term.

    Parameters
    ----------
    slots : uint16 or uint32 (documents, width).
    weights : uint8 (documents, width), relative to the row's largest; 0 ends a row.
    num_slots : slots are below it.
    """

    slots: NDArray[Any]
    weights: NDArray[np.uint8]
    num_slots: int

    @classmethod
    def allocate(cls, num_docs: int, num_slots: int, width: int = _WIDTH) -> ForwardRows:
        kind = np.uint16 if num_slots <= 65536 else np.uint32
        return cls(np.zeros((num_docs, width), kind), np.zeros((num_docs, width), np.uint8), num_slots)


def wanted_order(order: str, num_docs: int) -> tuple[str, tuple[str, ...]]:
    """The order that the config's means here: ("input", "clusters" or "bisection", notes for a person)."""
    if order == "auto":
        order = "clusters" if num_docs >= AUTO_FROM else "input"
    if order != "input" and importlib.util.find_spec("numba") is None:
        return "input", (NO_NUMBA,)
    return order, ()


def order_documents(
    vectors: SparseVectors, order: str, options: WriteOptions
) -> tuple[NDArray[np.uint32] | None, tuple[str, ...]]:
    """(row of each doc_id, or None for the input order; notes for a person)."""
    kind, notes = wanted_order(order, len(vectors))
    if kind == "input" or len(vectors) < 2:
        return None, notes
    options.progress("ordering", 0, None)
    slots, _, num_slots = number_slots(vectors)
    rows = ForwardRows.allocate(len(vectors), num_slots)
    idf = inverse_frequency(count_slots(slots, num_slots), len(vectors))
    fill_forward(rows, 0, vectors, slots, idf, options.num_threads)
    return order_rows(rows, kind, options.num_threads), notes


def count_slots(slots: NDArray[np.uint32], num_slots: int) -> NDArray[np.int64]:
    """How often each slot occurs; in pieces, because numpy counts over a copy in 64 bits."""
    piece = 1 << 22
    counts = np.zeros(num_slots, np.int64)
    for begin in range(0, len(slots), piece):
        counts += np.bincount(slots[begin : begin + piece], minlength=num_slots)
    return counts


def inverse_frequency(df: NDArray[Any], num_docs: int) -> NDArray[np.float32]:
    """log((N + 1) / (df + 1)) of each slot."""
    return np.log((num_docs + 1) / (np.asarray(df, np.float64) + 1)).astype(np.float32)


def fill_forward(
    rows: ForwardRows,
    at: int,
    vectors: SparseVectors,
    slots: NDArray[np.uint32],
    idf: NDArray[np.float32],
    threads: int,
) -> None:
    """Cut vectors into rows[at : at + len(vectors)]."""
    kernels = _kernels()
    here = slice(at, at + len(vectors))
    run_parallel(
        lambda span: kernels.select_terms(
            vectors.indptr, slots, vectors.weights, idf, span, rows.slots[here], rows.weights[here]
        ),
        _spans(len(vectors), threads),
    )


def offer_lists(
    rows: ForwardRows, lists: TermLists, new_ids: NDArray[np.int64], idf: NDArray[np.float32], counts: NDArray[np.int64]
) -> None:
    """Fill forward rows from the posting lists of an existing index.

    Parameters
    ----------
    new_ids : row of each doc_id, −1 for none; below the number of rows, as term ids are below that of slots. It is
        checked, since the compiled loops check no index of an array.
    """
    if len(lists.term_ids) and int(lists.term_ids.max()) >= min(rows.num_slots, len(idf)):
        raise ValueError(f"term {int(lists.term_ids.max())} is not one of {min(rows.num_slots, len(idf))} slots")
    if len(counts) != len(rows.slots) or int(new_ids.max(initial=-1)) >= len(rows.slots):
        raise ValueError(f"documents are renumbered beyond the {len(rows.slots)} rows there are")
    span = slice(int(lists.start[0]), int(lists.start[-1]))
    slots = np.repeat(lists.term_ids, np.diff(lists.start).astype(np.int64))
    levels = lists.impacts[span] * (idf / max(float(idf.max()), 1e-9))[slots]
    levels = np.clip(np.rint(levels), 1, 255).astype(np.uint8)
    _kernels().offer_terms(new_ids[lists.doc_ids()], levels, slots, rows.slots, rows.weights, counts)


def order_rows(rows: ForwardRows, kind: str, threads: int) -> NDArray[np.uint32]:
    """uint32 (documents,): the row of each doc_id. Deterministic: the same rows give the same order on any threads.

    Parameters
    ----------
    rows : all documents.
    kind : "clusters", or "bisection" for clusters bisected inside.
    threads : threads to use.
    """
    kernels = _kernels()
    num_docs = len(rows.slots)
    num_clusters = _number_of_clusters(num_docs)
    members, begin, centroids = _cluster(kernels, rows, num_clusters, threads)
    layout = np.arange(num_clusters)
    whole = np.array([0, num_clusters])
    kernels.bisect_spans(layout, whole, (0, 1), *centroids, _CENTROID_ITERATIONS, 1, rows.num_slots)
    sizes = np.diff(begin)[layout]
    begin_of = np.concatenate([[0], np.cumsum(sizes)])
    # Place p of the new order takes member p − (new start of its cluster) + (old start of it).
    source = np.arange(num_docs) + np.repeat(begin[:-1][layout] - begin_of[:-1], sizes)
    order = members[source]
    if kind == "bisection":
        run_parallel(
            lambda span: kernels.bisect_spans(
                order, begin_of, span, rows.slots, rows.weights, _INNER_ITERATIONS, _INNER_SMALLEST, rows.num_slots
            ),
            _spans(num_clusters, threads),
        )
    return order.astype(np.uint32)


def _number_of_clusters(num_docs: int) -> int:
    """4·√N, and up to twice that for small segments, which then prune almost as well; never over a million's 4,000."""
    root = num_docs**0.5
    return max(1, min(num_docs, int(max(4 * root, min(8 * root, 4000)))))


def _cluster(
    kernels: ModuleType, rows: ForwardRows, num_clusters: int, threads: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[NDArray[Any], NDArray[Any]]]:
    """(members by cluster, where each cluster begins, its centroid's slots and weights)."""
    random = np.random.default_rng(0)
    num_docs = len(rows.slots)
    sample = np.sort(random.choice(num_docs, min(num_docs, _SAMPLE), replace=False))
    members = random.choice(sample, num_clusters, replace=False)
    begin = np.arange(num_clusters + 1)
    for turn in range(_ROUNDS + 1):
        slots = np.zeros((num_clusters, _CENTROID_TERMS), np.int64)
        weights = np.zeros((num_clusters, _CENTROID_TERMS), np.float32)

        def sum_up(span: tuple[int, int], into: Any = (slots, weights), of: Any = (members, begin)) -> None:
            sums = np.zeros(rows.num_slots, np.float32)
            kernels.make_centroids(rows.slots, rows.weights, *of, span, sums, *into)

        run_parallel(sum_up, _spans(num_clusters, threads))
        lists = _centroid_lists(slots, weights, rows.num_slots)
        pool = np.arange(num_docs) if turn == _ROUNDS else sample
        labels = np.empty(len(pool), np.int64)

        def label(span: tuple[int, int], of: Any = pool, by: Any = lists, into: Any = labels) -> None:
            scores = np.empty(num_clusters, np.float32)
            kernels.nearest_centroids(rows.slots, rows.weights, of, span, *by, scores, into)

        run_parallel(label, _spans(len(pool), threads))
        members = pool[np.argsort(labels, kind="stable")]
        begin = np.concatenate([[0], np.cumsum(np.bincount(labels, minlength=num_clusters))])
    return members, begin, (slots, weights)


def _centroid_lists(
    slots: NDArray[Any], weights: NDArray[np.float32], num_slots: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Centroids by term: (where each slot's list begins, clusters, weights)."""
    cluster, place = np.nonzero(weights)
    terms = slots[cluster, place]
    by_term = np.argsort(terms, kind="stable")
    begin = np.concatenate([[0], np.cumsum(np.bincount(terms, minlength=num_slots))])
    return begin, cluster[by_term], weights[cluster, place][by_term]


def _spans(n: int, threads: int) -> list[tuple[int, int]]:
    cuts = [n * i // threads for i in range(threads + 1)]
    return [(lo, hi) for lo, hi in itertools.pairwise(cuts) if lo < hi]


def _kernels() -> ModuleType:
    from indexer.inversion import reorder_kernels

    return reorder_kernels
