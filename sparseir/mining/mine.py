"""`sparseir mine`: hard negatives of all queries of a prepared folder, found once, ahead of training."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from indexer.progress import Progress, silent
from sparseir.data.prepared.folder import Prepared, Role, Union
from sparseir.data.stores.write_pairs import Pairs
from sparseir.errors import ConfigError
from sparseir.mining.parts import PartOptions, Work, positives_of
from sparseir.mining.searches import Search


@dataclass(frozen=True, slots=True, kw_only=True)
class MiningFilters:
    """Which hits of a search become negatives.

    depth : hits that are looked at. skip : the first so many are left out, which are the likeliest positives.
    margin : hits that reach this share of the score of the query's best positive are left out, s ≥ t − (1 − margin)·|t|
        (NV-Retriever, arXiv:2407.15831, TopK-PercPos); None keeps them. most : negatives kept of a query, the best first.

    Raises
    ------
    ConfigError : numbers that leave nothing.
    """

    depth: int = 100
    skip: int = 0
    margin: float | None = None
    most: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.skip < self.depth:
            raise ConfigError(f"--skip {self.skip} of --depth {self.depth}: expected fewer, at least 0")
        if self.margin is not None and not self.margin > 0:
            raise ConfigError(f"--margin {self.margin}: expected a number above 0")


def mine(
    prepared: Prepared,
    search: Search,
    name: str,
    *,
    what: str,
    filters: MiningFilters,
    parts: PartOptions,
    progress: Progress = silent,
) -> dict[str, int] | None:
    """Tables `negatives.NAME` and `scores.NAME`, the latter with the search's own scores of negatives and positives.

    Parameters
    ----------
    what : describes the search; parts of another are not taken up.

    Returns
    -------
    Pairs by table; None where parts of other shards are missing.

    Raises
    ------
    ConfigError, DataError : as `Work`. SparseIRError : a full disk.
    """
    work = Work(prepared, name, {"search": what, **asdict(filters)}, ("negatives", "scores"), parts)
    positives = positives_of(prepared)
    miner = _Miner(prepared, search, positives, filters)
    if work.run(miner.part, f"mining {name}", progress):
        return None
    return work.join(what, progress)


class _Miner:
    def __init__(self, prepared: Prepared, search: Search, positives: Union, filters: MiningFilters) -> None:
        self._prepared, self._search, self._positives, self._filters = prepared, search, positives, filters

    def part(self, queries: NDArray[np.int64]) -> dict[Role, Pairs]:
        """Negatives of some queries, and scores of these and of positives."""
        texts = [self._prepared.queries[int(row)] for row in queries]
        rows, scores = self._search.best(texts, self._filters.depth)
        negatives, scored = [], []
        for query, text, found, values in zip(queries, texts, rows, scores, strict=True):
            own = self._positives.documents(int(query))
            theirs = self._scores_of(text, own, found, values)
            kept = self._kept(found, values, own, theirs)
            negatives.append(_pairs(int(query), found[kept], values[kept]))
            scored += [negatives[-1], _pairs(int(query), own, theirs)]
        return {"negatives": Pairs.joined(negatives), "scores": Pairs.joined(scored)}

    def _scores_of(
        self, text: str, own: NDArray[np.int64], found: NDArray[np.int64], scores: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Scores of documents, asked for only where they are not among the hits."""
        known = dict(zip(found.tolist(), scores.tolist(), strict=True))
        missing = np.array([row for row in own.tolist() if row not in known], np.int64)
        if len(missing):
            known |= dict(zip(missing.tolist(), self._search.scores(text, missing).tolist(), strict=True))
        return np.array([known[row] for row in own.tolist()], np.float32)

    def _kept(
        self, found: NDArray[np.int64], scores: NDArray[np.float32], own: NDArray[np.int64], theirs: NDArray[np.float32]
    ) -> NDArray[np.int64]:
        """Places of the hits that become negatives, the best first."""
        filters = self._filters
        chosen = (found >= 0) & ~np.isin(found, own)
        chosen[: filters.skip] = False
        if filters.margin is not None and len(theirs):
            best = float(theirs.max())
            chosen &= scores < best - (1 - filters.margin) * abs(best)
        return np.flatnonzero(chosen)[: filters.most]


def _pairs(query: int, documents: NDArray[np.int64], scores: NDArray[np.float32]) -> Pairs:
    return Pairs.of(np.full(len(documents), query), documents, scores)
