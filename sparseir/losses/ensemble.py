"""Several teachers made one: scores brought to one scale per query, then averaged."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def normalise_scores(scores: Tensor) -> Tensor:
    """(s − min) / (max − min + 1e-6) over each query's candidates; a row of equal scores gives zeros.

    Parameters
    ----------
    scores : (Q, C), finite.

    Source: Geng et al. (arXiv:2411.04403), section 4.2.
    """
    scores = scores.float()
    low = scores.amin(-1, keepdim=True)
    return (scores - low) / (scores.amax(-1, keepdim=True) - low + 1e-6)


def ensemble_scores(teachers: Sequence[Tensor], *, scale: float) -> Tensor:
    """scale · mean over teachers of their per-query normalised scores, (Q, C).

    Parameters
    ----------
    teachers : (Q, C) each, of any kind and scale: dense, sparse, BM25, cross-encoder, stored.
    scale : S of the paper: 30 when fine-tuning, 10 when pre-training; the temperature of the KL that follows.
    """
    if not teachers:
        raise ValueError("ensemble_scores needs at least one teacher")
    parts = torch.stack([normalise_scores(t) for t in teachers])
    return scale * parts.mean(0)
