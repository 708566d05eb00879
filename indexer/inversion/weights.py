"""What the weights of documents are stored as: the scale of their impacts, and themselves where an index keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from indexer.errors import DataError
from indexer.format.layout import WEIGHT_TYPES
from indexer.inversion.invert import MAX_IMPACT
from indexer.vectors import SparseVectors

if TYPE_CHECKING:
    from indexer.format.manifest import SegmentEntry

TAIL_SHARE = 1000
"""One weight in so many may lie above the quantile that the scale follows."""

TAIL_REACH = 1.5
"""The full weight is the largest, up to so many times that quantile (docs/index-format.md has the measurements)."""

_MANY_SMALL = 0.25
"""Of the weights of an encoder's vectors about one in a hundred is below half a step."""

_BINS = 1 << 16
_CHUNK = 1 << 18
_LARGEST_HALF, _ROUNDS_TO_INFINITY = 65504.0, 65520.0
_SMALLEST_HALF, _ROUNDS_TO_ZERO = 2.0**-24, 2.0**-25


class WeightTally:
    """Counts weights as they pass, and chooses doc_scale from them; in whatever batches and order they come, to the bit.

    Weights are counted by the first 16 bits of their float32, which tell values apart that differ by 1/128.

    Parameters
    ----------
    stored_weights : as IndexConfig; what "f16" cannot hold is refused as it passes.

    Attributes
    ----------
    count, largest : of the weights so far.
    """

    def __init__(self, stored_weights: str = "none") -> None:
        self.count, self.largest = 0, 0.0
        self._halves = stored_weights == "f16"
        self._rows = 0
        self._bins = np.zeros(_BINS, np.int64)
        self._tiny: str | None = None

    def add(self, vectors: SparseVectors) -> None:
        """Count the weights of the next rows.

        Raises
        ------
        DataError : a weight above the largest of 16 bits where those are stored.
        """
        lo, hi = int(vectors.indptr[0]), int(vectors.indptr[-1])
        self.add_weights(vectors.weights[lo:hi])
        if self._halves:
            self._check_halves(vectors)
        self._rows += len(vectors)

    def add_weights(self, weights: NDArray[np.float32]) -> None:
        """Count weights alone."""
        for begin in range(0, len(weights), _CHUNK):
            chunk = np.ascontiguousarray(weights[begin : begin + _CHUNK], "<f4")
            self._bins += np.bincount(chunk.view("<u2")[1::2], minlength=_BINS)
        self.count += len(weights)
        self.largest = max(self.largest, float(weights.max(initial=0)))

    @property
    def full_weight(self) -> float:
        """The weight of impact 255: the largest, up to TAIL_REACH times the quantile that one in TAIL_SHARE exceeds.

        Of fewer than TAIL_SHARE weights it is the largest. 0 without a weight.
        """
        above = np.cumsum(self._bins[::-1])
        place = _BINS - 1 - int(np.searchsorted(above, self.count // TAIL_SHARE, side="right"))
        if self.count == 0:
            return 0.0
        quantile = np.array([min(place + 1, 0x7F7F) << 16], "<u4").view("<f4")[0]  # the end of the bin
        return min(self.largest, TAIL_REACH * float(quantile))

    @property
    def scale(self) -> float | None:
        """doc_scale: full_weight / 255; None without a weight."""
        return self.full_weight / MAX_IMPACT or None

    def below(self, weight: float) -> int:
        """How many weights are smaller, to 1/128 of it."""
        return int(self._bins[: int(np.array([weight], "<f4").view("<u4")[0]) >> 16].sum())

    def finish(self) -> tuple[str, ...]:
        """Notes for a person, after the last row.

        Raises
        ------
        DataError : more than one weight in TAIL_SHARE is too small for the 16 bits they are to be stored in.
        """
        tiny = self.below(_ROUNDS_TO_ZERO) if self._halves else 0
        if tiny > self.count // TAIL_SHARE:
            raise DataError(
                f"stored_weights=f16: {self._tiny}; {tiny:,} of {self.count:,} weights are below {_ROUNDS_TO_ZERO:.3g}, "
                "which 16 bits round to 0; store them with stored_weights=f32, or multiply all by one number"
            )
        if not tiny:
            return ()
        return (
            f"{tiny:,} of {self.count:,} weights are too small for 16 bits and stored as {_SMALLEST_HALF:.3g}; "
            "stored_weights=f32 keeps them",
        )

    def cut_notes(self, entry: SegmentEntry, scale: float | None, remedy: str = "") -> tuple[str, ...]:
        """What the scale took from these weights, as notes for a person.

        Parameters
        ----------
        entry : the segment they went into. scale : its doc_scale. remedy : what holds them whole; left out, a larger scale.
        """
        notes, scale = [], scale or 1.0
        if entry.num_clipped:
            wanted = f"doc_scale={self.largest / MAX_IMPACT:.6g} keeps it, with coarser steps for all others"
            notes.append(
                f"{share(entry.num_clipped, entry.num_postings)} weights are above {MAX_IMPACT * scale:.6g}, the most that "
                f"impacts hold here, and were cut to it; the heaviest is {self.largest:.6g}; {remedy or wanted}"
            )
        small = self.below(scale / 2)
        if small > self.count * _MANY_SMALL:
            notes.append(
                f"about {share(small, self.count)} weights are below half of one step of {scale:.3g} and all count as one "
                "step: give vectors of one scale, or keep the weights with stored_weights=f32 for --engine exact_float"
            )
        return tuple(notes)

    def _check_halves(self, vectors: SparseVectors) -> None:
        if self.largest >= _ROUNDS_TO_INFINITY:
            raise DataError(
                f"stored_weights=f16: {self._place(vectors, vectors.weights >= _ROUNDS_TO_INFINITY)}; 16 bits hold weights "
                f"up to {_LARGEST_HALF:g}; store them with stored_weights=f32, or divide all by one number"
            )
        if self._tiny is None and self.below(_ROUNDS_TO_ZERO):
            self._tiny = self._place(vectors, vectors.weights < _ROUNDS_TO_ZERO)

    def _place(self, vectors: SparseVectors, found: NDArray[np.bool_]) -> str:
        at = int(np.argmax(found))
        row = int(np.searchsorted(vectors.indptr, at, side="right")) - 1
        return f"row {self._rows + row} holds weight {vectors.weights[at]:g} for term {vectors.term_ids[at]}"


def as_stored(weights: NDArray[np.float32], stored_weights: str) -> NDArray[Any]:
    """Weights as the FWGT section holds them: of 16 bits, never 0."""
    if stored_weights == "f16":
        return np.maximum(weights.astype(WEIGHT_TYPES["f16"]), np.array(_SMALLEST_HALF, WEIGHT_TYPES["f16"]))
    return weights.astype(WEIGHT_TYPES[stored_weights], copy=False)


def share(part: int, whole: int) -> str:
    """ "3 of 1,480 (0.2%)"."""
    percent = 100 * part / max(1, whole)
    return f"{part:,} of {whole:,} ({percent:.0f}%)" if percent >= 10 else f"{part:,} of {whole:,} ({percent:.2g}%)"
