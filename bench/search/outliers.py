"""What one heavy weight does to an index: overlap of the integer top 10 with the float top 10. JSON on stdout.

    python -m bench.search.outliers VECTORS [--queries N] [--times 2,10,560]

VECTORS is any file of vectors; N of its rows, chosen by a fixed seed, are the queries. For each factor one more document
is indexed, whose only weight is so many times the largest (0: none), once under the scale that the build chooses and once
under the one that the largest weight alone would give. The float top 10 are sums in float64.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer import IndexConfig, SparseVectors, build_index
from indexer.interchange import open_vectors
from indexer.inversion.invert import MAX_IMPACT
from sparseir.search.searcher import Searcher

K = 10


def float_top(vectors: SparseVectors, queries: SparseVectors) -> list[NDArray[np.int64]]:
    """Ordinals of the K best documents of each query, ties by smaller ordinal."""
    matrix = vectors.to_scipy().astype(np.float64).T.tocsr()
    best = []
    for i in range(len(queries)):
        terms, weights = queries.row(i)
        scores = weights.astype(np.float64) @ matrix[terms.astype(np.int64)]
        best.append(np.lexsort((np.arange(len(vectors)), -scores))[:K])
    return best


def measure(vectors: SparseVectors, queries: SparseVectors, config: IndexConfig) -> dict[str, Any]:
    """Mean overlap, and what the scale cut."""
    expected = float_top(vectors, queries)
    with tempfile.TemporaryDirectory() as folder:
        index = build_index(Path(folder) / "index", vectors, config=config)
        found = Searcher.open(index.path).search_vectors(queries, k=K).ordinals
        shares = [len(np.intersect1d(row, best)) / K for row, best in zip(found, expected, strict=True)]
        clipped = sum(segment.entry.num_clipped for segment in index.segments)
        return {
            "overlap": round(float(np.mean(shares)), 4),
            "full_weight": index.doc_scale * MAX_IMPACT,
            "clipped": clipped,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--times", default="0,2,10,560")
    given = parser.parse_args()
    parts = [batch.vectors for batch in open_vectors(given.vectors)]
    num_terms = max(part.num_terms for part in parts)
    vectors = SparseVectors.concatenate(parts)
    chosen = np.sort(np.random.default_rng(0).choice(len(vectors), min(given.queries, len(vectors)), replace=False))
    queries = SparseVectors.concatenate([vectors.slice(i, i + 1) for i in chosen.tolist()])
    largest = float(vectors.weights.max())
    for times in map(float, given.times.split(",")):
        heavy = [SparseVectors.from_rows([{0: times * largest}], num_terms)] if times else []
        both = SparseVectors.concatenate([vectors, *heavy])
        for rule, scale in (("largest", max(1.0, times) * largest / MAX_IMPACT), ("chosen", 0.0)):
            line = measure(both, queries, IndexConfig(doc_scale=scale, order="input"))
            print(json.dumps({"times": times, "rule": rule, **line}), flush=True)


if __name__ == "__main__":
    main()
