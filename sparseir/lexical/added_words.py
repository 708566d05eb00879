"""Words that a word of a query adds to it, as a fit to judgements found them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

LARGEST_SHARE = 1000.0
"""Of a pair: of judgements come a few at most."""


class AddedWords:
    """P pairs: a query that says a word also asks for another one, which counts a share of what it counts when it is said.

    Parameters
    ----------
    said, added : uint32 (P,), terms of an index; the pairs of a word that is said stand together.
    shares : float32 (P,), from 0 to `LARGEST_SHARE`, of the weight that the added word has in a query as the index was built.

    Raises
    ------
    ValueError : arrays that are not so.
    """

    def __init__(self, said: NDArray[np.uint32], added: NDArray[np.uint32], shares: NDArray[np.float32]) -> None:
        if not said.shape == added.shape == shares.shape == (said.size,):
            raise ValueError(f"pairs of words of different lengths: {said.shape}, {added.shape} and {shares.shape}")
        if (said.dtype, added.dtype, shares.dtype) != (np.uint32, np.uint32, np.float32):
            raise ValueError("pairs of words are not uint32, uint32 and float32")
        if not ((shares >= 0) & (shares <= LARGEST_SHARE)).all():
            raise ValueError(f"shares of added words are no numbers from 0 to {LARGEST_SHARE:g}")
        firsts = np.flatnonzero(np.concatenate([[True], said[1:] != said[:-1]])) if said.size else np.zeros(0, np.int64)
        if len(np.unique(said)) != len(firsts):
            raise ValueError("the pairs of a word do not stand together")
        self.said, self.added, self.shares = said, added, shares
        ends = np.append(firsts[1:], said.size)[: len(firsts)]
        self._places = {int(said[a]): slice(a, b) for a, b in zip(firsts.tolist(), ends.tolist(), strict=True)}

    def __len__(self) -> int:
        return len(self.said)

    def of(self, term_id: int) -> list[tuple[int, float]]:
        """What a word adds, and the share of each."""
        place = self._places.get(term_id)
        return [] if place is None else list(zip(self.added[place].tolist(), self.shares[place].tolist(), strict=True))

    def arrays(self) -> dict[str, NDArray[np.uint32] | NDArray[np.float32]]:
        """By the names they are stored under."""
        return {"said": self.said, "added": self.added, "shares": self.shares}

    def check_terms(self, first: int, end: int) -> None:
        """Refuse pairs of terms that are not those from `first` to before `end`.

        Raises
        ------
        ValueError
        """
        ends = [int(e) for pair in (self.said, self.added) if len(pair) for e in (pair.min(), pair.max())]
        if ends and not first <= min(ends) <= max(ends) < end:
            raise ValueError(f"added words that are no terms from {first} to {end - 1}")

    @classmethod
    def from_arrays(cls, found: Mapping[str, NDArray[np.generic]]) -> AddedWords | None:
        """Of what `arrays` gave; None where there are none.

        Raises
        ------
        ValueError : arrays that are missing, or no pairs.
        """
        if "said" not in found:
            return None
        missing = [name for name in ("added", "shares") if name not in found]
        if missing:
            raise ValueError(f"no array {missing[0]!r} beside 'said'")
        return cls(found["said"], found["added"], found["shares"])  # type: ignore[arg-type]
