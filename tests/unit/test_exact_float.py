"""Float-faithful search equals the float64 ranking over the stored weights."""

from __future__ import annotations

import numpy as np
import pytest

from indexer import IndexConfig, SparseVectors, build_index
from sparseir.errors import ConfigError
from sparseir.search.searcher import Searcher


def float_oracle(docs: SparseVectors, terms, weights, k, *, half):
    """float64 sums in ascending term id, one document after the other; ties by smaller ordinal."""
    stored = docs.weights.astype(np.float16) if half else docs.weights
    scores = np.zeros(len(docs))
    for i in range(len(docs)):
        lo, hi = int(docs.indptr[i]), int(docs.indptr[i + 1])
        held = dict(zip(docs.term_ids[lo:hi].tolist(), stored[lo:hi].astype(np.float64), strict=True))
        for t, w in sorted(zip(terms.tolist(), weights.astype(np.float64), strict=True)):
            scores[i] += w * held.get(t, 0.0)
    best = [int(d) for d in np.lexsort((np.arange(len(docs)), -scores)) if scores[d] > 0][:k]
    return best, scores[best].astype(np.float32)


def collection(rng, num_docs=300, num_terms=25, scale=1.0):
    rows = [
        {
            int(t): float(np.float32(scale * rng.lognormal(0, 1)))
            for t in rng.choice(num_terms, rng.integers(0, 8), False)
        }
        for _ in range(num_docs)
    ]
    return SparseVectors.from_rows(rows, num_terms)


@pytest.mark.parametrize("stored", ["f32", "f16"])
@pytest.mark.parametrize(("doc_scale", "layout"), [(0.0, "standard"), (0.004, "standard"), (0.004, "compact")])
def test_equals_float64_scores(tmp_path, stored, doc_scale, layout):
    """Also where doc_scale clips most weights at 255: 0.004 · 255 = 1.02, about the median weight."""
    rng = np.random.default_rng(5)
    docs = collection(rng)
    config = IndexConfig(stored_weights=stored, doc_scale=doc_scale, layout=layout)
    build_index(tmp_path / "index", docs, config=config)
    searcher = Searcher.open(tmp_path / "index", engine="exact_float")
    for k in (1, 5, 60):
        terms = rng.choice(25, 6, replace=False).astype(np.uint32)
        weights = rng.lognormal(0, 1, 6).astype(np.float32)
        got = searcher.search_terms(terms, weights, k=k)
        best, scores = float_oracle(docs, terms, weights, k, half=stored == "f16")
        assert got.ordinals[: len(best)].tolist() == best
        np.testing.assert_array_equal(got.scores[: len(best)], scores)
        assert (got.ordinals[len(best) :] == -1).all()


def test_an_index_without_weights_says_how_to_get_them(tmp_path):
    build_index(tmp_path / "index", SparseVectors.from_rows([{0: 1.0}], 2))
    with pytest.raises(ConfigError, match="stored_weights"):
        Searcher.open(tmp_path / "index", engine="exact_float")
