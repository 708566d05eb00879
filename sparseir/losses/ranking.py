"""Ranking losses on scores. Pure functions: scores in, one number out, computed in float32."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint


def info_nce(scores: Tensor, target: Tensor | None = None, *, temperature: float = 1.0) -> Tensor:
    """Mean over queries of −log softmax(scores / temperature)[target].

    Parameters
    ----------
    scores : (Q, C), C candidates a query: in-batch documents, hard negatives, or both.
    target : int64 (Q,), the column of each query's positive; None: column i for query i.

    Source: van den Oord et al. 2018 (arXiv:1807.03748), eq. 4.
    """
    if target is None:
        target = torch.arange(len(scores), device=scores.device)
    return F.cross_entropy(scores.float() / temperature, target)


def triplet(positive: Tensor, negative: Tensor, *, margin: float = 1.0) -> Tensor:
    """Mean of max(0, margin − (positive − negative)) over pairs of scores of one shape."""
    return F.relu(margin - (positive.float() - negative.float())).mean()


def margin_mse(scores: Tensor, teacher: Tensor, *, all_pairs: bool = False) -> Tensor:
    """Mean of ((s_i − s_j) − (t_i − t_j))² over pairs of a query's candidates.

    Parameters
    ----------
    scores, teacher : (Q, C), the positive in column 0.
    all_pairs : every pair i < j, as SPLADE-v3 mixes it; else the positive with each negative.

    Source: Hofstätter et al. 2020 (arXiv:2010.02666), eq. 2.
    """
    difference = (scores - teacher).float()  # (s_i − s_j) − (t_i − t_j) = d_i − d_j
    if not all_pairs:
        return (difference[:, :1] - difference[:, 1:]).square().mean()
    i, j = torch.triu_indices(difference.shape[1], difference.shape[1], offset=1, device=scores.device)
    return (difference[:, i] - difference[:, j]).square().mean()


def kl_divergence(scores: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Mean over queries of KL(softmax(teacher/τ) ‖ softmax(scores/τ)) · τ².

    Parameters
    ----------
    scores, teacher : (Q, C). The factor τ² keeps gradients of one size for every τ.

    Source: Hinton et al. 2015 (arXiv:1503.02531), section 2.
    """
    student = F.log_softmax(scores.float() / temperature, dim=-1)
    reference = F.log_softmax(teacher.float() / temperature, dim=-1)
    return F.kl_div(student, reference, log_target=True, reduction="batchmean") * temperature**2


def vector_distillation(weights: Tensor, target: Tensor, *, absent: float = 1.0) -> Tensor:
    """Mean over texts of Σ_v c_v (weights[v] − target[v])²: a text's vector learnt from a teacher's.

    c_v is 1 where the teacher's weight is not 0, else `absent`. A term the teacher holds with probability p and weight m
    is best predicted as m·p / (p + absent·(1 − p)): at 1 hardly any terms but a text's own stay above zero, and terms
    below zero get no gradient by which they could return.

    Parameters
    ----------
    weights, target : (B, V). Teachers of different scale are to be brought to one scale first.
    absent : ≥ 0.
    """
    error = (weights.float() - target.float()).square()
    if absent != 1:
        error = torch.where(target != 0, error, absent * error)
    return error.sum(-1).mean()


def masked_language_model(states: Tensor, labels: Tensor, weight: Tensor, bias: Tensor, *, chunk: int = 256) -> Tensor:
    """Mean cross entropy of the true tokens at masked places, logits = states · weightᵀ + bias; 0 when N = 0.

    Logits of `chunk` places are in memory at a time, N·V numbers otherwise; the backward pass makes them again.

    Parameters
    ----------
    states : (N, H), at the masked places.
    labels : int64 (N,).
    weight, bias : (V, H) and (V,) of the vocabulary.
    """

    def summed(states: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(F.linear(states, weight, bias).float(), labels, reduction="sum")

    if not len(labels):
        return states.sum() * 0.0
    pieces = zip(states.split(chunk), labels.split(chunk), strict=True)
    return torch.stack([checkpoint(summed, *piece, use_reentrant=False) for piece in pieces]).sum() / len(labels)
