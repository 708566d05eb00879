"""Training from a prepared folder: texts, negatives and scores are read from disk as batches ask for them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from indexer.progress import Progress, silent
from sparseir.config.data import DataConfig
from sparseir.config.recipe import Recipe
from sparseir.data.prepared.expanded import documents_of
from sparseir.data.prepared.folder import Prepared, Union
from sparseir.data.stores.pairs import PairTable
from sparseir.data.stores.rows import Rows
from sparseir.data.stores.texts import TextStore
from sparseir.errors import ConfigError, DataError
from sparseir.mining.parts import positives_of, spans
from sparseir.train.material.collection import TrainingQuery

logger = logging.getLogger(__name__)


class PreparedTraining:
    """The queries of a prepared folder that can be learnt from; see `Training`.

    Held in memory: a row number for each of these queries. A query is one that a document of at least `data.min_relevance`
    answers; with teachers it also needs a positive and `data.num_negatives` negatives that all of them have scored.

    Parameters
    ----------
    config : names the folder and its tables of negatives. teachers : names of its tables of scores.
    expanded : documents have the words of their expansions after their text, where the folder has expansions.
    separator : as for `TrainingSet.read`.

    Raises
    ------
    DataError : no such folder or table; no query that can be learnt from.
    """

    ranges: list[tuple[int, int]]
    title_queries: Sequence[TrainingQuery] = ()
    triples: str | None = None
    scored: int | None = None
    bare: int | None = None

    def __init__(
        self,
        config: DataConfig,
        teachers: Sequence[str],
        *,
        expanded: bool = False,
        separator: str = " ",
        progress: Progress = silent,
    ) -> None:
        assert config.prepared is not None
        self.prepared = prepared = Prepared(config.prepared)
        self.texts: Sequence[str] = documents_of(prepared, expanded=expanded)
        self.encoded: Sequence[str] = documents_of(prepared, expanded=expanded, separator=separator)
        self.docnos: Sequence[str] = Names(prepared.documents)
        self.ranges = [(0, len(prepared.documents))]
        answers = positives_of(prepared, config.min_relevance)
        negatives = Union([prepared.table("negatives", name) for name in config.negatives])
        scores = [prepared.table("scores", name) for name in teachers]
        chosen = _learnable(prepared, answers, negatives, scores, config.num_negatives, progress)
        if not len(chosen):
            need = f" and {config.num_negatives} negatives with scores of {', '.join(teachers)}" if teachers else ""
            raise DataError(f"no query has a positive{need}; see `sparseir data inspect`", path=prepared.path)
        self.queries: Sequence[TrainingQuery] = PreparedQueries(
            prepared, chosen[: config.max_queries], answers, negatives, scores
        )


class PreparedQueries(Rows[TrainingQuery]):
    """Queries by number, put together when they are asked for."""

    def __init__(
        self,
        prepared: Prepared,
        rows: NDArray[np.int64],
        answers: Union,
        negatives: Union,
        scores: Sequence[PairTable],
    ) -> None:
        self._prepared, self._rows = prepared, rows
        self._answers, self._negatives, self._scores = answers, negatives, scores

    def __len__(self) -> int:
        return len(self._rows)

    def row_at(self, number: int) -> TrainingQuery:
        row = int(self._rows[number])
        answers = self._answers.documents(row)
        negatives = np.setdiff1d(self._negatives.documents(row), answers, assume_unique=True)
        return TrainingQuery(
            self._prepared.queries.name(row),
            self._prepared.queries[row],
            tuple(self._scored(row, answers).tolist()),
            0,
            tuple(self._scored(row, negatives).tolist()),
            elsewhere=frozenset(answers.tolist()),
        )

    def _scored(self, query: int, documents: NDArray[np.int64]) -> NDArray[np.int64]:
        for table in self._scores:
            documents = documents[~np.isnan(table.find(query, documents))]
        return documents


class PreparedScores:
    """A teacher whose scores are a table of the folder; see `Teacher`.

    Raises
    ------
    DataError : a pair without a score is asked for.
    """

    def __init__(self, prepared: Prepared, name: str) -> None:
        self._queries, self._documents = prepared.queries, prepared.documents
        self._table = prepared.table("scores", name)

    def scores(self, queries: Sequence[TrainingQuery], documents: Sequence[int]) -> NDArray[np.float32]:
        rows = self._queries.rows([query.qid for query in queries]).tolist()
        wanted = np.asarray(documents, np.int64)
        out = np.stack([self._table.find(row, wanted) for row in rows])
        missing = np.argwhere(np.isnan(out))
        if len(missing):
            query, document = queries[missing[0][0]].qid, self._documents.name(int(wanted[missing[0][1]]))
            raise DataError(f"no teacher score for query '{query}' and document '{document}'", path=self._table.path)
        return out


class Names(Rows[str]):
    """The names of a store's rows."""

    def __init__(self, store: TextStore) -> None:
        self._store = store

    def __len__(self) -> int:
        return len(self._store)

    def row_at(self, number: int) -> str:
        return self._store.name(number)


def prepared_teachers(recipe: Recipe) -> list[str]:
    """Names of the tables of scores that a recipe's teachers are.

    Raises
    ------
    ConfigError : teachers that run in the loop, or keys that need the whole corpus or all pairs of a batch.
    """
    live = [name for name in recipe.loss.teachers if not name.startswith("scores:")]
    faults = [
        f"loss.teachers: {name} would run in the training loop; score the folder first (sparseir score) and name scores:NAME"
        for name in live
    ]
    if recipe.loss.lexical_channel:
        faults.append(
            "loss.lexical_channel: needs BM25 over the whole corpus in memory; set it to 0 with data.prepared"
        )
    if recipe.loss.teachers and recipe.loss.in_batch:
        faults.append("loss.in_batch: stored scores are of a query's own documents; set it to false")
    if faults:
        raise ConfigError("\n".join(faults))
    return [name.partition(":")[2] for name in recipe.loss.teachers]


def check_workers(recipe: Recipe) -> None:
    """Refuse to run models, or searches that remember, in processes that assemble batches.

    Raises
    ------
    ConfigError
    """
    live = [name for name in recipe.loss.teachers if not name.startswith("scores:")]
    live += [f"{name} negatives" for name in recipe.data.negatives]
    live += ["neighbour batches"] if recipe.data.neighbour_batches else []
    if recipe.data.workers and live:
        raise ConfigError(
            f"data.workers: {', '.join(live)} are computed in the training process; set it to 0, or find and score pairs ahead "
            "of training (data.prepared)"
        )


def _learnable(
    prepared: Prepared,
    answers: Union,
    negatives: Union,
    scores: Sequence[PairTable],
    num_negatives: int,
    progress: Progress,
) -> NDArray[np.int64]:
    """Rows of the queries that can be learnt from, ascending; the rest is counted in a warning."""
    count = len(prepared.queries)
    chosen, left_out = [np.zeros(0, np.int64)], 0
    for first, end in spans(count):
        positive = answers.keys(first, end)
        judged = _per_query(positive, first, end) > 0
        good = judged
        if scores:
            negative = negatives.keys(first, end)
            negative = negative[~_among(negative, positive)]
            for table in scores:
                known = table.keys(first, end)
                positive, negative = (side[_among(side, known)] for side in (positive, negative))
            good = (_per_query(positive, first, end) > 0) & (_per_query(negative, first, end) >= num_negatives)
        chosen.append(first + np.flatnonzero(good))
        left_out += int((judged & ~good).sum())
        progress("reading pairs", end, count)
    rows = np.concatenate(chosen)
    if left_out:
        logger.warning(
            "%s: %d queries of %d have no scored positive or fewer than %d scored negatives and are left out",
            prepared.path, left_out, left_out + len(rows), num_negatives,
        )  # fmt: skip
    return rows


def _among(keys: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which keys are among others; both ascending."""
    if not len(known):
        return np.zeros(len(keys), bool)
    return known[np.minimum(np.searchsorted(known, keys), len(known) - 1)] == keys


def _per_query(keys: NDArray[np.uint64], first: int, end: int) -> NDArray[np.int64]:
    rows = (keys >> np.uint64(32)).astype(np.int64) - first
    return np.bincount(rows, minlength=end - first)
