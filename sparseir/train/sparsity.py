"""The regulariser of a run: its penalty on the global batch, its λ at each step, and a watch over collapse."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sparseir.config.regulariser import RegulariserConfig
from sparseir.losses.regularisers import (
    anti_zero,
    batch_mean,
    df_flops,
    flops_of_mean,
    grouped_flops,
    idf_flops,
    l1,
)
from sparseir.losses.schedule import TargetSparsity, quadratic_ramp

logger = logging.getLogger(__name__)


class Sparsity:
    """λ(step) · penalty(vectors).

    Parameters
    ----------
    idf : (V,) for idf_flops.
    num_terms : V, the size of the vocabulary.
    """

    def __init__(self, config: RegulariserConfig, *, idf: Tensor | None, num_terms: int) -> None:
        self.config = config
        self._idf = idf
        self._controller = None
        if config.target_active_dims is not None:
            self._controller = TargetSparsity(config.target_active_dims, start=config.lambda_document)
        self._frequency = torch.zeros(num_terms, dtype=torch.float64)
        self._counted = torch.zeros(num_terms, dtype=torch.float64)
        self._seen = torch.zeros(num_terms, dtype=torch.float64)
        self._estimated_at: int | None = None

    def lambda_document(self, step: int) -> float:
        """λ of documents at an optimiser step, counted from 1."""
        value = self.config.lambda_document if self._controller is None else self._controller.lambda_value
        return value * quadratic_ramp(step, self.config.ramp_steps)

    def documents(self, weights: Tensor, step: int, columns: Columns, progress: float = 0.0) -> Tensor:
        """λ · penalty of documents.

        Parameters
        ----------
        weights : (Q, C, columns), of all processes.
        """
        config = self.config
        flat = weights.flatten(0, 1)
        penalty = columns.scale(self._penalty(weights, columns, step)) * self.lambda_document(step)
        if config.anti_zero:
            penalty = penalty + config.anti_zero * anti_zero(flat)
        if self._controller is not None:
            self._controller.update(columns.active_dims(flat.detach()), progress)
        return penalty

    def calibrate(self, served: float) -> None:
        """Tell the controller the active dims of texts as they are encoded; without one nothing happens."""
        if self._controller is not None:
            self._controller.calibrate(served)

    def _penalty(self, weights: Tensor, columns: Columns, step: int) -> Tensor:
        """The penalty with every column weighted by how many terms it stands for, divided by `columns.factor`."""
        config = self.config
        if config.l0_threshold is not None:
            dense = columns.active_dims_each(weights) > config.l0_threshold
            weights = weights * dense.unsqueeze(-1)
        weights = columns.penalised(weights)
        flat = weights.flatten(0, 1)
        if config.kind == "none":
            return flat.sum() * 0.0
        if config.kind == "l1":
            return l1(flat)
        if config.kind == "idf_flops":
            assert self._idf is not None
            return idf_flops(flat, columns.of(self._idf.to(flat.device)), floor=config.idf_floor)
        if config.kind == "df_flops":
            frequency = columns.of(self._document_frequency(flat, columns, step).to(flat.device))
            return df_flops(flat, frequency, alpha=config.df_alpha, beta=config.df_beta)
        return grouped_flops(weights, config.grouping)

    def _document_frequency(self, flat: Tensor, columns: Columns, step: int) -> Tensor:
        """Share of vectors that hold each term: of the first batch, then re-estimated every `df_every` optimiser steps."""
        where = slice(None) if columns.terms is None else columns.terms[columns.exact :].cpu()
        self._counted[where] += (flat.detach() > 0).double().sum(0).cpu()
        self._seen[where] += len(flat)
        first = self._estimated_at is None
        if first or step - (self._estimated_at or 0) >= self.config.df_every:
            # A term that no sample of the vocabulary held since the last estimate keeps the one it has.
            self._frequency = torch.where(self._seen > 0, self._counted / self._seen.clamp(min=1), self._frequency)
            self._estimated_at = step
            if not first:
                self._counted, self._seen = torch.zeros_like(self._counted), torch.zeros_like(self._seen)
        return self._frequency

    def queries(self, weights: Tensor, step: int) -> Tensor:
        """λ · penalty of queries that a network reads: L1 where documents take it, else FLOPS."""
        strength = self.config.lambda_query * quadratic_ramp(step, self.config.ramp_steps)
        if not strength:
            return weights.sum() * 0.0
        return strength * (l1(weights) if self.config.kind == "l1" else flops_of_mean(batch_mean(weights)))

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {
            "controller": None if self._controller is None else self._controller.state_dict(),
            "frequency": self._frequency,
            "counted": self._counted,
            "seen": self._seen,
            "estimated_at": self._estimated_at,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        if self._controller is not None and state["controller"] is not None:
            self._controller.load_state_dict(state["controller"])
        self._frequency, self._counted = state["frequency"], state["counted"]
        self._seen = state["seen"]
        self._estimated_at = state["estimated_at"]


class Columns:
    """Which terms the columns of a batch's vectors are.

    With sampled terms the first `exact` columns are the terms of the batch's queries, which the ranking losses need,
    and the rest a uniform sample of the vocabulary, which stands for all other terms in the penalty: it is scaled by
    how many of them there are for each sampled one.

    Parameters
    ----------
    terms : int64 (columns,) on the device; None: all V terms in order.
    exact : number of leading columns that stand for themselves.
    num_terms : V.
    """

    def __init__(self, terms: Tensor | None, exact: int, num_terms: int) -> None:
        self.terms = terms
        self.exact = exact
        sampled = 0 if terms is None else len(terms) - exact
        self.factor = 1.0 if terms is None else (num_terms - exact) / max(1, sampled)

    def of(self, values: Tensor) -> Tensor:
        """The entries of a vocabulary-long tensor that the penalty is taken over."""
        return values if self.terms is None else values[self.terms[self.exact :]]

    def penalised(self, weights: Tensor) -> Tensor:
        """The columns the penalty is taken over. Query terms are few among V and left out of a sampled penalty."""
        return weights if self.terms is None else weights[..., self.exact :]

    def scale(self, penalty: Tensor) -> Tensor:
        return penalty * self.factor

    def active_dims_each(self, weights: Tensor) -> Tensor:
        """Number of terms of each vector, estimated where columns are sampled."""
        active = (weights > 0).float()
        if self.terms is None:
            return active.sum(-1)
        return active[..., : self.exact].sum(-1) + active[..., self.exact :].sum(-1) * self.factor

    def active_dims(self, weights: Tensor) -> float:
        """Mean of `active_dims_each`."""
        return float(self.active_dims_each(weights).mean())


class CollapseWatch:
    """Warns, once each, when vectors go all-zero or all-active.

    Parameters
    ----------
    num_terms : V.
    patience : batches in a row before it speaks.
    """

    def __init__(self, num_terms: int, *, patience: int = 20) -> None:
        self._num_terms = num_terms
        self._patience = patience
        self._low = self._high = 0

    def look(self, active_dims: float) -> None:
        """Take note of one batch's mean number of terms."""
        self._low = self._low + 1 if active_dims < 1 else 0
        self._high = self._high + 1 if active_dims > 0.5 * self._num_terms else 0
        if self._low == self._patience:
            logger.warning(
                "document vectors have vanished (mean %.2f terms): lower regulariser.lambda_document or the learning "
                "rate, lengthen regulariser.ramp_steps, or set regulariser.anti_zero",
                active_dims,
            )
        if self._high == self._patience:
            logger.warning(
                "document vectors hold %.0f of %d terms: raise regulariser.lambda_document or lower "
                "model.fresh_head_bias",
                active_dims,
                self._num_terms,
            )
