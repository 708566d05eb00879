"""Factors of query terms, and shares of words added to queries, that rank judged documents first: a convex problem with one
solution, since a ridge holds factors to 1 and shares to 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Event

import numpy as np
from numpy.typing import NDArray

from sparseir.query_weights.lists import CandidateLists


def list_losses(scores: NDArray[np.float64], lists: CandidateLists) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """−Σ_p y_p · log(e^{s_p} / (e^{s_p} + Σ_n e^{s_n})) of each list, and its gradient in the scores.

    p runs over the relevant candidates, y is their share of the list's relevance, and n runs over the others: relevant
    documents do not compete with each other. (L,) and (C,), float64.
    """
    starts, sizes = lists.starts[:-1], np.diff(lists.starts)
    positive = lists.relevance > 0
    highest = np.maximum.reduceat(np.where(positive, -np.inf, scores), starts)  # of those that are not relevant
    alone = np.isinf(highest)  # nothing to rank them above
    shifted = scores - np.repeat(np.where(alone, np.maximum.reduceat(scores, starts), highest), sizes)
    exps = np.exp(np.where(positive, -np.inf, shifted))
    negatives = np.log(np.where(alone, 1.0, np.add.reduceat(exps, starts)))
    negatives[alone] = -np.inf
    total = np.logaddexp(np.repeat(negatives, sizes), shifted)
    losses = np.add.reduceat(lists.relevance * (total - shifted), starts)
    pulled = lists.relevance * np.exp(np.repeat(negatives, sizes) - total)
    pushed = np.repeat(
        np.add.reduceat(np.where(positive, lists.relevance * np.exp(-np.maximum(total, 0.0)), 0.0), starts), sizes
    )
    return losses, np.where(positive, -pulled, exps * pushed)


class Stopped(Exception):
    """What was under way was told to stop."""


def go_on_unless(stop: Event | None) -> None:
    """Between two steps of long work in a thread, which no signal reaches.

    Raises
    ------
    Stopped : the event is set.
    """
    if stop is not None and stop.is_set():
        raise Stopped


@dataclass(frozen=True, slots=True)
class Ridge:
    """Factors that minimise Σ list_losses(scale · parts · factors) + Σ strength · (factors − prior)², factors ≥ 0.

    Parameters
    ----------
    factors : float64 (columns,); as the prior for columns that no list has.
    scale : what scores are multiplied by in the loss: the best for factors of 1.
    strength : of the ridge; infinite leaves factors as they are.
    num_added : of the columns, the last so many are pairs of words, whose factors are shares and held to 0, others to 1.
    added_strength : of the ridge of these.
    """

    factors: NDArray[np.float64]
    scale: float
    strength: float
    num_added: int = 0
    added_strength: float = np.inf

    def scores(self, lists: CandidateLists) -> NDArray[np.float64]:
        """Of the candidates, before scaling."""
        return np.asarray(lists.parts @ self.factors, np.float64)

    def losses(self, lists: CandidateLists) -> NDArray[np.float64]:
        """Loss of each list."""
        return list_losses(self.scale * self.scores(lists), lists)[0]

    def with_pairs(self, count: int) -> Ridge:
        """The same with shares of 0 for that many pairs."""
        return Ridge(np.concatenate([self.factors, np.zeros(count)]), self.scale, self.strength, count)


def unfitted(lists: CandidateLists) -> Ridge:
    """Factors of 1, with the scale at which the losses are least."""
    from scipy.optimize import minimize_scalar

    ones = np.ones(lists.parts.shape[1])
    scores = (lists.parts @ ones).astype(np.float64)
    spread = float(scores.std()) or 1.0
    found = minimize_scalar(
        lambda log_scale: list_losses(np.exp(log_scale) * scores, lists)[0].mean(),
        bounds=(np.log(1e-3 / spread), np.log(1e3 / spread)),
        method="bounded",
    )
    return Ridge(ones, float(np.exp(found.x)), np.inf)


def fit_ridge(
    lists: CandidateLists,
    start: Ridge,
    strength: float,
    added_strength: float = np.inf,
    *,
    tolerance: float = 1e-9,
    stop: Event | None = None,
) -> Ridge:
    """The solution at one strength of each kind, searched for from the factors of `start`.

    Parameters
    ----------
    tolerance : share of what is minimised by which an iteration must better it, or it is the last.
    stop : ends the search with `Stopped` when set.
    """
    from scipy.optimize import minimize

    columns = lists.parts.shape[1]
    added = np.arange(columns) >= columns - start.num_added
    priors, strengths = np.where(added, 0.0, 1.0), np.where(added, added_strength, strength)
    used = np.unique(lists.parts.indices)
    used = used[np.isfinite(strengths[used])]
    if not len(used):
        return Ridge(start.factors, start.scale, strength, start.num_added, added_strength)
    fixed = start.factors.copy()
    fixed[used] = 0
    offset = start.scale * (lists.parts @ fixed)
    parts = lists.parts[:, used].astype(np.float64) * start.scale
    across = parts.T.tocsr()

    def objective(factors: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        go_on_unless(stop)
        losses, gradient = list_losses(offset + parts @ factors, lists)
        away = factors - priors[used]
        pulls = strengths[used] * away
        return float(losses.sum() + away @ pulls), across @ gradient + 2 * pulls

    found = minimize(
        objective, start.factors[used], jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(used),
        options={"maxiter": 200, "ftol": tolerance},
    )  # fmt: skip
    factors = start.factors.copy()
    factors[used] = found.x
    return Ridge(factors, start.scale, strength, start.num_added, added_strength)
