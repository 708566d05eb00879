"""Ranking: queries against their candidates, scored by their vectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from indexer.progress import Progress
from sparseir.config.recipe import Recipe
from sparseir.errors import ConfigError, DataError
from sparseir.losses.ranking import info_nce, kl_divergence, margin_mse, triplet
from sparseir.models.encoder import SparseEncoder
from sparseir.models.parts import NO_LIMIT
from sparseir.models.towers.coil import CoilTower, coil_scores
from sparseir.models.towers.deepct import DeepCtTower
from sparseir.train.loop.objective import Objective
from sparseir.train.material.collection import Training, TrainingSet
from sparseir.train.material.columns import Columns
from sparseir.train.material.idf import corpus_idf
from sparseir.train.material.negatives import Negatives
from sparseir.train.material.prepared import PreparedScores, PreparedTraining, check_workers, prepared_teachers
from sparseir.train.material.teachers import BM25Teacher, DenseTeacher, is_triples, load_teacher
from sparseir.train.tasks.ranking_batches import RankingBatch, RankingBatches

_EXCLUDED = -1e4  # the score of a candidate that does not count; finite, so that softmax rows stay finite


def build(recipe: Recipe, encoder: SparseEncoder, progress: Progress) -> tuple[Objective, RankingBatches]:
    """The objective and its batches.

    Raises
    ------
    ConfigError : keys that do not fit the encoder.
    DataError : no query to learn from, or faults in the data.
    """
    if isinstance(encoder.document_tower, DeepCtTower):
        raise ConfigError("loss.objective: deepct rounds what it predicts, which ranking cannot train; take recall")
    if recipe.data.expansions is not None and not encoder.reads_expansions:
        raise ConfigError(f"data.expansions: read by unicoil and deepimpact, not by {encoder.kind}")
    training = read_training(recipe, progress, expanded=encoder.reads_expansions, separator=encoder.separator)
    idf = corpus_idf(recipe, encoder, training.texts, progress)
    chosen = encoder.query_tower.looked_up and encoder.document_tower.takes_terms
    if recipe.train.sampled_terms is not None and not chosen:
        raise ConfigError("train.sampled_terms: needs queries that are looked up (inference_free, splade_doc)")
    given = {"loss.reconstruction": recipe.loss.reconstruction, "loss.csr_budgets": recipe.loss.csr_budgets}
    given |= {"data.embeddings": recipe.data.embeddings, "data.query_embeddings": recipe.data.query_embeddings}
    for name in (name for name, value in given.items() if value):
        raise ConfigError(f"{name}: belongs to csr, not to {encoder.kind}")
    objective = TokenRanking if encoder.document_tower.needs_rerank else Ranking
    return objective(encoder, recipe, idf), ranking_batches(recipe, training, encoder, progress)


def read_training(recipe: Recipe, progress: Progress, *, expanded: bool = False, separator: str = " ") -> Training:
    """What the recipe learns from, in memory or in a prepared folder; expanded, separator and errors as theirs."""
    if recipe.data.prepared is None:
        return TrainingSet.read(recipe.data, expanded=expanded, separator=separator)
    return PreparedTraining(
        recipe.data, prepared_teachers(recipe), expanded=expanded, separator=separator, progress=progress
    )


def ranking_batches(recipe: Recipe, training: Training, encoder: SparseEncoder, progress: Progress) -> RankingBatches:
    """Batches of what was read, with the teachers and negatives of the recipe.

    Raises
    ------
    DataError : no query to learn from, stored scores that do not fit.
    """
    if not training.queries and not training.title_queries:
        raise DataError("data: no query to learn from; give data.split judgements, data.triples or title_queries")
    if isinstance(training, PreparedTraining):
        stored = [PreparedScores(training.prepared, name) for name in prepared_teachers(recipe)]
        return RankingBatches(training, recipe, teachers=stored)
    _check_scores(recipe, training)
    check_workers(recipe)
    progress("teachers", 0, None)
    device = str(encoder.device)
    names = {
        *recipe.loss.teachers,
        *(("bm25",) if "bm25" in recipe.data.negatives or recipe.loss.lexical_channel else ()),
    }
    teachers = {
        name: load_teacher(name, training, recipe.loss, device=device, progress=progress) for name in sorted(names)
    }
    dense = next((t for t in teachers.values() if isinstance(t, DenseTeacher)), None)
    if dense is None and ("dense" in recipe.data.negatives or recipe.data.neighbour_batches):
        dense = DenseTeacher(
            training, recipe.model.base, device=device, max_length=recipe.loss.teacher_length, progress=progress
        )
    bm25 = teachers.get("bm25") if "bm25" in recipe.data.negatives else None
    assert bm25 is None or isinstance(bm25, BM25Teacher)
    return RankingBatches(
        training,
        recipe,
        teachers=[teachers[name] for name in recipe.loss.teachers],
        negatives=Negatives(
            training, recipe.data, bm25=bm25, dense=dense if "dense" in recipe.data.negatives else None
        ),
        lexical=teachers["bm25"] if recipe.loss.lexical_channel else None,
        neighbours=dense if recipe.data.neighbour_batches else None,
    )


def _check_scores(recipe: Recipe, training: Training) -> None:
    """Refuse scores in triples that no loss would read, or that a batch would not find.

    Raises
    ------
    DataError
    """
    path = training.triples
    files = [name.partition(":")[2] for name in recipe.loss.teachers if name.startswith("scores:")]
    if path is None or training.scored is None:
        return
    if not any(is_triples(file, training) for file in files):
        raise DataError(
            f'holds scores, and no teacher reads them: set loss.teachers to ["scores:{path}"] with a loss that learns from '
            "one (kl, margin_mse), or take the scores out",
            path=path,
            line=training.scored,
        )
    if recipe.loss.in_batch:
        raise DataError(
            "scores documents for their own query alone; set loss.in_batch to false, which takes no others", path=path
        )
    fewest = min((query for query in training.queries if query.scores), key=lambda query: len(query.negatives))
    if len(fewest.negatives) < recipe.data.num_negatives:
        raise DataError(
            f"{len(fewest.negatives)} negatives with scores, and data.num_negatives is {recipe.data.num_negatives}; set it to "
            "the fewest of a row",
            path=path,
            line=int(fewest.qid),
        )


@dataclass(frozen=True, slots=True)
class Candidates:
    """Scores of the documents each query is held against.

    Parameters
    ----------
    scores : (Q, N), of every document of the batch, or of the query's own C alone.
    teacher : (Q, N), or None without teachers.
    known : bool (Q, N), true where a document answers the query.
    target : int64 (Q,), the column of each query's positive.
    own : int64 (Q, C), the columns of the query's own documents, its positive first.
    """

    scores: Tensor
    teacher: Tensor | None
    known: Tensor
    target: Tensor
    own: Tensor

    @property
    def taught(self) -> Tensor:
        assert self.teacher is not None  # LossConfig sees to it
        return self.teacher

    def negatives(self, margin: float) -> Tensor:
        """bool (Q, N): each query's target, and what may be called negative: no judged positive, no likely one.

        A document is a likely positive when its teacher score s reaches t − (1 − margin)·|t|, t being the target's: a share
        of t where scores are positive, and below t as well where they are logits below 0.
        """
        rows = torch.arange(len(self.target), device=self.target.device)
        allowed = ~self.known
        if self.teacher is not None:
            target = self.teacher[rows, self.target].unsqueeze(1)
            allowed &= self.teacher < target - (1 - margin) * target.abs()
        allowed[rows, self.target] = True
        return allowed


def _candidates(scores: Tensor, batch: RankingBatch, each: int, *, in_batch: bool | str) -> Candidates:
    """The candidates `loss.in_batch` names. scores : (Q, Q·C), or (Q, C) where it is False."""
    device = scores.device
    known = batch.known.to(device)
    teacher = None if batch.teacher is None else batch.teacher.to(device)
    first = torch.arange(len(scores), device=device) * each
    own = torch.arange(each, device=device) + first[:, None]
    if in_batch is True:
        return Candidates(scores, teacher, known, first, own)
    if in_batch:
        others = torch.ones(scores.shape, dtype=torch.bool, device=device).scatter(1, own, False)
        is_first = torch.zeros_like(others).index_fill(1, first, True)
        others &= is_first if in_batch == "positives" else ~is_first
        columns = torch.cat([own, others.nonzero()[:, 1].view(len(scores), -1)], 1)  # as many for each query
        given = None if teacher is None else teacher.gather(1, columns)
        target = torch.zeros_like(first)
        return Candidates(scores.gather(1, columns), given, known.gather(1, columns), target, own - first[:, None])
    return Candidates(scores, teacher, known.gather(1, own), torch.zeros_like(first), own - first[:, None])


def _info_nce(candidates: Candidates, recipe: Recipe) -> Tensor:
    allowed = candidates.negatives(recipe.data.false_negative_margin)
    scores = candidates.scores.masked_fill(~allowed, _EXCLUDED)
    return info_nce(scores, candidates.target, temperature=recipe.loss.temperature)


def _kl(candidates: Candidates, recipe: Recipe) -> Tensor:
    return kl_divergence(candidates.scores, candidates.taught)


def _margin_mse(candidates: Candidates, recipe: Recipe) -> Tensor:
    ours, theirs = (scores.gather(1, candidates.own) for scores in (candidates.scores, candidates.taught))
    return margin_mse(ours, theirs, all_pairs=recipe.loss.margin_mse_all_pairs)


def _triplet(candidates: Candidates, recipe: Recipe) -> Tensor:
    own = candidates.scores.gather(1, candidates.own)
    return triplet(own[:, :1], own[:, 1:])


LOSSES: dict[str, Callable[[Candidates, Recipe], Tensor]] = {
    "info_nce": _info_nce,
    "kl": _kl,
    "margin_mse": _margin_mse,
    "triplet": _triplet,
}
"""By the key of the `loss` section that holds their weight; a loss of weight 0 is not computed."""


class Ranking(Objective):
    """Queries against their candidates: InfoNCE, KL, MarginMSE and triplet, by weight, plus sparsity on both sides."""

    def forward(self, batch: RankingBatch) -> Tensor:
        columns = self._columns(self._query_terms(batch), batch.number)
        queries, documents, scores = self._score(batch, columns)
        grouped = documents.view(len(batch.queries), -1, documents.shape[-1])
        if batch.lexical is not None:
            scores = scores + batch.lexical.to(scores.device)
        ranking = self._ranking(scores, batch, grouped.shape[1])
        read = None if self.encoder.query_tower.looked_up else queries
        return self._with_penalty(ranking, grouped, columns, read)

    def _score(self, batch: RankingBatch, columns: Columns) -> tuple[Tensor, Tensor, Tensor]:
        """Vectors of queries and of documents, and scores: (Q, Q·C) in the batch, else (Q, C)."""
        queries = self._queries(batch.queries, columns.terms)
        documents = self._documents(batch.documents, columns.terms)
        if self.recipe.loss.in_batch:
            return queries, documents, queries @ documents.T
        grouped = documents.view(len(queries), -1, documents.shape[-1])
        return queries, documents, torch.einsum("qv,qcv->qc", queries, grouped)

    def _query_terms(self, batch: RankingBatch) -> NDArray[np.int64]:
        if self.recipe.train.sampled_terms is None:
            return np.zeros(0, np.int64)
        return np.unique(np.concatenate([[0], *self.encoder.tokenizer.rows(batch.queries, NO_LIMIT)]).astype(np.int64))

    def _ranking(self, scores: Tensor, batch: RankingBatch, each: int) -> Tensor:
        candidates = _candidates(scores, batch, each, in_batch=self.recipe.loss.in_batch)
        parts = {
            name: weight * loss(candidates, self.recipe)
            for name, loss in LOSSES.items()
            if (weight := getattr(self.recipe.loss, name))
        }
        self.figures = {name: float(part.detach()) for name, part in parts.items()}
        return torch.stack(list(parts.values())).sum()


class TokenRanking(Ranking):
    """`Ranking` by the exact score of COIL's token vectors; sparsity is that of their norms, which the index holds."""

    def _score(self, batch: RankingBatch, columns: Columns) -> tuple[Tensor, Tensor, Tensor]:
        sides = (
            (self.encoder.query_tower, batch.queries, self.encoder.query_length()),
            (self.encoder.document_tower, batch.documents, self._document_length),
        )
        norms, tokens = [], []
        for tower, texts, length in sides:
            assert isinstance(tower, CoilTower)
            vectors, whole, features = self._encode.token_vectors(tower, texts, length)
            norms.append(tower.norms(vectors, features))
            tokens.append(tower.counted(vectors, whole, features))
        scores = coil_scores(*tokens)
        if not self.recipe.loss.in_batch:
            each = len(batch.documents) // len(batch.queries)
            scores = torch.stack([row[i * each : (i + 1) * each] for i, row in enumerate(scores)])
        return norms[0], norms[1], scores
