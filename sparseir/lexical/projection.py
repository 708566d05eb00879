"""A dense model's likeness, written as words: which words a document should be found by, for queries that no model reads.

Of a sentence s with idf-weighted word counts q(s), ‖q(s)‖ = 1, and its dense embedding y(s), the vectors e(t) of words are
those by which words alone come nearest to the embedding:

    min over e of  Σ_s ‖ Σ_t q(t, s) · e(t) − y(s) ‖²  +  λ · Σ_t ‖e(t)‖²

With them a query's words stand for its embedding, so that its likeness to a document x is a sum over its words:
Σ_t q(t) · ⟨e(t), x − x̄⟩, x̄ the mean of all documents. That is a dot product of sparse vectors, and an inverted index
answers it: document x holds the gain g(t, x) = max(0, ⟨e(t), x − x̄⟩) of its own words and of those others whose
g(t, x) · idf(t) · df(t)^¼ is largest. Words that sentences hardly say have no vector, as too little is known of them.

Source: ridge regression is Hoerl and Kennard 1970; a lookup table in place of a query encoder as in inference-free sparse
retrieval (Geng et al. 2024, arXiv:2411.04403). Fitting the table to a dense model over the collection itself, with no query
and no judgement, is our own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseir.errors import DataError
from sparseir.lexical.bm25 import idf_of
from sparseir.lexical.smoothing import summed
from sparseir.lexical.stems import StemFactors, WordCounts

PROJECTION_FILE = "projection.safetensors"

RIDGE = 0.3
"""λ, in units of a sentence: .3 and 1 rank alike, 3 and 10 lower on some collections (docs/lexical.md)."""

_LEAST_SENTENCES = 2
"""A word said by fewer has no vector: its regression would learn that sentence."""

_ROUNDS = 15
"""Rounds of conjugate gradients: thirty rank the same."""

_PREFERRED = 0.25
"""Power of df in the choice of words: a word that documents say often is asked for more often, too."""

_LARGEST = 1e6
"""No number of a projection is near it: larger ones are damage, and their products would be no numbers."""

PROBE = "What a dense model makes of this sentence tells it from others."
"""Embedded at the build and again when documents are added."""

_ROWS = 256
"""Documents whose gains over all words are held at a time."""

HIGHEST = 2.0
"""Largest factor of a word with its gain. The scale of the impacts must leave room for it; few gains are above."""


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """Words with their vectors.

    Parameters
    ----------
    stems : uint32 (S,), rising: numbers of the stems.
    vectors : float32 (S, D), e(t).
    mean : float32 (D,), x̄.
    preference : float32 (S,), idf(t) · df(t)^¼ among the documents it was fitted to; not negative.
    probe : float32 (D,), what the dense model makes of `PROBE`: another model gives other numbers.
    """

    stems: NDArray[np.uint32]
    vectors: NDArray[np.float32]
    mean: NDArray[np.float32]
    preference: NDArray[np.float32]
    probe: NDArray[np.float32]

    @classmethod
    def fit(
        cls,
        sentences: WordCounts,
        embeddings: NDArray[np.float32],
        *,
        mean: NDArray[np.float32],
        probe: NDArray[np.float32],
        document_frequencies: NDArray[np.int64],
        num_docs: int,
        progress: Callable[[int, int], None] | None = None,
    ) -> Projection:
        """Word vectors from sentences and their embeddings.

        Parameters
        ----------
        sentences : words of each sentence. embeddings : float32 (sentences, D). mean : of the documents' embeddings.
        probe : embedding of `PROBE`.
        document_frequencies : int64, of every stem by its number, among the num_docs documents.
        progress : told of rounds.
        """
        said = np.bincount(sentences.stems, minlength=len(document_frequencies))
        stems = np.flatnonzero(said >= _LEAST_SENTENCES).astype(np.uint32)
        frequencies = document_frequencies[stems]
        idf = idf_of(frequencies, num_docs)
        rows = _unit_rows(sentences, stems, idf)
        # As they will be stored, so that a document added later gets what it would have got.
        vectors = _ridge(rows, embeddings, progress).astype(np.float16).astype(np.float32)
        preference = (idf * frequencies**_PREFERRED).astype(np.float32)
        return cls(stems, vectors, mean.astype(np.float32), preference, probe.astype(np.float32))

    def expanded(
        self, own: StemFactors, embeddings: NDArray[np.float32], *, weight: float, most_words: int
    ) -> StemFactors:
        """Factors of documents with gains: f(t, d) + weight · g(t, d), HIGHEST at most.

        Parameters
        ----------
        own : f of the documents. embeddings : float32 (documents, D). weight : β. most_words : that a document gets and has
            not itself.
        """
        parts = [
            self._gains(_rows(own, first, first + _ROWS), embeddings[first : first + _ROWS], most_words)
            for first in range(0, len(own.indptr) - 1, _ROWS)
        ]
        rows = np.concatenate([np.zeros(0, np.int64), *(row + part * _ROWS for part, (row, _, _) in enumerate(parts))])
        stems = np.concatenate([np.zeros(0, np.uint32), *(stem for _, stem, _ in parts)])
        gains = np.concatenate([np.zeros(0), *(gain for _, _, gain in parts)])
        total = summed(own, rows, stems, weight * gains)
        return StemFactors(total.indptr, total.stems, np.minimum(total.values, HIGHEST))

    def _gains(
        self, own: StemFactors, embeddings: NDArray[np.float32], most_words: int
    ) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.float64]]:
        """(row, stem, gain) of every gain that is kept, of some documents."""
        gains = (embeddings - self.mean) @ self.vectors.T
        rows = np.repeat(np.arange(len(gains)), np.diff(own.indptr))
        place = np.minimum(np.searchsorted(self.stems, own.stems), max(0, len(self.stems) - 1))
        known = self.stems[place] == own.stems if len(self.stems) else np.zeros(len(place), bool)
        rows, place = rows[known], place[known]
        said = np.zeros(gains.shape, bool)
        said[rows, place] = True
        others = np.where(said, 0, gains * self.preference)
        if most_words < others.shape[1]:
            floor = np.partition(others, others.shape[1] - most_words - 1, axis=1)[:, -most_words - 1]
            others[others <= floor[:, None]] = (
                0  # ties at the floor are all left out, so that none is chosen by its place
            )
        row, column = np.nonzero((said & (gains > 0)) | (others > 0))
        return row, self.stems[column], gains[row, column].astype(np.float64)

    def save(self, folder: Path) -> None:
        """Write the file into a query side, vectors in float16."""
        from safetensors.numpy import save_file

        save_file(
            {
                "stems": self.stems,
                "vectors": self.vectors.astype(np.float16),
                "mean": self.mean,
                "preference": self.preference,
                "probe": self.probe,
            },
            folder / PROJECTION_FILE,
        )

    @classmethod
    def load(cls, folder: Path, *, num_stems: int) -> Projection:
        """Read what `save` wrote.

        Parameters
        ----------
        num_stems : that the channel knows.

        Raises
        ------
        DataError : the file is missing or damaged.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        path = folder / PROJECTION_FILE
        try:
            found = load_file(path)
            stems, vectors = found["stems"], found["vectors"]
            mean, preference, probe = (found[name] for name in ("mean", "preference", "probe"))
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise DataError(
                f"the words of a dense model are damaged: {error!r}; build the index again", path=path
            ) from None
        fit = (
            stems.dtype == np.uint32
            and stems.ndim == mean.ndim == 1
            and vectors.shape == (len(stems), len(mean))
            and preference.shape == stems.shape
            and probe.shape == mean.shape
            and bool((stems[1:] > stems[:-1]).all())
            and not bool((stems >= num_stems).any())
            and vectors.dtype == np.float16
            and all(part.dtype == np.float32 for part in (mean, preference, probe))
            and bool(np.isfinite(vectors).all())
            and all(bool((np.abs(part) <= _LARGEST).all()) for part in (mean, preference, probe))
            and bool((preference >= 0).all())
        )
        if not fit:
            raise DataError("the words of a dense model do not fit each other; build the index again", path=path)
        return cls(stems, vectors.astype(np.float32), mean, preference, probe)


def _unit_rows(sentences: WordCounts, stems: NDArray[np.uint32], idf: NDArray[np.float64]) -> Any:
    """scipy CSR (sentences, S), float32: idf-weighted counts, each row of length 1 or 0."""
    from scipy.sparse import csr_matrix

    place = np.minimum(np.searchsorted(stems, sentences.stems), max(0, len(stems) - 1))
    known = stems[place] == sentences.stems if len(stems) else np.zeros(len(place), bool)
    row = np.repeat(np.arange(len(sentences.indptr) - 1), np.diff(sentences.indptr))[known]
    values = sentences.counts[known] * idf[place[known]]
    length = np.sqrt(np.bincount(row, values**2, len(sentences.indptr) - 1))
    return csr_matrix(
        ((values / np.maximum(length[row], 1e-30)).astype(np.float32), (row, place[known])),
        shape=(len(sentences.indptr) - 1, len(stems)),
    )


def _ridge(rows: Any, targets: NDArray[np.float32], progress: Callable[[int, int], None] | None) -> NDArray[np.float32]:
    """float32 (S, D): (RᵀR + λ)⁻¹ RᵀY by conjugate gradients, every column of Y for itself."""
    residual = rows.T @ targets
    out: NDArray[np.float32] = np.zeros_like(residual)
    direction, squares = residual.copy(), (residual**2).sum(axis=0)
    for done in range(_ROUNDS):
        product = rows.T @ (rows @ direction) + RIDGE * direction
        step = squares / np.maximum((direction * product).sum(axis=0), 1e-30)
        out += step * direction
        residual -= step * product
        before, squares = squares, (residual**2).sum(axis=0)
        direction = residual + squares / np.maximum(before, 1e-30) * direction
        if progress is not None:
            progress(done + 1, _ROUNDS)
    return out


def _rows(factors: StemFactors, first: int, end: int) -> StemFactors:
    indptr = factors.indptr[first : end + 1]
    inside = slice(int(indptr[0]), int(indptr[-1]))
    return StemFactors(indptr - indptr[0], factors.stems[inside], factors.values[inside])
