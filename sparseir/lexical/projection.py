"""A dense model's likeness, written as words: which words a document should be found by, for queries that no model reads.

Of a sentence s with idf-weighted word counts q(s), ‖q(s)‖ = 1, and its dense embedding y(s), the vectors e(t) of words are
those by which words alone come nearest to the embedding, and so for documents d with their weighted BM25 factors, which
count less and know the words that few sentences say:

    min over e of  Σ_s ‖ Σ_t q(t, s) · e(t) − y(s) ‖²  +  μ · Σ_d ‖ Σ_t q(t, d) · e(t) − y(d) ‖²  +  λ · Σ_t ‖e(t)‖²

With them a query's words stand for its embedding, so that its likeness to a document x is a sum over its words:
Σ_t q(t) · ⟨e(t), x − x̄⟩, x̄ the mean of all documents. That is a dot product of sparse vectors, and an inverted index
answers it: document x holds the gain g(t, x) = max(0, ⟨e(t), x − x̄⟩) of its own words and of those others whose
g(t, x) · idf(t) · df(t)^¼ is largest. A word that has no vector, since no text of the sample says it or it came later, counts
in its document as the rarest words that have one do on average: its gain is ρ · f(t, x), ρ fitted to these by least squares.

Vectors are kept along the directions in which documents differ, in some two bits a number (`sparseir.lexical.word_vectors`).

Source: ridge regression is Hoerl and Kennard 1970; a lookup table in place of a query encoder as in inference-free sparse
retrieval (Geng et al. 2024, arXiv:2411.04403). Fitting the table to a dense model over the collection itself, with no query
and no judgement, is our own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseir.errors import DataError
from sparseir.lexical.arrays import read_arrays
from sparseir.lexical.bm25 import idf_of
from sparseir.lexical.smoothing import summed
from sparseir.lexical.stems import StemFactors
from sparseir.lexical.word_vectors import MeasureError, WordVectors, earlier, most_words

PROJECTION_FILE = "projection.safetensors"

RIDGE = 0.3
"""λ, in units of a sentence: .3 and 1 rank alike, 3 and 10 lower on some collections (docs/lexical.md)."""

DOCUMENTS_WEIGHT = 0.1
"""μ: .1, .2 and .4 rank alike; without documents words of one or two sentences rank worse (docs/lexical.md)."""

_LASTING = 2
"""Documents of a word whose vector an index keeps for documents that are added: those of one are half of all words."""

_ROUNDS = 15
"""Rounds of conjugate gradients: thirty rank the same."""

_PREFERRED = 0.25
"""Power of df in the choice of words: a word that documents say often is asked for more often, too."""

_LARGEST = 1e6
"""No number of a projection is near it: larger ones are damage, and their products would be no numbers."""

PROBE = "What a dense model makes of this sentence tells it from others."
"""Embedded at the build and again when documents are added."""

_GAINS = 4_000_000
"""Gains held at a time: of some documents over all words."""

HIGHEST = 2.0
"""Largest factor of a word with its gain. The scale of the impacts must leave room for it; few gains are above."""


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """Texts with their words and dense embeddings.

    Parameters
    ----------
    indptr : int64 (texts + 1,). stems : uint32, each row's rising. values : numeric, what each stem counts in its text.
    embeddings : float32 (texts, D).
    """

    indptr: NDArray[np.int64]
    stems: NDArray[np.uint32]
    values: NDArray[Any]
    embeddings: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """Words with their vectors.

    Parameters
    ----------
    stems : uint32 (S,), rising: numbers of the stems.
    vectors : of S words in D numbers, e(t). mean : float32 (D,), x̄.
    preference : float16 (S,), float32 in an index of an earlier version: idf(t) · df(t)^¼ among the documents it was fitted to; not negative.
    probe : float32 (D,), what the dense model makes of `PROBE`: another model gives other numbers.
    share : ρ, the gain of a document's own words that have no vector, as a share of their factors; not negative.
    """

    stems: NDArray[np.uint32]
    vectors: WordVectors
    mean: NDArray[np.float32]
    preference: NDArray[np.float16] | NDArray[np.float32]
    probe: NDArray[np.float32]
    share: float = 0.0

    @classmethod
    def fit(
        cls,
        sentences: Observed,
        documents: Observed,
        *,
        mean: NDArray[np.float32],
        probe: NDArray[np.float32],
        document_frequencies: NDArray[np.int64],
        num_docs: int,
        progress: Callable[[int, int], None] | None = None,
    ) -> Projection:
        """Word vectors from a sample of the collection.

        Parameters
        ----------
        sentences : counts of their words, and embeddings. documents : BM25 factors of their words, and embeddings.
        mean : of all documents' embeddings. probe : embedding of `PROBE`.
        document_frequencies : int64, of every stem by its number, among the num_docs documents.
        progress : told of rounds.

        Raises
        ------
        DataError : embeddings of numbers out of all measure.
        """
        stems, vectors = word_vectors(
            sentences, documents, document_frequencies=document_frequencies, num_docs=num_docs, progress=progress
        )
        frequencies = document_frequencies[stems]
        idf = idf_of(frequencies, num_docs)
        mean = mean.astype(np.float32)
        preference = (idf * frequencies**_PREFERRED).astype(np.float16)
        try:
            # As they will be stored, so that words of documents added later get what they would have got.
            rounded = WordVectors.of(vectors, documents.embeddings - mean, frequencies >= _LASTING)
            made = cls(stems, rounded, mean, preference, probe.astype(np.float32))
            made = replace(made, share=made._share(documents, frequencies == frequencies.min(initial=1 << 62)))
            _check_numbers(mean=(mean, mean.size), share=(np.array([made.share], np.float32), 1))
        except MeasureError as error:
            raise DataError(
                f"the dense model's embeddings cannot be worth words: too many, too large or too small numbers ({error}); take a "
                "smaller model, or one that normalises them"
            ) from None
        return made

    def lasting(self, document_frequencies: NDArray[np.int64]) -> Projection:
        """What an index keeps: the words of two documents or more.

        Parameters
        ----------
        document_frequencies : int64, of every stem by its number.
        """
        kept = document_frequencies[self.stems] >= _LASTING
        return replace(self, stems=self.stems[kept], vectors=self.vectors.some(kept), preference=self.preference[kept])

    def expanded(
        self, own: StemFactors, embeddings: NDArray[np.float32], *, weight: float, most_words: int
    ) -> StemFactors:
        """Factors of documents with gains: f(t, d) + weight · g(t, d), HIGHEST at most.

        Parameters
        ----------
        own : f of the documents. embeddings : float32 (documents, D). weight : β. most_words : that a document gets and has
            not itself.
        """
        step = max(1, _GAINS // max(1, len(self.stems)))
        parts = [
            self._gains(_rows(own, first, first + step), embeddings[first : first + step], most_words)
            for first in range(0, len(own.indptr) - 1, step)
        ]
        rows = np.concatenate([np.zeros(0, np.int64), *(row + part * step for part, (row, _, _) in enumerate(parts))])
        stems = np.concatenate([np.zeros(0, np.uint32), *(stem for _, stem, _ in parts)])
        gains = np.concatenate([np.zeros(0), *(gain for _, _, gain in parts)])
        total = summed(own, rows, stems, weight * gains)
        return StemFactors(total.indptr, total.stems, np.minimum(total.values, HIGHEST))

    def _gains(
        self, own: StemFactors, embeddings: NDArray[np.float32], most_words: int
    ) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.float64]]:
        """(row, stem, gain) of every gain that is kept, of some documents."""
        gains = self._along(embeddings) @ self.vectors.values.T
        rows = np.repeat(np.arange(len(gains)), np.diff(own.indptr))
        place = np.minimum(np.searchsorted(self.stems, own.stems), max(0, len(self.stems) - 1))
        known = self.stems[place] == own.stems if len(self.stems) else np.zeros(len(place), bool)
        unknown = ~known & (self.share > 0)
        said = np.zeros(gains.shape, bool)
        said[rows[known], place[known]] = True
        others = np.where(said, 0, gains * self.preference.astype(np.float32))
        if most_words < others.shape[1]:
            floor = np.partition(others, others.shape[1] - most_words - 1, axis=1)[:, -most_words - 1]
            others[others <= floor[:, None]] = (
                0  # ties at the floor are all left out, so that none is chosen by its place
            )
        row, column = np.nonzero((said & (gains > 0)) | (others > 0))
        return (
            np.concatenate([row, rows[unknown]]),
            np.concatenate([self.stems[column], own.stems[unknown]]),
            np.concatenate([gains[row, column].astype(np.float64), self.share * own.values[unknown]]),
        )

    def _along(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.vectors.along(embeddings - self.mean)

    def _share(self, documents: Observed, rare: NDArray[np.bool_]) -> float:
        """ρ = Σ g·f / Σ f² over words in the documents of the sample; 0 where these say none of them.

        Parameters
        ----------
        rare : bool (S,), which words.
        """
        stems, vectors = self.stems[rare], self.vectors.some(rare).values
        place = np.minimum(np.searchsorted(stems, documents.stems), max(0, len(stems) - 1))
        found = np.flatnonzero(stems[place] == documents.stems) if len(stems) else np.zeros(0, np.int64)
        row = np.repeat(np.arange(len(documents.indptr) - 1), np.diff(documents.indptr))
        products = squares = 0.0
        for part in np.array_split(found, len(found) * len(self.mean) // _GAINS + 1):
            gains = np.einsum("nd,nd->n", self._along(documents.embeddings[row[part]]), vectors[place[part]])
            factors = documents.values[part].astype(np.float64)
            products += float((np.maximum(gains, 0) * factors).sum())
            squares += float(np.square(factors).sum())
        return float(np.float32(products / squares)) if squares else 0.0

    def save(self, folder: Path) -> None:
        """Write the file into a query side."""
        from safetensors.numpy import save_file

        said = np.zeros(int(self.stems[-1]) + 1 if len(self.stems) else 0, bool)
        said[self.stems] = True
        save_file(
            {
                "words": np.packbits(said),
                **self.vectors.arrays(),
                "mean": self.mean,
                "preference": self.preference,
                "probe": self.probe,
                "share": np.array([self.share], np.float32),
            },
            folder / PROJECTION_FILE,
        )

    @classmethod
    def load(cls, folder: Path, *, num_stems: int) -> Projection:
        """Read what `save` wrote, in this version or an earlier one.

        Parameters
        ----------
        num_stems : that the channel knows.

        Raises
        ------
        DataError : the file is missing or damaged.
        """
        found = read_arrays(folder, PROJECTION_FILE, "the words of a dense model", "build the index again")
        try:
            return cls._checked(found, num_stems)
        except (KeyError, ValueError, MemoryError) as error:
            raise DataError(
                f"the words of a dense model are damaged ({error}); build the index again",
                path=folder / PROJECTION_FILE,
            ) from None

    @classmethod
    def _checked(cls, found: dict[str, NDArray[Any]], num_stems: int) -> Projection:
        """From the arrays of a file.

        Raises
        ------
        KeyError : an array is missing. ValueError : damage, with the name of what is damaged.
        """
        mean, preference, probe = (found[name] for name in ("mean", "preference", "probe"))
        of_earlier = "stems" in found
        stems = found["stems"] if of_earlier else _places(found["words"], num_stems)
        share = np.zeros(1, np.float32) if "vectors" in found else found["share"]  # the first version knew none
        in_order = stems.dtype == np.uint32 and stems.ndim == 1 and bool((stems[1:] > stems[:-1]).all())
        if not in_order or (len(stems) and stems[-1] >= num_stems):
            raise ValueError("words")
        half = np.float32 if of_earlier else np.float16
        _check_numbers(
            mean=(mean, mean.size),
            preference=(preference, len(stems), half),
            probe=(probe, mean.size),
            share=(share, 1),
        )
        vectors = (earlier if of_earlier else WordVectors.from_arrays)(found, len(stems), len(mean))
        return cls(stems, vectors, mean, preference, probe, float(share[0]))


def _check_numbers(**parts: tuple[Any, ...]) -> None:
    """Refuse what is no projection's.

    Parameters
    ----------
    parts : by name: an array, how many numbers it must have, and of which type; float32 where none is said.

    Raises
    ------
    MeasureError : with the name.
    """
    for name, (part, size, *kind) in parts.items():
        wanted = np.dtype(kind[0] if kind else np.float32)
        most = min(_LARGEST, float(np.finfo(wanted).max))
        if part.dtype != wanted or part.shape != (size,) or not bool((np.abs(part) <= wanted.type(most)).all()):
            raise MeasureError(name)
        if name in ("preference", "share") and (part < 0).any():
            raise MeasureError(name)


def _places(words: NDArray[Any], num_stems: int) -> NDArray[np.uint32]:
    """Numbers of the bits that are set, of as many bits as there may be.

    Raises
    ------
    ValueError
    """
    if words.dtype != np.uint8 or words.ndim != 1 or len(words) > -(-num_stems // 8):
        raise ValueError("words")
    return np.flatnonzero(np.unpackbits(words)).astype(np.uint32)


def word_vectors(
    sentences: Observed,
    documents: Observed,
    *,
    document_frequencies: NDArray[np.int64],
    num_docs: int,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """(uint32 (S,) rising, float32 (S, D)): the stems that texts of the sample say, and their e(t).

    Parameters
    ----------
    As of `Projection.fit`.
    """
    said = np.unique(np.concatenate([sentences.stems, documents.stems]))
    most_common = np.argsort(-document_frequencies[said], kind="stable")[: most_words(documents.embeddings.shape[1])]
    stems = np.sort(said[most_common]).astype(np.uint32)
    idf = idf_of(document_frequencies[stems], num_docs)
    rows, targets = _stacked((sentences, 1.0), (documents, DOCUMENTS_WEIGHT), stems=stems, idf=idf)
    return stems, _ridge(rows, targets, progress)


def _stacked(
    *parts: tuple[Observed, float], stems: NDArray[np.uint32], idf: NDArray[np.float64]
) -> tuple[Any, NDArray[np.float32]]:
    """(scipy CSR (texts, S), float32 (texts, D)): rows and targets of a regression in which each part has its weight."""
    from scipy.sparse import vstack

    rows = [_unit_rows(part, stems, idf) * np.float32(weight**0.5) for part, weight in parts]
    targets = [part.embeddings * np.float32(weight**0.5) for part, weight in parts]
    return vstack(rows).tocsr(), np.concatenate(targets)


def _unit_rows(texts: Observed, stems: NDArray[np.uint32], idf: NDArray[np.float64]) -> Any:
    """scipy CSR (texts, S), float32: idf-weighted words, each row of length 1 or 0."""
    from scipy.sparse import csr_matrix

    place = np.minimum(np.searchsorted(stems, texts.stems), max(0, len(stems) - 1))
    known = stems[place] == texts.stems if len(stems) else np.zeros(len(place), bool)
    row = np.repeat(np.arange(len(texts.indptr) - 1), np.diff(texts.indptr))[known]
    values = texts.values[known] * idf[place[known]]
    length = np.sqrt(np.bincount(row, values**2, len(texts.indptr) - 1))
    return csr_matrix(
        ((values / np.maximum(length[row], 1e-30)).astype(np.float32), (row, place[known])),
        shape=(len(texts.indptr) - 1, len(stems)),
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
