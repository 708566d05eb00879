"""Runs as one: by ranks, or two by scores with a weight that development queries may choose."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from sparseir.data.records import Qrels
from sparseir.evaluate.measures import measure
from sparseir.search.runs import Run, decreasing_run

WEIGHTS = tuple(i / 20 for i in range(21))
"""What `tuned_weight` tries."""


def reciprocal_ranks(*runs: Run, k: int, constant: int = 60) -> Run:
    """Reciprocal rank fusion: score(d) = Σ over runs 1 / (constant + rank(d)); ties by docno.

    Source: Cormack, Clarke and Büttcher 2009.
    """

    def scores(hits: dict[str, float]) -> dict[str, float]:
        ranked = sorted(hits.items(), key=lambda item: -item[1])
        return {docno: 1.0 / (constant + rank) for rank, (docno, _) in enumerate(ranked, 1)}

    return _summed([(run, scores) for run in runs], k)


def convex(first: Run, second: Run, *, weight: float, k: int) -> Run:
    """score(d) = weight · n₁(d) + (1 − weight) · n₂(d), n = (score − least) / (largest − least) over a query's hits.

    A document that a run does not hold has n = 0 there, and the hits of a run that are all equal have n = 1; ties by
    docno.

    Source: Bruch, Gai and Ingber 2023, arXiv:2210.11934.

    Parameters
    ----------
    weight : of the first run, 0..1.
    """

    def scaled(weight: float) -> Callable[[dict[str, float]], dict[str, float]]:
        def scores(hits: dict[str, float]) -> dict[str, float]:
            if not hits:
                return {}
            least, largest = min(hits.values()), max(hits.values())
            width = largest - least
            return {docno: weight * ((score - least) / width if width else 1.0) for docno, score in hits.items()}

        return scores

    return _summed([(first, scaled(weight)), (second, scaled(1 - weight))], k)


def tuned_weight(first: Run, second: Run, qrels: Qrels, *, measure_name: str, k: int) -> float:
    """The weight of `WEIGHTS` with the best mean on development queries; among equals the one nearest to .5.

    Parameters
    ----------
    first, second : runs of the development queries, never of those that are judged afterwards.
    """
    values = [measure(qrels, convex(first, second, weight=w, k=k), [measure_name])[measure_name] for w in WEIGHTS]
    best = np.flatnonzero(np.array(values) >= max(values) - 1e-12)
    return WEIGHTS[min(best.tolist(), key=lambda i: abs(WEIGHTS[i] - 0.5))]


_Scores = Callable[[dict[str, float]], dict[str, float]]


def _summed(parts: Sequence[tuple[Run, _Scores]], k: int) -> Run:
    """Sums over runs of what each brings to a document; of equal sums the smaller docno first."""
    fused: Run = {}
    for qid in {qid: None for run, _ in parts for qid in run}:
        total: dict[str, float] = {}
        for run, scores in parts:
            for docno, score in scores(run.get(qid, {})).items():
                total[docno] = total.get(docno, 0.0) + score
        fused[qid] = dict(sorted(total.items(), key=lambda item: (-item[1], item[0]))[:k])
    return decreasing_run(fused)
