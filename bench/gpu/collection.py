"""What the GPU benchmark searches: a built index with encoded queries, or a synthetic collection made in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.vectors import load
from indexer import SparseVectors, open_index
from indexer.native.queries import quantize_queries
from sparseir.search.gpu import QueryBatch, SegmentPostings
from sparseir.search.gpu.index_source import segment_postings


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Collection:
    """One segment and its queries. vectors and path are None where the collection is synthetic."""

    name: str
    postings: SegmentPostings
    queries: QueryBatch
    vectors: SparseVectors | None = None
    path: Path | None = None


def from_index(path: Path, query_file: Path) -> Collection:
    """An index of one segment, and queries as scipy CSR .npz."""
    index = open_index(path)
    if len(index.segments) != 1:
        raise SystemExit(
            f"{path} has {len(index.segments)} segments; compact it first, so that rivals hold the same rows"
        )
    vectors = load(query_file)
    batch, _ = quantize_queries(vectors)
    return Collection(
        name=path.name, postings=segment_postings(index.segments[0]), queries=batch, vectors=vectors, path=path
    )


def synthetic(
    num_docs: int, *, postings_per_doc: int = 150, num_terms: int = 30_522, query_terms: int = 45
) -> Collection:
    """Documents hold each term independently; term frequencies fall as 1/(10 + rank), impacts are exponential.

    No topics and no order, so nothing prunes: the figures are of exhaustive work. Query terms are drawn by frequency.
    """
    rng = np.random.default_rng(7)
    share = 1 / (10 + np.arange(num_terms))
    share = np.minimum(0.6, share * postings_per_doc / share.sum())
    share *= postings_per_doc / share.sum()
    df = np.maximum(1, rng.binomial(num_docs, np.minimum(share, 0.9)))
    start = np.concatenate([[0], np.cumsum(df)])
    docs, impacts = np.empty(start[-1], np.uint16), np.empty(start[-1], np.uint8)
    runs = []
    for term in range(num_terms):
        # Gaps are geometric, so the documents come sorted; the last few may pass the end and wrap into gaps of one.
        gaps = rng.geometric(df[term] / num_docs, df[term])
        ids = np.minimum(np.cumsum(gaps) - 1, num_docs - df[term] + np.arange(df[term]))
        ids = np.maximum.accumulate(ids - np.arange(df[term])) + np.arange(df[term])
        docs[start[term] : start[term + 1]] = ids & 0xFFFF
        impacts[start[term] : start[term + 1]] = np.clip(rng.exponential(40.0, df[term]), 1, 255)
        windows, first = np.unique(ids >> 16, return_index=True)
        runs.append(np.stack([np.full(len(windows), term), windows << 16, start[term] + first]))
    table = np.concatenate(runs, axis=1)
    postings = SegmentPostings(
        num_docs=num_docs,
        term_ids=np.arange(num_terms, dtype=np.uint32),
        docs=docs,
        impacts=impacts,
        run_row=table[0].astype(np.uint32),
        run_base=table[1].astype(np.uint32),
        run_start=table[2].astype(np.uint64),
        run_end=np.append(table[2][1:], start[-1]).astype(np.uint64),
        list_max=np.full(num_terms, 255, np.uint8),
        ladder=np.zeros((num_terms, 16), np.uint8),  # no primed start: only the sample raises thresholds
    )
    return Collection(
        name=f"synthetic-{num_docs}", postings=postings, queries=_queries(rng, df / df.sum(), query_terms)
    )


def _queries(rng: np.random.Generator, chance: np.ndarray, query_terms: int, count: int = 1024) -> QueryBatch:
    terms = [np.sort(rng.choice(len(chance), query_terms, replace=False, p=chance)) for _ in range(count)]
    return QueryBatch(
        indptr=np.arange(count + 1, dtype=np.int64) * query_terms,
        ids=np.concatenate(terms).astype(np.uint32),
        weights=np.clip(rng.exponential(900.0, count * query_terms), 1, 4095).astype(np.int32),
    )
