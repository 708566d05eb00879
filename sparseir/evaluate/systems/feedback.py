"""An index that was built for an evaluation, searched once more with words of the first hits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from indexer import open_index
from sparseir.evaluate.judged import JudgedCollection
from sparseir.evaluate.options import EvaluationOptions
from sparseir.evaluate.report.rows import SystemResult
from sparseir.evaluate.systems.indexes import FEEDBACK, StandingIndex
from sparseir.lexical.channel import has_channel
from sparseir.search.query_encoder import ModelQueryEncoder
from sparseir.search.searcher import Searcher


def evaluate_feedback(
    result: SystemResult,
    index_path: Path,
    collection: JudgedCollection,
    options: EvaluationOptions,
    *,
    model: ModelQueryEncoder | None = None,
) -> Iterator[SystemResult]:
    """What the index gives with `options.feedback`, where that is asked for and it has words.

    Parameters
    ----------
    result : of the index without; its costs of encoding and building count for this one too.
    model : that encodes queries, where the index has no table.
    """
    if options.feedback is None or not has_channel(open_index(index_path).query_side):
        return
    searched = StandingIndex(
        result.system + FEEDBACK, index_path, Searcher.open(index_path, model=model), options.feedback
    ).evaluate(collection, options)
    yield replace(
        searched,
        encode_seconds=result.encode_seconds,
        build_seconds=result.build_seconds,
        cpu_seconds=result.cpu_seconds,
        reference=None,
    )
