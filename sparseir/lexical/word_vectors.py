"""Vectors of words in whole multiples of one step, along the directions in which documents differ.

Documents have D numbers, centred, x. Let C be their covariance, u_r its eigenvectors, c_r its eigenvalues. With coordinates
x'_r = ⟨u_r, x⟩ / √c_r, which have variance 1 in every direction, and e'_r = ⟨u_r, e⟩ · √c_r of a word, ⟨e, x⟩ = ⟨e', x'⟩. Most of e'
lies in few of its numbers then, and what rounding them to multiples of one step loses of a product has the same size whatever the
word and the direction: of all ways to spend some bits on the vectors it is that which loses least of the products' squares (reverse
water-filling: Cover and Thomas, Elements of Information Theory, 10.3; the transform is Karhunen's and Loève's). The multiples are
stored direction by direction and deflated, which takes what their entropy takes and a tenth more: two bits a number. A number that
is the same in all documents has no part in C and costs nothing.

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
"""A direction has numbers from −15 to 15, and need not be an eigenvector: e' is solved for with what is stored."""

_LARGEST_LEVEL = 32_767

_LEAST_VARIANCE = 1e-8
"""Of the mean one."""

_LARGEST = 1e12
"""No step and no scale is near it: larger ones are damage, and their products would be no numbers."""


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
        """
        size = vectors.shape[1]
        covariance = (
            np.cov(documents, rowvar=False, bias=True).reshape(size, size) if len(documents) else np.zeros((size, size))
        )
        # Few documents say little about the directions of those to come: the mean variance counts as D documents would.
        mean_variance = float(np.trace(covariance)) / max(1, size)
        prior = np.eye(size) * (mean_variance or 1.0)
        share = len(documents) / (len(documents) + size)
        variances, directions = np.linalg.eigh(share * covariance + (1 - share) * prior)
        rounded, scales = _rounded(directions)
        scales = scales / np.sqrt(np.maximum(variances, _LEAST_VARIANCE * (mean_variance or 1.0)))
        back = np.linalg.pinv(rounded * scales).T
        along = vectors @ back.astype(np.float32)
        step = _step(vectors[typical], covariance) or _step(vectors, prior) or 1.0
        step = max(step, float(np.abs(along).max(initial=0)) / _LARGEST_LEVEL)
        levels = np.rint(along / np.float32(step)).astype(np.int16)
        used = levels.any(axis=0)[::-1].nonzero()[0]  # those of most variance first
        order = size - 1 - used
        return cls(
            levels[:, order],
            np.array([step], np.float32),
            rounded[:, order].astype(np.int8),
            scales[order].astype(np.float32),
        )

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

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What a file holds of them."""
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
        if scales.dtype != np.float32 or scales.ndim != 1 or len(scales) > dimensions or not _positive(scales):
            raise ValueError("scales")
        if step.dtype != np.float32 or step.shape != (1,) or not _positive(step):
            raise ValueError("step")
        directions = _whole(found["directions"], dimensions * len(scales), "directions").view(np.int8)
        planes = _whole(found["levels"], 2 * size * len(scales), "levels").reshape(2, len(scales), size)
        turned = planes[0].astype(np.uint16) | planes[1].astype(np.uint16) << np.uint16(8)
        levels = ((turned >> np.uint16(1)).astype(np.int16) ^ -(turned & np.uint16(1)).astype(np.int16)).T
        return cls(np.ascontiguousarray(levels), step, directions.reshape(len(scales), dimensions).T, scales)


def _rounded(directions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Whole numbers, and the unit of each column."""
    units = np.abs(directions).max(axis=0, initial=0) / _DIRECTION_LEVELS
    units = np.where(units > 0, units, 1.0)
    return np.rint(directions / units), units


def _step(vectors: NDArray[np.float32], covariance: NDArray[np.float64]) -> float:
    """_STEP · σ / √D, σ² = eᵀCe of the median word; 0 where there is none."""
    if not len(vectors):
        return 0.0
    squares = np.einsum("sd,sd->s", vectors @ covariance.astype(np.float32), vectors)
    return float(_STEP * np.sqrt(max(0.0, float(np.median(squares))) / vectors.shape[1]))


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


def _positive(part: NDArray[np.float32]) -> bool:
    return bool(((part > 0) & (part <= _LARGEST)).all())


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
    if steps.dtype != np.float32 or steps.shape != (size,) or not bool(((steps >= 0) & (steps <= _LARGEST)).all()):
        raise ValueError("steps")
    directions = np.eye(dimensions, dtype=np.int8)
    if "vectors" in found:
        levels, scales = found["vectors"], np.ones(dimensions, np.float32)
        if levels.dtype != np.int8 or levels.shape != (size, dimensions):
            raise ValueError("vectors")
        return WordVectors(levels.astype(np.int16), steps, directions, scales)
    codes, deviations = found["codes"], found["deviations"]
    if codes.dtype != np.uint8 or codes.shape != (size, -(-dimensions // 2)):
        raise ValueError("codes")
    if deviations.dtype != np.float32 or deviations.shape != (dimensions,) or not _positive(deviations):
        raise ValueError("deviations")
    levels = np.empty((size, codes.shape[1] * 2), np.int16)
    levels[:, ::2], levels[:, 1::2] = codes & 15, codes >> 4
    return WordVectors(levels[:, :dimensions] - np.int16(8), steps, directions, (1 / deviations).astype(np.float32))
