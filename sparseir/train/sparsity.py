"""The regulariser of a run: its penalty on the global batch, its λ at each step, and a watch over collapse."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sparseir.config.regulariser import RegulariserConfig
from sparseir.losses.regularisers import PENALTIES, TermStatistics, anti_zero, flops, l0_masked, l1
from sparseir.losses.schedule import TargetSparsity, quadratic_ramp
from sparseir.train.material.columns import Columns

logger = logging.getLogger(__name__)


class Sparsity:
    """λ(step) · penalty(vectors).

    With a target the penalty is counted in units of FLOPS: it is multiplied by FLOPS / penalty of the first vectors. One
    start of λ then suits every kind, whose values for the same vectors lie up to a factor of a million apart, more than
    a controller moves.

    Parameters
    ----------
    idf : (V,) for penalties that read it.
    num_terms : V, the size of the vocabulary.
    """

    def __init__(self, config: RegulariserConfig, *, idf: Tensor | None, num_terms: int) -> None:
        self.config = config
        self.active_dims = 0.0
        """Mean number of terms of the documents of the last forward pass."""
        self._idf = idf
        self._controller = None
        if config.target_active_dims is not None:
            self._controller = TargetSparsity.of_gain(
                config.target_gain, config.target_active_dims, start=config.lambda_document
            )
        self._unit = 1.0 if self._controller is None or config.kind == "flops" else None
        """FLOPS / penalty; None until there are vectors to take both of."""
        self._of_step: list[float] = []
        self._frequency = DocumentFrequency(num_terms)

    def lambda_document(self, step: int) -> float:
        """λ of documents at an optimiser step, counted from 1."""
        value = self.config.lambda_document if self._controller is None else self._controller.lambda_value
        return value * quadratic_ramp(step, self.config.ramp_steps)

    def documents(self, weights: Tensor, step: int, columns: Columns) -> Tensor:
        """λ · penalty of documents.

        Parameters
        ----------
        weights : (Q, C, columns), of all processes.
        """
        flat = weights.flatten(0, 1)
        kept = self._penalised(weights, columns)
        penalty = self._penalty(kept, columns, step)
        if self._unit is None:
            of_flops, of_penalty = float(flops(kept.detach().flatten(0, 1))), float(penalty.detach())
            self._unit = of_flops / of_penalty if of_flops > 0 and of_penalty > 0 else None
        penalty = columns.scale(penalty) * (self._unit or 1.0) * self.lambda_document(step)
        if self.config.anti_zero:
            penalty = penalty + self.config.anti_zero * anti_zero(flat)
        self.active_dims = columns.active_dims(flat.detach())
        self._of_step.append(self.active_dims)
        return penalty

    def end_step(self, progress: float) -> None:
        """Move λ by what the forward passes of an optimiser step had, at a share of the run.

        The controller looks ahead by steps and its gains are those of steps: moved in each forward pass, it would land
        elsewhere for each number of passes a step.
        """
        if self._controller is not None and self._of_step:
            self._controller.update(sum(self._of_step) / len(self._of_step), progress)
        self._of_step.clear()

    def calibrate(self, served: float) -> None:
        """Tell the controller the active dims of texts as they are encoded; without one nothing happens."""
        if self._controller is not None:
            self._controller.calibrate(served)

    def _penalised(self, weights: Tensor, columns: Columns) -> Tensor:
        """The weights the penalty is taken over."""
        if self.config.l0_threshold is not None:
            weights = l0_masked(weights, columns.active_dims_each(weights), self.config.l0_threshold)
        return columns.penalised(weights)

    def _penalty(self, weights: Tensor, columns: Columns, step: int) -> Tensor:
        """The penalty with every column weighted by how many terms it represents, divided by `columns.factor`.

        Parameters
        ----------
        weights : of `_penalised`.
        """

        def idf() -> Tensor:
            assert self._idf is not None
            return columns.of(self._idf.to(weights.device))

        frequency = functools.partial(
            self._frequency.of, weights.detach().flatten(0, 1), columns, step, every=self.config.df_every
        )
        statistics = TermStatistics(idf, frequency)
        return PENALTIES[self.config.kind].compute(weights, self.config, statistics)

    def queries(self, weights: Tensor, step: int) -> Tensor:
        """λ · penalty of queries that a network reads: L1 where documents take it, else FLOPS."""
        strength = self.config.lambda_query * quadratic_ramp(step, self.config.ramp_steps)
        if not strength:
            return weights.sum() * 0.0
        return strength * (l1(weights) if self.config.kind == "l1" else flops(weights))

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        controller = None if self._controller is None else self._controller.state_dict()
        return {"controller": controller, "unit": self._unit, **self._frequency.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        if self._controller is not None and state["controller"] is not None:
            self._controller.load_state_dict(state["controller"])
            self._unit = state.get("unit", 1.0)  # runs that began before there was one
        self._frequency.load_state_dict(state)


class DocumentFrequency:
    """Share of vectors that hold each term, estimated from batches: the first, then of all since the estimate before.

    Parameters
    ----------
    num_terms : V.
    """

    def __init__(self, num_terms: int) -> None:
        self._frequency, self._counted, self._seen = (torch.zeros(num_terms, dtype=torch.float64) for _ in range(3))
        self._estimated_at: int | None = None

    def of(self, flat: Tensor, columns: Columns, step: int, *, every: int) -> Tensor:
        """The estimate for the penalised columns, after taking note of a batch.

        Parameters
        ----------
        flat : (N, penalised columns).
        every : optimiser steps between two estimates.
        """
        where = slice(None) if columns.terms is None else columns.terms[columns.exact :].cpu()
        self._counted[where] += (flat > 0).double().sum(0).cpu()
        self._seen[where] += len(flat)
        first = self._estimated_at is None
        if first or step - (self._estimated_at or 0) >= every:
            # A term that no sample of the vocabulary held since the last estimate keeps the one it has.
            self._frequency = torch.where(self._seen > 0, self._counted / self._seen.clamp(min=1), self._frequency)
            self._estimated_at = step
            if not first:
                self._counted, self._seen = torch.zeros_like(self._counted), torch.zeros_like(self._seen)
        return columns.of(self._frequency.to(flat.device))

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, f"_{name}") for name in ("frequency", "counted", "seen", "estimated_at")}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._frequency, self._counted, self._seen = state["frequency"], state["counted"], state["seen"]
        self._estimated_at = state["estimated_at"]


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
