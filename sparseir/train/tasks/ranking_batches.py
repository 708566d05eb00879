"""Batches of queries and their candidates; a batch is a function of the seed and its number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from sparseir.config.recipe import Recipe
from sparseir.losses.ensemble import ensemble_scores
from sparseir.train.material.batches import Shuffle
from sparseir.train.material.collection import Training, TrainingQuery
from sparseir.train.material.negatives import Negatives
from sparseir.train.material.teachers import DenseTeacher, Teacher


@dataclass(slots=True)
class RankingBatch:
    """Queries and their candidates.

    Parameters
    ----------
    number : of the batch; seeds what is drawn for it.
    queries : Q texts.
    documents : Q·C texts, C for each query, its positive first.
    known : bool (Q, Q·C), true where a document answers a query, whoever brought it.
    teacher : float32 (Q, Q·C) or (Q, C), as loss.in_batch says; None without teachers.
    lexical : of the same shape, what BM25 adds to the student's scores; None without `loss.lexical_channel`.
    qids, places : names of the queries, and places of the documents among all.
    """

    number: int
    queries: list[str]
    documents: list[str]
    known: Tensor
    teacher: Tensor | None
    lexical: Tensor | None = None
    qids: Sequence[str] = ()
    places: Sequence[int] = ()

    def describe(self) -> dict[str, Any]:
        """What a failed run saves of it."""
        return {"number": self.number, "queries": self.queries, "documents": self.documents}


class RankingBatches(TorchDataset[RankingBatch]):
    """Queries with a positive and hard negatives, scored by the teachers.

    Parameters
    ----------
    teachers : of `loss.teachers`, in order.
    lexical : BM25, where `loss.lexical_channel` is not 0.
    neighbours : embeds the queries for `data.neighbour_batches`.
    """

    def __init__(
        self,
        training: Training,
        recipe: Recipe,
        *,
        teachers: Sequence[Teacher] = (),
        negatives: Negatives | None = None,
        lexical: Teacher | None = None,
        neighbours: DenseTeacher | None = None,
    ) -> None:
        self._training = training
        self._loss = recipe.loss
        self._num_batches = recipe.train.num_batches
        self._seed = recipe.train.seed
        self._teachers = teachers
        self._lexical = lexical
        self._negatives = negatives or Negatives(training, recipe.data)
        batch_size = recipe.train.batch_size
        titles = round(batch_size * recipe.data.title_queries) if training.title_queries else 0
        if not training.queries:
            titles = batch_size
        self._sources = [
            _Source(pool, count, self._seed + 1 + number, neighbours)
            for number, (pool, count) in enumerate(
                ((training.queries, batch_size - titles), (training.title_queries, titles))
            )
            if count
        ]

    @property
    def texts(self) -> Sequence[str]:
        """Every document of the training set, as the encoder reads it."""
        return self._training.encoded

    def __len__(self) -> int:
        return self._num_batches

    def __getitem__(self, number: int) -> RankingBatch:
        rng = np.random.default_rng([self._seed, number])
        queries = [query for source in self._sources for query in source.take(number)]
        places: list[int] = []
        for query in queries:
            positive = query.positives[int(rng.integers(len(query.positives)))]
            places += [positive, *self._negatives.draw(query, rng)]
        answers = [query.answers for query in queries]
        known = torch.tensor([[place in own for place in places] for own in answers])
        return RankingBatch(
            number,
            [query.text for query in queries],
            [self._training.encoded[place] for place in places],
            known,
            self._teach(queries, places),
            self._lexical_scores(queries, places),
            [query.qid for query in queries],
            places,
        )

    def _teach(self, queries: list[TrainingQuery], places: list[int]) -> Tensor | None:
        if not self._teachers:
            return None
        parts = [self._scores(teacher, queries, places) for teacher in self._teachers]
        if not self._loss.teacher_normalise:
            return parts[0].float()
        return ensemble_scores(parts, scale=self._loss.teacher_scale)

    def _lexical_scores(self, queries: list[TrainingQuery], places: list[int]) -> Tensor | None:
        if self._lexical is None:
            return None
        return self._loss.lexical_channel * self._scores(self._lexical, queries, places).float()

    def _scores(self, teacher: Teacher, queries: list[TrainingQuery], places: list[int]) -> Tensor:
        """(Q, Q·C) for every document of the batch, or (Q, C) for each query's own."""
        if self._loss.in_batch:
            return torch.from_numpy(teacher.scores(queries, places))
        each = len(places) // len(queries)
        own = [teacher.scores([q], places[i * each : (i + 1) * each]) for i, q in enumerate(queries)]
        return torch.from_numpy(np.concatenate(own))


class _Source:
    """Queries of one pool for each batch: shuffled, or a few shuffled seeds with their nearest neighbours."""

    _NEIGHBOURS = 8

    def __init__(self, pool: Sequence[TrainingQuery], count: int, seed: int, neighbours: DenseTeacher | None) -> None:
        self._pool = pool
        self._count = min(count, len(pool))
        self._shuffle = Shuffle(len(pool), seed)
        self._vectors = None if neighbours is None else neighbours.query_vectors([q.text for q in pool])

    def take(self, number: int) -> list[TrainingQuery]:
        if self._vectors is None:
            chosen = self._shuffle.take(number * self._count, self._count)
            return [self._pool[i] for i in dict.fromkeys(chosen)]
        chosen = []
        seeds = -(-self._count // self._NEIGHBOURS)
        for seed in self._shuffle.take(number * seeds, seeds):
            near = np.argsort(-(self._vectors @ self._vectors[seed]), kind="stable")[: 2 * self._NEIGHBOURS]
            chosen += [seed, *[int(i) for i in near if i != seed][: self._NEIGHBOURS - 1]]
        return [self._pool[i] for i in list(dict.fromkeys(chosen))[: self._count]]
