"""What the systems of the GPU benchmark must answer, computed list by list on the host."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.gpu.collection import Collection

CHECKED_QUERIES, CHECKED_K = 4, 100


def truth(collection: Collection) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(ordinals, scores) of the CHECKED_K best documents of the first CHECKED_QUERIES queries; -1 and 0 where there are no more."""
    postings = collection.postings
    rows = collection.queries.slice(0, min(CHECKED_QUERIES, len(collection.queries))).resolve(postings.term_ids)
    own = np.arange(postings.num_docs) if postings.ordinals is None else postings.ordinals
    ordinals = np.full((len(rows), CHECKED_K), -1, np.int64)
    best = np.zeros((len(rows), CHECKED_K), np.int64)
    first = np.searchsorted(postings.run_row, np.arange(len(postings.term_ids) + 1))
    for q in range(len(rows)):
        scores = np.zeros(postings.num_docs, np.int64)
        for at in range(int(rows.indptr[q]), int(rows.indptr[q + 1])):
            for run in range(int(first[rows.ids[at]]), int(first[rows.ids[at] + 1])):
                part = slice(int(postings.run_start[run]), int(postings.run_end[run]))
                docs = postings.docs[part].astype(np.int64) + int(postings.run_base[run])  # distinct inside a list
                scores[docs] += int(rows.weights[at]) * postings.impacts[part].astype(np.int64)
        hits = np.flatnonzero(scores)
        order = hits[np.lexsort((own[hits], -scores[hits]))][:CHECKED_K]
        ordinals[q, : len(order)] = own[order] + postings.ordinal_base
        best[q, : len(order)] = scores[order]
    return ordinals, best


def agrees(answer: Any, want: tuple[NDArray[np.int64], NDArray[np.int64]], *, exact: bool) -> bool:
    """Whether an answer of CHECKED_K hits is right: engines to the bit, floats of rivals to 1 in 10,000."""
    if exact:
        return all(np.array_equal(got, right) for got, right in zip(answer, want, strict=True))
    scores = np.asarray(answer.cpu(), np.float64)
    return bool(np.allclose(scores, want[1][:, : scores.shape[1]], rtol=1e-4))
