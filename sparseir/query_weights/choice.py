"""How strong the ridges of a fit are, by queries that are held out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from threading import Event
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sparseir.data.records import Qrels
from sparseir.query_weights.added import WordAdder
from sparseir.query_weights.lists import CandidateLists
from sparseir.query_weights.ridge import Ridge, Stopped, fit_ridge, unfitted

STRENGTHS = (100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1)
"""Ridges that are tried, strongest first."""

FOLDS = 5
"""Parts of the queries drawn at random: each is held out in turn, until `ENOUGH` queries were."""

ENOUGH = 1000
"""Held-out queries at which the strength is chosen."""

FEWEST_UNSHARED = 30
"""Held-out queries for documents that no fitted query asks for, below which they choose nothing."""

_TOLERANCE = 1e-6
"""Of the fits that choose: far below a standard error."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Strengths, and what they are worth on the queries that chose them, each by factors fitted to others.

    strength : of factors of terms; infinite where held-out losses do not fall by more than one standard error.
    added_strength : of shares of added words, likewise.
    held_out : the lists that chose. before, after : their scores (C,) without and with the fit. loss_before, loss_after :
        their losses (L,).
    unshared : numbers of those none of whose relevant documents is relevant to a query that was fitted.
    """

    strength: float
    added_strength: float
    held_out: CandidateLists
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    loss_before: NDArray[np.float64]
    loss_after: NDArray[np.float64]
    unshared: NDArray[np.int64]


def choose(
    lists: CandidateLists,
    qrels: Qrels,
    *,
    seed: int,
    adder: WordAdder | None = None,
    num_threads: int = 1,
    topics: Sequence[NDArray[np.int64]] | None = None,
) -> Chosen:
    """The strongest ridges whose held-out losses are within one standard error of the least (Breiman et al. 1984).

    First that of factors; then, with an adder, that of the shares of the words it adds, with the former as chosen.
    Where collections are asked for the same documents again, a weak ridge learns which these are, and questions nobody
    asked before pay for it. So strengths at which the unshared queries lose by more than one standard error are left out,
    where there are enough of them to tell. The parts that are held out are fitted in threads, with the same result.

    Parameters
    ----------
    seed : draws the parts that are held out.
    topics : parts to hold out instead of those drawn, of queries about other things than the rest.
    """
    if topics is None:
        folds = [_Fold.of(lists, part, qrels) for part in _drawn_parts(len(lists), seed)]
    else:
        folds = _of_topics(lists, qrels, topics)
    _try_strengths(folds, num_threads)
    unshared = _all_unshared(folds)
    of_built = [fold.taken(0) for fold in folds]
    number = _chosen(folds, unshared)
    folds = [fold.taken(number) for fold in folds]
    added = 0
    if adder is not None:
        wider = _of_each(folds, partial(_Fold.with_pairs, adder=adder), num_threads)
        if any(fold.tried[0].num_added for fold in wider):
            _try_strengths(wider, num_threads)
        added = _chosen(wider, unshared)
        folds = [fold.taken(added) for fold in wider]
    return _outcome(lists, of_built, folds, ((np.inf, *STRENGTHS)[number], (np.inf, *STRENGTHS)[added]))


def try_on_topics(
    lists: CandidateLists,
    qrels: Qrels,
    topics: Sequence[NDArray[np.int64]],
    chosen: Chosen,
    *,
    adder: WordAdder | None = None,
    num_threads: int = 1,
) -> Chosen:
    """What the strengths that were chosen are worth on queries about other things than those fitted.

    Parameters
    ----------
    topics : parts to hold out. adder : that of the choice.
    """
    folds = _of_topics(lists, qrels, topics)
    of_built = [fold.taken(0) for fold in folds]
    if np.isfinite(chosen.strength):
        _of_each(folds, partial(_Fold.fit, strength=chosen.strength), num_threads)
        folds = [fold.taken(-1) for fold in folds]
    if adder is not None and np.isfinite(chosen.added_strength):
        folds = _of_each(folds, partial(_Fold.with_pairs, adder=adder), num_threads)
        _of_each(folds, partial(_Fold.fit, strength=chosen.added_strength), num_threads)
        folds = [fold.taken(-1) for fold in folds]
    return _outcome(lists, of_built, folds, (chosen.strength, chosen.added_strength))


def _drawn_parts(num_lists: int, seed: int) -> list[NDArray[np.int64]]:
    """As many of `FOLDS` parts as hold `ENOUGH` lists or all."""
    parts = np.array_split(np.random.default_rng(seed).permutation(num_lists), FOLDS)
    return [np.sort(part) for part in parts[: max(1, -(-ENOUGH * FOLDS // num_lists))]]


def _of_topics(lists: CandidateLists, qrels: Qrels, topics: Sequence[NDArray[np.int64]]) -> list[_Fold]:
    """Topics held out in turn, without the queries that ask for a document which a fitted query asks for as well, where
    the others are enough to tell.
    """
    folds = [_Fold.of(lists, part, qrels) for part in topics]
    if sum(len(fold.unshared) for fold in folds) < FEWEST_UNSHARED:
        return folds
    return [_Fold.of(lists, fold.numbers, qrels, fold.unshared) for fold in folds if len(fold.unshared)]


def _outcome(
    lists: CandidateLists, of_built: Sequence[_Fold], folds: Sequence[_Fold], strengths: tuple[float, float]
) -> Chosen:
    """What was held out, with the one ridge of each fold before and after."""
    return Chosen(
        *strengths,
        lists.only(np.concatenate([fold.numbers for fold in folds])),
        np.concatenate([fold.tried[0].scores(fold.held_out) for fold in of_built]),
        np.concatenate([fold.tried[0].scores(fold.held_out) for fold in folds]),
        np.concatenate([fold.losses[0] for fold in of_built]),
        np.concatenate([fold.losses[0] for fold in folds]),
        _all_unshared(folds),
    )


def _all_unshared(folds: Sequence[_Fold]) -> NDArray[np.int64]:
    """Numbers of the unshared among all that are held out, one fold after the other."""
    firsts = np.cumsum([0, *(len(fold.held_out) for fold in folds)])
    return np.concatenate([first + fold.unshared for first, fold in zip(firsts, folds, strict=False)])


_T = TypeVar("_T")


def _of_each(folds: list[_Fold], do: Callable[[_Fold, Event], _T], num_threads: int) -> list[_T]:
    """What is done with each part, several at once: most of it is in libraries that let other threads run.

    Where one fails, or a person interrupts, the others are told to stop, and do at their next step.
    """
    stop = Event()
    if num_threads == 1 or len(folds) == 1:
        return [do(fold, stop) for fold in folds]
    with ThreadPoolExecutor(min(num_threads, len(folds))) as pool:
        under_way = [pool.submit(do, fold, stop) for fold in folds]
        try:
            wait(under_way, return_when=FIRST_EXCEPTION)
        finally:
            if not all(part.done() for part in under_way):
                stop.set()
        faults = [fault for part in under_way if (fault := part.exception()) is not None]
        for fault in sorted(faults, key=lambda fault: isinstance(fault, Stopped)):
            raise fault
        return [part.result() for part in under_way]


def _try_strengths(folds: list[_Fold], num_threads: int) -> None:
    """Fit at one strength after the other, each from the solution before, until held-out losses have risen twice."""
    means = [np.concatenate([fold.losses[0] for fold in folds]).mean()]
    for strength in STRENGTHS:
        _of_each(folds, partial(_Fold.fit, strength=strength), num_threads)
        means.append(np.concatenate([fold.losses[-1] for fold in folds]).mean())
        if len(means) > 3 and means[-1] > means[-2] > means[-3]:
            break


def _chosen(folds: list[_Fold], unshared: NDArray[np.int64]) -> int:
    """Number of the strength taken, 0 for none."""
    losses = [np.concatenate(of_folds) for of_folds in zip(*(fold.losses for fold in folds), strict=True)]
    fair = [
        i
        for i, of_one in enumerate(losses)
        if len(unshared) < FEWEST_UNSHARED or not _clearly_less(losses[0][unshared], of_one[unshared])
    ]
    best = min(fair, key=lambda i: float(losses[i].mean()))
    return next(i for i in fair if not _clearly_less(losses[best], losses[i]))


@dataclass(frozen=True, slots=True)
class _Fold:
    """A part that is held out and the rest, with what was fitted to the latter: first nothing, then at each strength.

    numbers : of the lists that are held out, among all.
    losses : of the lists held out, one array for each of `tried`.
    paired : whether it is words to add that are tried, of which there may be none.
    """

    numbers: NDArray[np.int64]
    held_out: CandidateLists
    fitted: CandidateLists
    unshared: NDArray[np.int64]
    tried: list[Ridge]
    losses: list[NDArray[np.float64]]
    paired: bool = False

    @classmethod
    def of(
        cls, lists: CandidateLists, part: NDArray[np.int64], qrels: Qrels, kept: NDArray[np.int64] | None = None
    ) -> _Fold:
        """Without `part`, of which the lists `kept`, or all, are what is looked at."""
        numbers = part if kept is None else part[kept]
        held_out = lists.only(numbers)
        fitted = lists.only(np.setdiff1d(np.arange(len(lists)), part))
        start = unfitted(fitted)
        return cls(numbers, held_out, fitted, _unshared(fitted, held_out, qrels), [start], [start.losses(held_out)])

    def fit(self, stop: Event, strength: float) -> None:
        """Try a strength: of the shares where there are pairs, else of the factors."""
        before = self.tried[-1]
        if self.paired and not before.num_added:
            self.tried.append(before)
        elif self.paired:
            self.tried.append(
                fit_ridge(self.fitted, before, before.strength, strength, tolerance=_TOLERANCE, stop=stop)
            )
        else:
            self.tried.append(fit_ridge(self.fitted, before, strength, tolerance=_TOLERANCE, stop=stop))
        self.losses.append(self.tried[-1].losses(self.held_out))

    def taken(self, number: int) -> _Fold:
        """With one of what was tried alone."""
        return replace(self, tried=[self.tried[number]], losses=[self.losses[number]])

    def with_pairs(self, stop: Event, adder: WordAdder) -> _Fold:
        """With the words that may be added to the one ridge there is, which are not yet."""
        (own,) = self.tried
        pairs = adder.pairs(self.fitted, own, stop)
        held_out, fitted = (adder.extended(lists, pairs, stop) for lists in (self.held_out, self.fitted))
        start = own.with_pairs(len(pairs))
        return _Fold(self.numbers, held_out, fitted, self.unshared, [start], [start.losses(held_out)], paired=True)


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
