"""Ranking by the codes of a sparse autoencoder (csr), which learns to reconstruct dense embeddings as well."""

from __future__ import annotations

import torch
from torch import Tensor

from indexer.progress import Progress
from sparseir.config.recipe import Recipe
from sparseir.errors import ConfigError
from sparseir.losses.csr import reconstruction
from sparseir.models.encoder import SparseEncoder
from sparseir.models.towers.csr import CsrTower
from sparseir.train.loop.parallel import world
from sparseir.train.material.columns import Columns
from sparseir.train.material.dense_texts import DenseTexts
from sparseir.train.material.idf import corpus_idf
from sparseir.train.tasks.ranking import Ranking, ranking_batches, read_training
from sparseir.train.tasks.ranking_batches import RankingBatch, RankingBatches


def build(recipe: Recipe, encoder: SparseEncoder, progress: Progress) -> tuple[CodeRanking, RankingBatches]:
    """The objective and its batches.

    Raises
    ------
    ConfigError : keys that do not fit the encoder.
    DataError : no query to learn from, or faults in the data.
    """
    if recipe.train.sampled_terms is not None:
        raise ConfigError("train.sampled_terms: needs queries that are looked up (inference_free, splade_doc)")
    training = read_training(recipe, progress)
    idf = corpus_idf(recipe, encoder, training.texts, progress)
    objective = CodeRanking(encoder, recipe, idf, DenseTexts(encoder, recipe.data, training, bf16=recipe.train.bf16))
    return objective, ranking_batches(recipe, training, encoder, progress)


class CodeRanking(Ranking):
    """`Ranking` by codes at `model.csr_k` or, with `loss.csr_budgets`, by those at each of the budgets, the mean of all.

    The reconstruction error of queries and that of documents, the mean of both, is added.
    """

    _counted = 0
    """The step the latents have been counted for."""

    def __init__(self, encoder: SparseEncoder, recipe: Recipe, idf: Tensor | None, dense: DenseTexts) -> None:
        super().__init__(encoder, recipe, idf)
        self._dense = dense
        self._budgets = recipe.loss.csr_budgets or (recipe.model.csr_k,)

    def forward(self, batch: RankingBatch) -> Tensor:
        tower = self.encoder.document_tower
        assert isinstance(tower, CsrTower)
        lengths = self.encoder.query_length(), self._document_length
        queries, documents = (tower.dense.scaled(side) for side in self._dense.of_batch(batch, lengths))
        each = len(documents) // len(queries)
        losses, total = [], dict[str, float]()
        for width in self._budgets:
            scores = self._scores(tower.of_dense(queries, width), tower.of_dense(documents, width), each)
            if batch.lexical is not None:
                scores = scores + batch.lexical.to(scores.device)
            losses.append(self._ranking(scores, batch, each))
            total = {name: total.get(name, 0.0) + value for name, value in self.figures.items()}
        self.figures = {name: value / len(self._budgets) for name, value in total.items()}
        loss = torch.stack(losses).mean()
        if self.recipe.loss.reconstruction:
            loss = loss + self._reconstruction(tower, (queries, documents))
        read = tower.of_dense(queries), tower.of_dense(documents).view(len(queries), each, -1)
        # Each process computes all of it from all embeddings, so the gradients of processes are equal: nothing to sum.
        columns = Columns(None, self.encoder.num_terms, self.encoder.num_terms)
        return self._with_penalty(loss, read[1], columns, read[0]) / world()[1]

    def _scores(self, queries: Tensor, documents: Tensor, each: int) -> Tensor:
        """(Q, Q·C) in the batch, else (Q, C)."""
        if self.recipe.loss.in_batch:
            return queries @ documents.T
        return torch.einsum("qv,qcv->qc", queries, documents.view(len(queries), each, -1))

    def _reconstruction(self, tower: CsrTower, sides: tuple[Tensor, ...]) -> Tensor:
        losses = []
        for dense in sides:
            codes = tower.autoencoder.codes(
                dense, widths=self.recipe.loss.csr_budgets, new_step=self.step != self._counted
            )
            self._counted = self.step
            losses.append(reconstruction(codes.dense, codes.at_k, codes.at_4k, codes.auxiliary, codes.at_widths))
        loss = self.recipe.loss.reconstruction * torch.stack(losses).mean()
        self.figures["reconstruction"] = float(loss.detach())
        return loss
