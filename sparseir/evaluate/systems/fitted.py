"""An index that was built for an evaluation, once more with query weights fitted to judgements of another split."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from indexer.progress import Progress, silent
from sparseir.errors import DataError
from sparseir.evaluate.judged import JudgedCollection, logger
from sparseir.evaluate.options import EvaluationOptions
from sparseir.evaluate.report.kept import index_place
from sparseir.evaluate.report.rows import SystemResult
from sparseir.evaluate.systems.feedback import evaluate_feedback
from sparseir.evaluate.systems.indexes import StandingIndex
from sparseir.query_weights import FitOptions, fit_query_weights
from sparseir.search.searcher import Searcher

FITTED = "+fitted"
"""What follows the name of a system whose query weights were fitted."""


def evaluate_fitted(
    result: SystemResult,
    index_path: Path,
    collection: JudgedCollection,
    options: EvaluationOptions,
    *,
    fault: Callable[[str], None],
    keep: bool = True,
    progress: Progress = silent,
) -> Iterator[SystemResult]:
    """What the index gives with fitted weights, where `options.fit` asks for it, and these with feedback; the index itself stays
    as it was built.

    Parameters
    ----------
    result : of the index as it was built; its costs of encoding count for this one too, and those of fitting with the build.
    fault : takes one line where nothing could be fitted, which is no reason to go without the systems that follow.
    keep : put the fitted index where `options.indexes` says.
    """
    if collection.fitting is None:
        return
    name = result.system + FITTED
    place = options if keep else replace(options, indexes=None)
    with index_place(place, collection.name, name, several=True) as copy:
        if copy.exists():
            shutil.rmtree(copy)
        shutil.copytree(index_path, copy)
        start, cpu = time.perf_counter(), time.process_time()
        fitting = collection.fitting
        queries = {query.qid: query.text for query in fitting.queries}
        try:
            report = fit_query_weights(
                copy, queries, fitting.qrels, options=FitOptions(hold_out=options.fit_hold_out), progress=progress
            )
        except DataError as error:
            shutil.rmtree(copy)
            fault(f"{collection.name}, {name}: {error}")
            return
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        if not report.committed:
            line = f"{collection.name}, {name}: held-out queries are no better for other weights, so it is as built"
            logger.warning("%s", line)
            collection.notes.append(line)
        judged = replace(
            StandingIndex(name, copy, Searcher.open(copy)).evaluate(collection, options),
            encode_seconds=result.encode_seconds,
            build_seconds=(result.build_seconds or 0.0) + seconds,
            cpu_seconds=(result.cpu_seconds or 0.0) + cpu,
            reference=None,
        )
        yield judged
        yield from evaluate_feedback(judged, copy, collection, options)
