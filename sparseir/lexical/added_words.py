"""Words that a word of a query adds to it, as a fit to judgements found them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray


class AddedWords:
    """P pairs: a query that says a word also asks for another one, which counts a share of what it counts when it is said.

    Parameters
    ----------
    said, added : uint32 (P,), terms of an index; the pairs of a word that is said stand together.
    shares : float32 (P,), finite and ≥ 0, of the weight that the added word has in a query as the index was built.

    Raises
    ------
    ValueError : arrays that are not so.
    """

    def __init__(self, said: NDArray[np.uint32], added: NDArray[np.uint32], shares: NDArray[np.float32]) -> None:
        if not said.shape == added.shape == shares.shape == (said.size,):
            raise ValueError(f"pairs of words of different lengths: {said.shape}, {added.shape} and {shares.shape}")
        if (said.dtype, added.dtype, shares.dtype) != (np.uint32, np.uint32, np.float32):
            raise ValueError("pairs of words are not uint32, uint32 and float32")
        if not np.isfinite(shares).all() or (shares < 0).any():
            raise ValueError("shares of added words are no numbers of at least 0")
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

    @classmethod
    def from_arrays(cls, found: Mapping[str, NDArray[np.generic]], num_terms: int) -> AddedWords | None:
        """Of what `arrays` gave, for an index of that many terms; None where there are none.

        Raises
        ------
        ValueError : arrays that are missing, no pairs, or of terms that are not there.
        """
        if "said" not in found:
            return None
        missing = [name for name in ("added", "shares") if name not in found]
        if missing:
            raise ValueError(f"no array {missing[0]!r} beside 'said'")
        words = cls(found["said"], found["added"], found["shares"])  # type: ignore[arg-type]
        if len(words) and max(int(words.said.max()), int(words.added.max())) >= num_terms:
            raise ValueError(f"words beyond the {num_terms} that were fitted")
        return words
