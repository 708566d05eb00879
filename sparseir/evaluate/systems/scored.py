"""From something that answers queries, or their run, to the row of a system."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from sparseir.data.records import Query
from sparseir.evaluate.collections import without_split
from sparseir.evaluate.judged import JudgedCollection
from sparseir.evaluate.measures import measured
from sparseir.evaluate.options import EvaluationOptions
from sparseir.evaluate.references import check
from sparseir.evaluate.report.rows import SystemResult
from sparseir.evaluate.significance import bootstrap_interval
from sparseir.evaluate.systems.costs import QueryCosts
from sparseir.search.runs import Run

Answers = Callable[[list[Query], int], Run]
"""Queries and a depth to their hits."""


def scored(
    system: str,
    collection: JudgedCollection,
    answers: Answers,
    options: EvaluationOptions,
    costs: QueryCosts | None = None,
    **figures: Any,
) -> SystemResult:
    """Ask the judged queries, and the development queries where there are any, and measure the hits.

    Parameters
    ----------
    figures : further fields of `SystemResult`.
    """

    def run_for(asked: JudgedCollection) -> Run:
        return asked.without_own(answers(asked.queries, options.k + asked.depth_more), options.k)

    tuning_run = None if collection.tuning is None else run_for(collection.tuning)
    if costs is not None:
        figures |= asdict(costs)
    return scored_run(system, collection, run_for(collection), options, tuning_run=tuning_run, **figures)


def scored_run(
    system: str, collection: JudgedCollection, run: Run, options: EvaluationOptions, **figures: Any
) -> SystemResult:
    """Measure a run."""
    found = measured(collection.qrels, run, options.measures)
    size = len(collection.documents), len(collection.qrels)
    return SystemResult(
        system=system,
        dataset=collection.name,
        split=collection.split,
        group=collection.group,
        measures=found.means,
        intervals={
            name: bootstrap_interval(values, resamples=options.resamples, seed=options.seed)
            for name, values in found.per_query.items()
        },
        num_documents=size[0],
        num_queries=size[1],
        reference=check(without_split(collection.name, collection.split), collection.split, *size, system, found.means),
        notes=tuple(collection.notes),
        per_query=found.per_query,
        run=run,
        **figures,
    )
