"""BM25 in two factors: one a document holds, one a query brings.

score(q, d) = Σ_{t ∈ q} count(t, q) · idf(t) · tf / (tf + k1·(1 − b + b·|d|/avg)), Lucene's variant, without the constant
factor k1 + 1.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sparseir.lexical.stems import WordCounts


def saturated(words: WordCounts, average_length: float, *, k1: float, b: float) -> NDArray[np.float64]:
    """The document's factor of each count, in (0, 1]: tf / (tf + k1·(1 − b + b·|d|/avg))."""
    lengths = np.repeat(words.lengths, np.diff(words.indptr))
    return words.counts / (words.counts + k1 * (1 - b + b * lengths / average_length))


def idf(document_frequency: int, num_docs: int) -> float:
    """ln(1 + (N − df + ½) / (df + ½)), above 0 for every df from 1 to N."""
    return math.log1p((num_docs - document_frequency + 0.5) / (document_frequency + 0.5))


def idf_of(document_frequencies: NDArray[np.int64], num_docs: int) -> NDArray[np.float64]:
    """`idf` of many terms, float64; of terms in no document too."""
    return np.log1p((num_docs - document_frequencies + 0.5) / (document_frequencies + 0.5))
