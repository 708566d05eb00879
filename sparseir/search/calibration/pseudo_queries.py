"""Queries made from documents of an index, shaped like an encoder's, for calibrating without real ones.

Terms are drawn from one document with probabilities proportional to its impacts, weights are the query side's own: real
queries share only some of their best documents' heavy terms, and weight them differently. (Queries made of a document's
heaviest terms with the document's weights fit their best documents too well, so that bounds seem tighter than they are:
calibrated on them for a recall of .98, real queries reached .92.)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from indexer import Index, SparseVectors
from indexer.native.engine import NativeIndex

SEED = 7
_LONG_TERMS, _LONG_SPREAD = 34, 10
"""Terms of a siamese encoder's query: mean and standard deviation."""
_DECAY, _ORDER_NOISE, _WEIGHT_NOISE = (3.0, 7.0), 0.5, 0.6
"""Its weights fall by exp(-x) from the first to the last, x in the range of _DECAY; noises are standard deviations of logarithms."""
_STRANGE = 0.25
"""Share of a query's terms that come from another document: its best documents do not hold all of its terms."""
_SHORT_TERMS = 6
"""Mean number of terms of an inference-free encoder's query, whose weights are inverse frequencies."""

Postings = tuple[NDArray[np.uint32], NDArray[np.float64], NDArray[np.float64]]
"""Terms, their impacts or shares, and their inverse frequencies."""


SHAPES = ("siamese", "inference-free")
LONG_FROM = 16
"""A query of an unknown encoder with at least this many terms is taken for a siamese encoder's."""
_KINDS = {
    "siamese": "siamese",
    "splade": "siamese",
    "inference-free": "inference-free",
    "inference_free": "inference-free",
}


def shape_of(index: Index, num_terms: float) -> str:
    """Shape of an index's queries: that of its encoder's kind; where the kind is unknown, by their number of terms."""
    return _KINDS.get(index.encoder.kind if index.encoder else "", SHAPES[num_terms < LONG_FROM])


def pseudo_queries(index: Index, native: NativeIndex, shape: str, count: int) -> SparseVectors:
    """About `count` queries of one of SHAPES; none where the index is empty."""
    rng = np.random.default_rng(SEED)
    make = {"siamese": _long, "inference-free": _short}[shape]
    documents = sample_documents(index, native, count, rng)
    order, strangers = rng.permutation(len(documents)), rng.permutation(len(documents))
    rows = [make(_mixed(documents[i], documents[j], rng), rng) for i, j in zip(order, strangers, strict=True)]
    return SparseVectors.from_rows(rows, index.num_terms)


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


def _mixed(own: Postings, strange: Postings, rng: np.random.Generator) -> Postings:
    """Terms of two documents, with weights that add up to 1: what a query's terms are drawn from."""
    terms, first, inverse = np.unique(np.concatenate([own[0], strange[0]]), return_index=True, return_inverse=True)
    parts = [(1 - _STRANGE) * own[1] / own[1].sum(), _STRANGE * strange[1] / strange[1].sum()]
    shares = np.bincount(inverse, np.concatenate(parts)).astype(np.float64)
    return terms.astype(np.uint32), shares, np.concatenate([own[2], strange[2]])[first]


def _draw(shares: NDArray[np.float64], size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.choice(len(shares), min(max(size, 1), len(shares)), replace=False, p=shares)


def _long(document: Postings, rng: np.random.Generator) -> list[tuple[int, float]]:
    terms, shares, _ = document
    chosen = _draw(shares, max(8, round(rng.normal(_LONG_TERMS, _LONG_SPREAD))), rng)
    chosen = chosen[np.argsort(-shares[chosen] * np.exp(rng.normal(0, _ORDER_NOISE, len(chosen))), kind="stable")]
    falling = np.exp(-rng.uniform(*_DECAY) * np.arange(len(chosen)) / len(chosen))
    weights = falling * np.exp(rng.normal(0, _WEIGHT_NOISE, len(chosen)))
    return [(int(terms[i]), float(w)) for i, w in zip(chosen, weights, strict=True)]


def _short(document: Postings, rng: np.random.Generator) -> list[tuple[int, float]]:
    terms, shares, rarity = document
    chosen = _draw(shares, 1 + int(rng.poisson(_SHORT_TERMS - 1)), rng)
    return [(int(terms[i]), float(rarity[i])) for i in chosen]
