"""`--recall-target` and `--calibrate-on`: tuning approximate search, and the report of what was measured."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparseir.search.calibration.calibration import Calibration
    from sparseir.search.searcher import Searcher


def calibrate_on(searcher: Searcher, path: Path, k: int, *, vectors: bool) -> None:
    """Tune on a file of queries: encoded ones where vectors is set, else texts."""
    from indexer import SparseVectors
    from sparseir.errors import DataError
    from sparseir.search.batches import text_batches, vector_batches

    batches = (vector_batches if vectors else text_batches)(searcher, path)
    parts = [part for _, part in batches]
    if not parts:
        raise DataError("holds no queries to calibrate on", path=path)
    searcher.calibrate(SparseVectors.concatenate(parts), k)


def report(calibrations: list[Calibration], *, json: bool) -> None:
    """What approximate search was tuned to, on stderr: a sentence, or one JSON object, for each k."""
    from json import dumps

    from sparseir.cli.output.console import note

    for c in calibrations:
        note(dumps({"calibration": asdict(c)}) if json else sentence(c))


def sentence(c: Calibration) -> str:
    """The report for a person."""
    sample = f"{c.num_queries} {c.source}"
    advice = "; real queries may differ: --calibrate-on FILE tunes on yours" if "pseudo" in c.source else ""
    if c.knobs is None:
        return f"approximate: searched exactly; nothing faster was shown to reach recall@{c.k} {c.target:g} on {sample}{advice}"
    return (
        f"approximate: recall@{c.k} {c.recall:.4f} of the exact ranking, at least {c.recall_bound:.4f} with 95% confidence "
        f"(target {c.target:g}), in {c.time_ratio:.2f} of the exact time; measured on {sample}, tuned on {c.num_tuned} "
        f"others; bound factor {c.knobs.bound_factor:g}, bound mass {c.knobs.bound_mass:g}{advice}"
    )
