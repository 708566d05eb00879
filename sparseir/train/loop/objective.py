"""What every task shares: an encoder as the module that a trainer runs, batch in, loss out."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sparseir.config.recipe import Recipe
from sparseir.models.encoder import SparseEncoder
from sparseir.models.towers.masked_lm import MaskedLMTower
from sparseir.train.encoding import BatchEncoder
from sparseir.train.loop.parallel import world
from sparseir.train.material.columns import Columns
from sparseir.train.sparsity import Sparsity

_TERMS = 64
"""Many sampled terms are cut to a multiple of it with the wanted ones: oneDNN makes code for every shape of a product."""


class Objective(nn.Module):
    """An encoder with its loss.

    `step` is the optimiser step under way, counted from 1, and `progress` the share of the run before it; the trainer sets
    both, and calls `end_step`. `figures` holds the numbers of the last batch for the log.
    """

    def __init__(self, encoder: SparseEncoder, recipe: Recipe, idf: Tensor | None) -> None:
        super().__init__()
        self.towers = encoder.module
        self.encoder = encoder
        self.recipe = recipe
        self.step = 1
        self.progress = 0.0
        self.figures: dict[str, float] = {}
        for tower in (encoder.document_tower, encoder.query_tower):
            if isinstance(tower, MaskedLMTower):
                tower.revive = recipe.train.revive_terms
        self.sparsity = Sparsity(recipe.regulariser, idf=idf, num_terms=encoder.num_terms)
        self._encode = BatchEncoder(encoder.tokenizer, chunk_size=recipe.train.chunk_size, bf16=recipe.train.bf16)

    def train(self, mode: bool = True) -> Objective:
        """Training mode, in which dropout is on only where the recipe wants it: transformers asks for it every step."""
        return super().train(mode and self.recipe.train.dropout)

    def end_step(self) -> None:
        """Let what moves by optimiser steps move: a step may have had several forward passes."""
        self.sparsity.end_step(self.progress)

    def get_extra_state(self) -> dict[str, Any]:
        return self.sparsity.state_dict()

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.sparsity.load_state_dict(state)

    @property
    def _document_length(self) -> int:
        return self.encoder.document_length(self.recipe.data.max_document_length)

    def _documents(self, texts: list[str], terms: Tensor | None = None) -> Tensor:
        return self._encode(self.encoder.document_tower, texts, self._document_length, terms)

    def _queries(self, texts: list[str], terms: Tensor | None = None) -> Tensor:
        return self._encode(self.encoder.query_tower, texts, self.encoder.query_length(), terms)

    def _columns(self, wanted: NDArray[np.int64], number: int) -> Columns:
        """All terms, or those that are wanted and a sample drawn by the batch's number."""
        count, num_terms = self.recipe.train.sampled_terms, self.encoder.num_terms
        if count is None:
            return Columns(None, num_terms, num_terms)
        specials = self.encoder.tokenizer.special_ids
        exact = np.setdiff1d(wanted, specials)
        rng = np.random.default_rng([self.recipe.train.seed, 1, number])
        drawn = rng.choice(num_terms, min(count, num_terms), replace=False)
        rest = np.setdiff1d(drawn, np.concatenate([exact, specials]), assume_unique=True)  # in the order drawn
        if len(rest) > 10 * _TERMS:
            rest = rest[: len(rest) - (len(exact) + len(rest)) % _TERMS]
        terms = torch.from_numpy(np.concatenate([exact, rest])).to(self.encoder.device)
        return Columns(terms, len(exact), num_terms)

    def _with_penalty(self, loss: Tensor, documents: Tensor, columns: Columns, queries: Tensor | None = None) -> Tensor:
        """The loss of a batch and the penalty on its vectors.

        Parameters
        ----------
        documents : (Q, C, columns), of all processes. queries : (Q, columns) where a network reads them, else None.
        """
        penalty = self.sparsity.documents(documents, self.step, columns)
        if queries is not None:
            penalty = penalty + self.sparsity.queries(queries, self.step)
        self.figures |= {
            "penalty": float(penalty.detach()),
            "lambda_document": self.sparsity.lambda_document(self.step),
            "active_dims": self.sparsity.active_dims,
        }
        return (loss + penalty) * world()[1]  # DDP averages over processes what is a sum; see `gather_rows`
