"""Factors of query terms that rank judged documents first, held to 1 by a ridge: a convex problem with one solution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparseir.data.records import Qrels
from sparseir.query_weights.lists import CandidateLists

STRENGTHS = (100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1)
"""Ridges that are tried, strongest first."""

FOLDS = 5
"""Parts of the queries: each is held out in turn, until `ENOUGH` queries were."""

ENOUGH = 1000
"""Held-out queries at which the strength is chosen."""

FEWEST_UNSHARED = 30
"""Held-out queries for documents that no fitted query asks for, below which they choose nothing."""


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


@dataclass(frozen=True, slots=True)
class Ridge:
    """Factors that minimise Σ list_losses(scale · parts · factors) + strength · Σ (factors − 1)², factors ≥ 0.

    Parameters
    ----------
    factors : float64 (terms,); 1 for terms that no query holds.
    scale : what scores are multiplied by in the loss: the best for factors of 1.
    strength : of the ridge.
    """

    factors: NDArray[np.float64]
    scale: float
    strength: float

    def losses(self, lists: CandidateLists) -> NDArray[np.float64]:
        """Loss of each list."""
        return list_losses(self.scale * (lists.parts @ self.factors), lists)[0]


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


def fit_ridge(lists: CandidateLists, start: Ridge, strength: float) -> Ridge:
    """The solution at one strength, from the last factors found; terms of no query keep 1."""
    from scipy.optimize import minimize

    used = np.unique(lists.parts.indices)
    parts = lists.parts[:, used].astype(np.float64) * start.scale
    across = parts.T.tocsr()

    def objective(factors: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        losses, gradient = list_losses(parts @ factors, lists)
        away = factors - 1
        return float(losses.sum() + strength * (away @ away)), across @ gradient + 2 * strength * away

    found = minimize(
        objective, start.factors[used], jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(used),
        options={"maxiter": 200},
    )  # fmt: skip
    factors = np.ones(lists.parts.shape[1])
    factors[used] = found.x
    return Ridge(factors, start.scale, strength)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A strength, and what it is worth on the queries that chose it, each by factors fitted to others.

    strength : infinite where held-out losses do not fall by more than one standard error.
    held_out : the lists that chose. before, after : their scores (C,) without and with factors. loss_before, loss_after :
        their losses (L,).
    unshared : numbers of those none of whose relevant documents is relevant to a query that was fitted.
    """

    strength: float
    held_out: CandidateLists
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    loss_before: NDArray[np.float64]
    loss_after: NDArray[np.float64]
    unshared: NDArray[np.int64]


def choose(lists: CandidateLists, qrels: Qrels, *, seed: int) -> Chosen:
    """The strongest ridge whose held-out losses are within one standard error of the least (Breiman et al. 1984).

    Where collections are asked for the same documents again, a weak ridge learns which these are, and questions nobody
    asked before pay for it. So strengths at which the unshared queries lose by more than one standard error are left out,
    where there are enough of them to tell.
    """
    parts = np.array_split(np.random.default_rng(seed).permutation(len(lists)), FOLDS)
    folds = [_Fold.of(lists, parts, number, qrels) for number in range(_folds(len(lists)))]
    losses = [np.concatenate([fold.losses[i] for fold in folds]) for i in range(1 + len(STRENGTHS))]
    firsts = np.cumsum([0, *(len(fold.held_out) for fold in folds)])
    unshared = np.concatenate([first + fold.unshared for first, fold in zip(firsts, folds, strict=False)])
    fair = [
        i
        for i, of_one in enumerate(losses)
        if len(unshared) < FEWEST_UNSHARED or not _clearly_less(losses[0][unshared], of_one[unshared])
    ]
    best = min(fair, key=lambda i: float(losses[i].mean()))
    taken = next(i for i in fair if not _clearly_less(losses[best], losses[i]))
    before, after = (np.concatenate([fold.scores[i] for fold in folds]) for i in (0, taken))
    return Chosen(
        (np.inf, *STRENGTHS)[taken],
        lists.only(np.concatenate([np.sort(part) for part in parts[: len(folds)]])),
        before,
        after,
        losses[0],
        losses[taken],
        unshared,
    )


def _folds(num_lists: int) -> int:
    """How many parts are held out."""
    return min(FOLDS, max(1, -(-ENOUGH * FOLDS // num_lists)))


@dataclass(frozen=True, slots=True)
class _Fold:
    """A part that is held out, with the losses and scores of its lists at no ridge (factors of 1) and at each strength."""

    held_out: CandidateLists
    losses: list[NDArray[np.float64]]
    scores: list[NDArray[np.float64]]
    unshared: NDArray[np.int64]

    @classmethod
    def of(cls, lists: CandidateLists, parts: list[NDArray[np.int64]], number: int, qrels: Qrels) -> _Fold:
        held_out = lists.only(np.sort(parts[number]))
        fitted = lists.only(np.sort(np.concatenate([part for i, part in enumerate(parts) if i != number])))
        tried = [unfitted(fitted)]
        for strength in STRENGTHS:
            tried.append(fit_ridge(fitted, tried[-1], strength))
        return cls(
            held_out,
            [ridge.losses(held_out) for ridge in tried],
            [held_out.parts @ ridge.factors for ridge in tried],
            _unshared(fitted, held_out, qrels),
        )


def _unshared(fitted: CandidateLists, held_out: CandidateLists, qrels: Qrels) -> NDArray[np.int64]:
    asked = {docno for qid in fitted.qids for docno, grade in qrels[qid].items() if grade > 0}
    return np.array(
        [
            number
            for number, qid in enumerate(held_out.qids)
            if not any(docno in asked for docno, grade in qrels[qid].items() if grade > 0)
        ],
        np.int64,
    )


def _clearly_less(losses: NDArray[np.float64], others: NDArray[np.float64]) -> bool:
    """Whether losses are less than others of the same lists by more than one standard error of the difference."""
    differences = others - losses
    return float(differences.mean()) > float(differences.std(ddof=1) / np.sqrt(len(differences)))
