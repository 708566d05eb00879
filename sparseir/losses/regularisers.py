"""Sparsity terms on batches of vectors. Pure functions of weights ≥ 0, (N, V), computed in float32.

Under data-parallel training the mean over texts must be over all processes' texts: gather the vectors first, and let the
trainer scale by the number of processes what it averages gradients over.

A regulariser of a recipe is a function of this module and its line in `PENALTIES`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from sparseir.config.regulariser import RegulariserConfig, RegulariserKind

Grouping = Literal["all_documents", "mean_of_groups", "sum_of_positions"]


def batch_mean(weights: Tensor) -> Tensor:
    """mean_i |w_iv|, (V,) float32."""
    return weights.float().abs().mean(0)


def flops(weights: Tensor) -> Tensor:
    """Σ_v (mean_i |w_iv|)²: the expected number of products of two random texts of the batch.

    Source: Paria et al. 2020 (arXiv:2004.05665), eq. 4.
    """
    return batch_mean(weights).square().sum()


def grouped_flops(weights: Tensor, grouping: Grouping) -> Tensor:
    """FLOPS of a batch of candidate lists, in one of the three ways toolkits group them; a λ does not carry over.

    Parameters
    ----------
    weights : (Q, C, V), C documents a query, the positive first.
    grouping : all_documents: one mean over all Q·C (sentence-transformers). mean_of_groups: the mean of FLOPS of the
        positives and FLOPS of the negatives (naver/splade). sum_of_positions: one FLOPS per candidate position,
        summed (OpenSearch).
    """
    if weights.ndim != 3:
        raise ValueError(f"grouped_flops takes (queries, candidates, terms), not shape {tuple(weights.shape)}")
    if grouping == "all_documents" or weights.shape[1] == 1:
        return flops(weights.flatten(0, 1))
    if grouping == "mean_of_groups":
        return (flops(weights[:, 0]) + flops(weights[:, 1:].flatten(0, 1))) / 2
    return torch.stack([flops(weights[:, c]) for c in range(weights.shape[1])]).sum()


def l1(weights: Tensor) -> Tensor:
    """mean_i Σ_v |w_iv|."""
    return weights.float().abs().sum(-1).mean()


def idf_flops(weights: Tensor, idf: Tensor, *, floor: float = 0.1) -> Tensor:
    """Σ_v (mean_i |w_iv| / idf_v)²: common terms pay more. The first published form.

    Parameters
    ----------
    idf : (V,); terms with idf = 0 (special tokens) are left out, the rest clamped from below at `floor`, since a
        ubiquitous term's idf is nearly 0. The second form needs no function of its own: scores Σ_v idf_v·q_v·d_v in
        training and use, with plain `flops`.

    Source: Geng et al. (arXiv:2411.04403), eq. 7.
    """
    kept = idf > 0
    scaled = torch.where(kept, batch_mean(weights) / idf.float().clamp(min=floor), 0.0)
    return scaled.square().sum()


def l0_masked(weights: Tensor, active_dims: Tensor, threshold: int) -> Tensor:
    """The weights with every row of at most `threshold` terms set to 0, to be given to any regulariser.

    A text sparse enough already is left alone, yet still counts in the mean over all rows.

    Parameters
    ----------
    weights : (…, V), possibly of a sample of the vocabulary.
    active_dims : (…), terms of each row over the whole vocabulary.

    Source: arXiv:2504.14839, section 3.2 (strictly more than t is regularised).
    """
    return weights * (active_dims > threshold).unsqueeze(-1)


def df_flops(weights: Tensor, document_frequency: Tensor, *, alpha: float = 0.1, beta: float = 10.0) -> Tensor:
    """Σ_v (ω_v · mean_i |w_iv|)² with ω_v = 1 / (1 + (x^{log_α 2} − 1)^β), x = document_frequency[v].

    ω rises from 0 at x = 0 through ½ at x = α to 1 at x = 1: only terms in many vectors pay.

    Parameters
    ----------
    document_frequency : (V,) in [0, 1], the share of vectors that hold the term, re-estimated about every 100 steps.
    alpha : 0 < α < 1, the share at which a term pays half. beta : > 0, steepness.

    Source: DF-FLOPS (2025), eq. 5.
    """
    return (df_weights(document_frequency, alpha=alpha, beta=beta) * batch_mean(weights)).square().sum()


def df_weights(document_frequency: Tensor, *, alpha: float = 0.1, beta: float = 10.0) -> Tensor:
    """ω of `df_flops`, (V,) in [0, 1]; 0 where the document frequency is 0."""
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie strictly between 0 and 1, not {alpha}")
    x = document_frequency.double().clamp(0, 1)
    exponent = torch.log(torch.tensor(2.0, dtype=torch.float64)) / torch.log(torch.tensor(alpha, dtype=torch.float64))
    # x^{log_α 2} ≥ 1 on (0, 1] since log_α 2 < 0; it overflows to inf towards 0, where ω is 0.
    base = (x.clamp(min=1e-300) ** exponent - 1).clamp(min=0)
    omega = 1 / (1 + base**beta)
    return torch.where(x > 0, omega, 0.0).float()


def anti_zero(weights: Tensor, *, epsilon: float = 1e-6) -> Tensor:
    """1 / ((Σ_iv w_iv)² + ε): large when a batch's vectors vanish, finite at collapse itself."""
    return 1.0 / (weights.float().sum().square() + epsilon)


@dataclass(frozen=True, slots=True)
class TermStatistics:
    """What a penalty may ask about the terms of the columns it is given.

    Parameters
    ----------
    idf : (V,) of the training texts; for penalties entered with `reads_idf`.
    document_frequency : (V,) share of recent vectors that hold the term.
    """

    idf: Callable[[], Tensor]
    document_frequency: Callable[[], Tensor]


class Penalty(NamedTuple):
    """An entry of `PENALTIES`.

    Parameters
    ----------
    compute : from the weights of candidate lists (Q, C, V), the settings and the statistics to one number.
    reads_idf : whether it asks for idf, which is then counted before training; not to be had for latents.
    """

    compute: Callable[[Tensor, RegulariserConfig, TermStatistics], Tensor]
    reads_idf: bool = False


PENALTIES: dict[RegulariserKind, Penalty] = {
    "none": Penalty(lambda weights, config, terms: weights.sum() * 0.0),
    "flops": Penalty(lambda weights, config, terms: grouped_flops(weights, config.grouping)),
    "l1": Penalty(lambda weights, config, terms: l1(weights.flatten(0, 1))),
    "idf_flops": Penalty(
        lambda weights, config, terms: idf_flops(weights.flatten(0, 1), terms.idf()),
        reads_idf=True,
    ),
    "df_flops": Penalty(
        lambda weights, config, terms: df_flops(
            weights.flatten(0, 1), terms.document_frequency(), alpha=config.df_alpha, beta=config.df_beta
        )
    ),
}
"""By `regulariser.kind`."""
