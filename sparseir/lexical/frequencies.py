"""How many documents say a stem themselves, where posting lists also hold documents that do not.

A document that got a word of its neighbours or of a dense model has a posting of it. Counted among the documents of the word,
such postings would make rare words frequent: BM25's idf would fall for what it is best at. So the query side keeps, for each
stem, of all documents that were ever added those that said it and those that got a posting of it, and

    df(t) = postings(t) · said(t) / held(t)

is exact until documents are deleted, and takes deletions to fall on both alike.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseir.errors import DataError
from sparseir.lexical.arrays import deflated, inflated, read_arrays
from sparseir.lexical.stems import StemFactors

FREQUENCIES_FILE = "frequencies.safetensors"


class WordFrequencies:
    """Counts by number of stem.

    Parameters
    ----------
    said, held : int64 (stems,): documents that say a stem, and documents with a posting of it; no fewer.
    """

    def __init__(self, said: NDArray[np.int64] | None = None, held: NDArray[np.int64] | None = None) -> None:
        self.said = np.zeros(0, np.int64) if said is None else said
        self.held = np.zeros(0, np.int64) if held is None else held

    def add(self, own: StemFactors, all_words: StemFactors) -> None:
        """Count documents: their own words, and all words they are indexed by."""
        size = max(len(self.held), 1 + int(all_words.stems.max(initial=0)), 1 + int(own.stems.max(initial=0)))
        self.said, self.held = _counted(self.said, own, size), _counted(self.held, all_words, size)

    def own(self, stem: int, postings: int) -> int:
        """Of so many documents with a posting of a stem, those that say it; at least one of any."""
        if not postings or stem >= len(self.held) or not self.held[stem]:
            return postings
        return max(1, postings * int(self.said[stem]) // int(self.held[stem]))

    def save(self, folder: Path) -> None:
        """Write the file into a query side."""
        from safetensors.numpy import save_file

        # Given: to documents that do not say the stem. Both are small for most stems, and take little room deflated.
        counts = {"said": self.said, "given": self.held - self.said}
        save_file({name: deflated(part.astype(np.uint32)) for name, part in counts.items()}, folder / FREQUENCIES_FILE)

    @classmethod
    def load(cls, folder: Path, *, num_stems: int) -> WordFrequencies:
        """Read what `save` wrote.

        Parameters
        ----------
        num_stems : that the channel knows.

        Raises
        ------
        DataError : the file is missing or damaged.
        """
        path = folder / FREQUENCIES_FILE
        found = read_arrays(folder, FREQUENCIES_FILE, "the counts of words", "build the index again")
        try:
            said = _counts(found["said"], num_stems, "said")
            summed = "held" in found  # in an index of an earlier version
            other = _counts(found["held"] if summed else found["given"], num_stems, "held" if summed else "given")
            if said.shape != other.shape:
                raise ValueError(f"{len(said)} and {len(other)} words")
        except (KeyError, ValueError) as error:
            raise DataError(f"the counts of words are damaged ({error}); build the index again", path=path) from None
        held = other if summed else said + other
        if (said > held).any():
            raise DataError("more documents say a word than hold it; build the index again", path=path)
        return cls(said, held)


def _counts(part: NDArray[Any], num_stems: int, name: str) -> NDArray[np.int64]:
    """int64 (stems,): as they are stored, deflated or as uint32.

    Raises
    ------
    ValueError
    """
    most = max(1, num_stems)
    if part.dtype == np.uint8:
        content = inflated(part, 4 * most, name)
        if len(content) % 4:
            raise ValueError(name)
        part = content.view(np.uint32)
    if part.dtype != np.uint32 or part.ndim != 1 or len(part) > most:
        raise ValueError(name)
    return part.astype(np.int64)


def _counted(before: NDArray[np.int64], factors: StemFactors, size: int) -> NDArray[np.int64]:
    counts = np.bincount(factors.stems, minlength=size)
    counts[: len(before)] += before
    return counts
