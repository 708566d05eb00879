"""The `regulariser` section: what keeps vectors sparse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sparseir.errors import ConfigError

RegulariserKind = Literal["none", "flops", "l1", "idf_flops", "df_flops"]
"""What `losses.regularisers.PENALTIES` computes; named here so that a recipe is checked without torch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RegulariserConfig:
    """λ of each side times a penalty on the global batch of vectors."""

    kind: RegulariserKind = "flops"
    """The penalty on document vectors; queries that a network reads take flops or l1."""

    lambda_document: float = 2e-3
    """λ of documents, after the ramp."""

    lambda_query: float = 0.0
    """λ of queries, after the ramp; for encoders whose queries a network reads."""

    ramp_steps: int = 0
    """Optimiser steps over which λ rises as (step / ramp_steps)²; 0: full from the start. A third of all is usual."""

    grouping: Literal["all_documents", "mean_of_groups", "sum_of_positions"] = "all_documents"
    """Which documents share one mean in flops: all; positives and negatives apart; each candidate position apart."""

    l0_threshold: int | None = None
    """Documents with at most this many terms are not penalised (ℓ0 mask); null: all are."""

    df_alpha: float = 0.1
    """df_flops: document frequency (share) at which a term pays half."""

    df_beta: float = 10.0
    """df_flops: steepness around it."""

    df_every: int = 100
    """df_flops: optimiser steps between two estimates of the document frequencies."""

    anti_zero: float = 0.0
    """Weight of 1 / ((Σ w)² + ε), against vectors that vanish."""

    target_active_dims: float | None = None
    """Mean number of terms of a document, as it is encoded, to reach: λ is then found by a controller that leads vectors down
    to it over the first half of the run, starting at lambda_document. The penalty is counted in units of FLOPS: multiplied by
    FLOPS / penalty of the first vectors, so that one start suits every kind."""

    target_gain: float = 1.0
    """With target_active_dims: how strongly λ follows the number of terms. 1 suits fresh heads and large networks; a small
    network with a trained head answers within steps, and λ swings unless this is about 0.25."""

    fit_bias: bool = True
    """With target_active_dims: at the end move the head's vocabulary bias by one number for all terms, so that a sample of
    training documents has exactly that number on average. For kinds with a vocabulary bias."""

    def __post_init__(self) -> None:
        faults = [
            f"{name}: expected at least 0, found {getattr(self, name)}"
            for name in ("lambda_document", "lambda_query", "ramp_steps", "anti_zero")
            if getattr(self, name) < 0
        ]
        if not 0 < self.df_alpha < 1:
            faults.append(f"df_alpha: expected a share strictly between 0 and 1, found {self.df_alpha}")
        faults += [
            f"{name}: expected a positive number, found {getattr(self, name)}"
            for name in ("df_beta", "df_every")
            if not getattr(self, name) > 0
        ]
        if self.target_active_dims is not None:
            if not self.target_active_dims > 0 or not self.lambda_document > 0:
                faults.append("target_active_dims: needs a target and a lambda_document (its start) above 0")
            if self.kind == "none":
                faults.append("target_active_dims: needs a regulariser; kind is none")
            if not 0 < self.target_gain < float("inf"):
                faults.append(f"target_gain: expected a positive number, found {self.target_gain}")
        if self.grouping != "all_documents" and self.kind != "flops":
            faults.append(f"grouping: {self.grouping} belongs to flops, not to {self.kind}")
        if faults:
            raise ConfigError("\n".join(faults))
