"""What searches return: rankings of ordinals, and hits with their names."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexer import Index
from sparseir.data.passages import document_of, windows_of


class Ranking(NamedTuple):
    """Hits, best first; ties by smaller ordinal.

    ordinals : int64, positions in the input, padded with -1. One row a query for `search_vectors`.
    scores : float32, padded with -inf.
    """

    ordinals: NDArray[np.int64]
    scores: NDArray[np.float32]


class Hits(NamedTuple):
    """The hits of one text query, best first; at most k.

    docnos : outside names. scores : float32. ordinals : int64, positions in the input.
    """

    docnos: list[str]
    scores: NDArray[np.float32]
    ordinals: NDArray[np.int64]


def hits_of(index: Index, ranking: Ranking) -> Hits:
    """The ranking of one query without its padding, with names."""
    found = ranking.ordinals >= 0
    ordinals, scores = ranking.ordinals[found], ranking.scores[found]
    return Hits(_names(index, ordinals), scores, ordinals)


def named(index: Index, ranking: Ranking) -> tuple[list[list[str]], list[list[float]]]:
    """Outside names and scores of each row of a batch, without the padding."""
    found = ranking.ordinals >= 0
    counts = found.sum(axis=1)
    names, ends = _names(index, ranking.ordinals[found]), np.cumsum(counts)
    return (
        [names[end - n : end] for n, end in zip(counts.tolist(), ends.tolist(), strict=True)],
        [row[:n].tolist() for n, row in zip(counts.tolist(), ranking.scores, strict=True)],
    )


def _names(index: Index, ordinals: NDArray[np.int64]) -> list[str]:
    names = [name for name in index.docnos(ordinals) if name is not None]
    return names if windows_of(index) is None else [document_of(name) for name in names]
