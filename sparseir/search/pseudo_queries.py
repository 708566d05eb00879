"""Queries made from documents of an index, shaped like an encoder's, for calibrating without real ones.

Terms are drawn from one document with probabilities proportional to its impacts, weights are the query side's own: real
queries share only some of their best documents' heavy terms, and weight them differently. (Queries of a document's heaviest
terms with the document's weights agree with their best documents so well that bounds seem tighter than they are: calibrated
for a recall of .98, real queries reached .92.)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from indexer import Index, SparseVectors
from indexer.native_search import NativeIndex

SEED = 7
_LONG_TERMS, _LONG_SPREAD = 34, 6
"""Terms of a siamese encoder's query: mean and standard deviation."""
_DECAY, _ORDER_NOISE, _WEIGHT_NOISE = 4.0, 0.5, 0.3
"""Its weights fall by exp(-_DECAY) from the first to the last; noises are standard deviations of logarithms."""
_SHORT_TERMS = 6
"""Mean number of terms of an inference-free encoder's query, whose weights are inverse frequencies."""

Postings = tuple[NDArray[np.uint32], NDArray[np.float64], NDArray[np.float64]]
"""Terms of a document, their impacts and their inverse frequencies."""


SHAPES = ("siamese", "inference-free")
_LONG_FROM = 16


def shape_of(index: Index, num_terms: float) -> str:
    """Shape of an index's queries: its encoder's kind, and where that is not known what queries of so many terms are."""
    kind = index.encoder.kind if index.encoder else ""
    return kind if kind in SHAPES else SHAPES[num_terms < _LONG_FROM]


def pseudo_queries(index: Index, native: NativeIndex, shape: str, count: int) -> SparseVectors:
    """About `count` queries of one of SHAPES; none where the index is empty."""
    rng = np.random.default_rng(SEED)
    make = {"siamese": _long, "inference-free": _short}[shape]
    documents = sample_documents(index, native, count, rng)
    order = rng.permutation(len(documents))
    return SparseVectors.from_rows([make(documents[i], rng) for i in order], index.num_terms)


def sample_documents(index: Index, native: NativeIndex, count: int, rng: np.random.Generator) -> list[Postings]:
    """About `count` documents that are not deleted and hold a term, drawn with replacement."""
    sizes = np.array([s.num_docs for s in index.segments], np.int64)
    documents: list[Postings] = []
    if not sizes.sum():
        return documents
    segments = rng.choice(len(sizes), count, p=sizes / sizes.sum())
    for number in np.unique(segments).tolist():
        segment = index.segments[number]
        doc_ids = rng.integers(segment.num_docs, size=int((segments == number).sum()))
        doc_ids = np.sort(doc_ids[segment.is_live(doc_ids)])
        rows, terms, impacts = native.document_vectors(number, doc_ids.astype(np.uint32))
        df = segment.section("TREC")["df"][np.searchsorted(segment.section("TERM"), terms)].astype(np.float64)
        rarity = np.log1p((segment.num_docs - df + 0.5) / (df + 0.5))
        for row in range(len(doc_ids)):
            here = rows == row
            if here.any():
                documents.append((terms[here], impacts[here].astype(np.float64), rarity[here]))
    return documents


def _draw(impacts: NDArray[np.float64], size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    size = min(max(size, 1), len(impacts))
    return rng.choice(len(impacts), size, replace=False, p=impacts / impacts.sum())


def _long(document: Postings, rng: np.random.Generator) -> list[tuple[int, float]]:
    terms, impacts, _ = document
    chosen = _draw(impacts, round(rng.normal(_LONG_TERMS, _LONG_SPREAD)), rng)
    chosen = chosen[np.argsort(-impacts[chosen] * np.exp(rng.normal(0, _ORDER_NOISE, len(chosen))), kind="stable")]
    falling = np.exp(-_DECAY * np.arange(len(chosen)) / len(chosen))
    weights = falling * np.exp(rng.normal(0, _WEIGHT_NOISE, len(chosen)))
    return [(int(terms[i]), float(w)) for i, w in zip(chosen, weights, strict=True)]


def _short(document: Postings, rng: np.random.Generator) -> list[tuple[int, float]]:
    terms, impacts, rarity = document
    chosen = _draw(impacts, 1 + int(rng.poisson(_SHORT_TERMS - 1)), rng)
    return [(int(terms[i]), float(rarity[i])) for i in chosen]
