"""Vectors of words in whole multiples of one step, along the directions in which documents differ.

Documents have D numbers, centred, x. Let C be their covariance, with a share of D / (N + D) of the mean variance in every direction, as if
D further documents differed alike everywhere: few documents say little about those to come. Let u_r be its eigenvectors and c_r its
eigenvalues. With x'_r = ⟨u_r, x⟩ / √c_r of a document, which have variance 1 where N is large, and e'_r = ⟨u_r, e⟩ · √c_r of a word,
⟨e, x⟩ = ⟨e', x'⟩. Most of e' lies in few of its numbers then, and what rounding them to multiples of one step loses of a product has the
same size whatever the word and the direction: of all ways to spend some bits on the vectors it is that which loses least of the
products' squares (reverse water-filling: Cover and Thomas, Elements of Information Theory, 10.3; the transform is Karhunen's and Loève's).
The multiples are stored direction by direction and deflated, which takes what their entropy takes and a tenth more: two bits a number. A
number that is the same in all of many documents has next to no part in C and costs next to nothing.

docs/lexical.md says what it costs in ranking.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseir.lexical.arrays import deflated, inflated

_STEP = 0.6
"""Of a gain, in units of σ / √D, σ the standard deviation of the median word's gains among documents: rounding adds noise of a sixth
of σ, as much as four bits for every number did, and top tens change as little."""

_DIRECTION_LEVELS = 15
"""Most directions have numbers from −15 to 15 of a unit, and need not be eigenvectors: e' is solved for with what is stored."""

_FINEST = 0.25
"""Of 1 / √D, the size of a number of a direction that has no large ones: no unit is larger than this share of it, so that beside a large
number the others are not rounded away, and directions do not become one. int8 bounds it from the other side."""

_LARGEST_LEVEL = 32_767

_MOST_WORDS, _MOST_DIMENSIONS, _MOST_NUMBERS = 100_000, 1 << 13, 1 << 28
"""No file has more: what says so is damaged, and would take the memory of the machine. 100,000 words are 10 MB of 384 numbers each, and
some milliseconds of products a document."""

_LARGEST_CENTRED = 2e6
"""Of a document's numbers, for a bound of what products may become."""

_LEAST_DEVIATION = 1e-6


class MeasureError(ValueError):
    """Embeddings of more numbers than can be held, or of numbers whose products float32 cannot hold."""


@dataclass(frozen=True, eq=False)
class WordVectors:
    """e' of words, and the way from a document's numbers to x'.

    Parameters
    ----------
    levels : int16 (S, R), e' in steps. steps : float32 (1,), or (S,) in an index of an earlier version.
    directions : int8 (D, R), u in units of scales. scales : float32 (R,), above 0: that unit over √c.
    """

    levels: NDArray[np.int16]
    steps: NDArray[np.float32]
    directions: NDArray[np.int8]
    scales: NDArray[np.float32]

    @classmethod
    def of(
        cls, vectors: NDArray[np.float32], documents: NDArray[np.float32], typical: NDArray[np.bool_]
    ) -> WordVectors:
        """Rounded vectors.

        Parameters
        ----------
        vectors : float32 (S, D), e. documents : float32 (N, D), x. typical : bool (S,), words whose gains set the step.

        Raises
        ------
        MeasureError : more numbers than can be held; numbers so large or so small that products would be none.
        """
        size = vectors.shape[1]
        _check_sizes(len(vectors), size, size)
        covariance = (
            np.cov(documents, rowvar=False, bias=True).reshape(size, size) if len(documents) else np.zeros((size, size))
        )
        prior = np.eye(size) * (float(np.trace(covariance)) / max(1, size) or 1.0)
        share = len(documents) / (len(documents) + size)
        variances, directions = np.linalg.eigh(share * covariance + (1 - share) * prior)
        rounded, units = _rounded(directions)
        scales = units / np.sqrt(variances)
        back = np.linalg.pinv(rounded * scales).T
        along = vectors @ back.astype(np.float32)
        step = np.float32(_step(vectors[typical], covariance) or _step(vectors, prior) or 1.0)
        if not step > 0:
            raise MeasureError("too small")
        # A word far beyond the others is cut off, which harms itself alone.
        levels = np.clip(np.rint(along / step), -_LARGEST_LEVEL, _LARGEST_LEVEL).astype(np.int16)
        used = levels.any(axis=0)[::-1].nonzero()[0]  # those of most variance first
        order = size - 1 - used
        made = cls(
            np.ascontiguousarray(levels[:, order]),
            np.array([step], np.float32),
            rounded[:, order].astype(np.int8),
            scales[order].astype(np.float32),
        )
        return made.checked()

    def __len__(self) -> int:
        return len(self.levels)

    def some(self, rows: NDArray[np.bool_]) -> WordVectors:
        """Those of some words.

        Parameters
        ----------
        rows : bool (S,), which.
        """
        return replace(self, levels=self.levels[rows], steps=self.steps if len(self.steps) == 1 else self.steps[rows])

    @cached_property
    def values(self) -> NDArray[np.float32]:
        """float32 (S, R), e'."""
        return self.levels * self.steps[:, None]

    def along(self, documents: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 (N, R): x' of documents.

        Parameters
        ----------
        documents : float32 (N, D), centred.
        """
        return documents @ (self.directions * self.scales)

    def checked(self) -> WordVectors:
        """Itself.

        Raises
        ------
        ValueError : a step that is no number, or below 0 (0 is what earlier files have of a word without a vector); a scale that is
            none above 0.
        MeasureError : products with documents would be no numbers.
        """
        for name, part in (("steps", self.steps), ("scales", self.scales)):
            if not bool((np.isfinite(part) & (part >= 0)).all()) or (name == "scales" and not part.all()):
                raise ValueError(name)
        levels = max(int(self.levels.max(initial=0)), -int(self.levels.min(initial=0)))
        largest = float(self.steps.max(initial=0)) * levels * float(self.scales.max(initial=0)) * 127
        if largest * _LARGEST_CENTRED * self.directions.size > float(np.finfo(np.float32).max):
            raise MeasureError("too large")
        return self

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What a file holds of vectors that `of` made."""
        return {
            "levels": deflated(_zigzag(self.levels.T)),
            "step": self.steps,
            "directions": deflated(self.directions.T),
            "scales": self.scales,
        }

    @classmethod
    def from_arrays(cls, found: dict[str, NDArray[Any]], size: int, dimensions: int) -> WordVectors:
        """What `arrays` gave.

        Parameters
        ----------
        size : S. dimensions : D.

        Raises
        ------
        KeyError : an array is missing. ValueError : damage, with what is wrong.
        """
        scales, step = found["scales"], found["step"]
        if scales.dtype != np.float32 or scales.ndim != 1 or len(scales) > dimensions:
            raise ValueError("scales")
        if step.dtype != np.float32 or step.shape != (1,) or not step[0] > 0:
            raise ValueError("step")
        _check_sizes(size, dimensions, len(scales))
        directions = _whole(found["directions"], dimensions * len(scales), "directions").view(np.int8)
        planes = _whole(found["levels"], 2 * size * len(scales), "levels").reshape(2, len(scales), size)
        levels = np.empty((size, len(scales)), np.int16)
        for direction, (lower, upper) in enumerate(zip(*planes, strict=True)):
            turned = lower | upper.astype(np.uint16) << np.uint16(8)
            levels[:, direction] = (turned >> np.uint16(1)).astype(np.int16) ^ -(turned & np.uint16(1)).astype(np.int16)
        return cls(levels, step, np.ascontiguousarray(directions.reshape(len(scales), dimensions).T), scales).checked()


def most_words(dimensions: int) -> int:
    """Words that can have vectors of so many numbers."""
    return min(_MOST_WORDS, _MOST_NUMBERS // max(1, dimensions))


def _rounded(directions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Whole numbers from −127 to 127, and the unit of each column."""
    largest = np.abs(directions).max(axis=0, initial=0)
    finest = _FINEST / max(1, len(directions)) ** 0.5
    units = np.maximum(np.minimum(largest / _DIRECTION_LEVELS, finest), largest / 127)
    return np.rint(directions / units), units


def _step(vectors: NDArray[np.float32], covariance: NDArray[np.float64]) -> float:
    """_STEP · σ / √D, σ² = eᵀCe of the median word; 0 where there is none."""
    longest, widest = float(np.abs(vectors).max(initial=0)), float(np.abs(covariance).max(initial=0))
    if not longest or not widest:
        return 0.0
    near = vectors / np.float32(longest)  # so that no square is too small for a float32
    squares = np.einsum("sd,sd->s", near @ (covariance / widest).astype(np.float32), near)
    deviation = longest * (widest * max(0.0, float(np.median(squares)))) ** 0.5
    return float(_STEP * deviation / vectors.shape[1] ** 0.5)


def _zigzag(levels: NDArray[np.int16]) -> NDArray[np.uint8]:
    """0, −1, 1, −2 … as 0, 1, 2, 3 …; all lower bytes, then all upper ones, most of which are 0."""
    wide = levels.astype(np.int32)
    turned = ((wide << 1) ^ (wide >> 31)).astype(np.uint16)
    return np.stack([turned & 255, turned >> 8]).astype(np.uint8)


def _whole(part: NDArray[Any], size: int, name: str) -> NDArray[np.uint8]:
    """Bytes of a stream that must have exactly so many.

    Raises
    ------
    ValueError
    """
    content = inflated(part, size, name)
    if len(content) != size:
        raise ValueError(f"{name}: not the size that others need")
    return content


def _check_sizes(words: int, dimensions: int, directions: int) -> None:
    """Before anything of such sizes is made.

    Raises
    ------
    MeasureError
    """
    if words > _MOST_WORDS or dimensions > _MOST_DIMENSIONS or words * directions > _MOST_NUMBERS:
        raise MeasureError(f"{words:,} vectors of {dimensions:,} numbers")


def earlier(found: dict[str, NDArray[Any]], size: int, dimensions: int) -> WordVectors:
    """Vectors as indexes of earlier versions hold them: a byte a number, or four bits in units of the documents' deviations.

    Parameters
    ----------
    As of `WordVectors.from_arrays`.

    Raises
    ------
    KeyError : an array is missing. ValueError : damage, with what is wrong.
    """
    steps = found["steps"]
    if steps.dtype != np.float32 or steps.shape != (size,):
        raise ValueError("steps")
    _check_sizes(size, dimensions, dimensions)
    if "vectors" in found:
        levels, deviations = found["vectors"], np.ones(dimensions, np.float32)
        if levels.dtype != np.int8 or levels.shape != (size, dimensions):
            raise ValueError("vectors")
    else:
        codes, deviations = found["codes"], found["deviations"]
        if codes.dtype != np.uint8 or codes.shape != (size, -(-dimensions // 2)):
            raise ValueError("codes")
        if (
            deviations.dtype != np.float32
            or deviations.shape != (dimensions,)
            or not (deviations >= _LEAST_DEVIATION).all()
        ):
            raise ValueError("deviations")
        levels = np.empty((size, codes.shape[1] * 2), np.int16)
        levels[:, ::2], levels[:, 1::2] = codes & 15, codes >> 4
        levels = levels[:, :dimensions] - np.int16(8)
    directions = np.eye(dimensions, dtype=np.int8)
    return WordVectors(levels.astype(np.int16), steps, directions, (1 / deviations).astype(np.float32)).checked()
