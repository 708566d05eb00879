"""Means over collections, in which the parts of one collection count as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseir.evaluate.report.rows import SystemResult, Table


@dataclass(frozen=True, slots=True)
class MeanResult:
    """A system's measures, averaged over collections.

    Parameters
    ----------
    system : that ran on all of them. dataset : "mean", or the collection whose parts were averaged.
    collections : names of what was averaged, each with the same weight.
    measures : name → mean.
    """

    system: str
    dataset: str
    collections: tuple[str, ...]
    measures: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        return {
            "system": self.system,
            "dataset": self.dataset,
            "collections": list(self.collections),
            "measures": self.measures,
        }


def means(results: Sequence[SystemResult]) -> list[MeanResult]:
    """For each collection of parts their mean, then, where there are several collections, the mean over them.

    As BEIR reports CQADupStack: its twelve parts are averaged first and count as one. A system that is missing on one of
    the collections has no mean.
    """
    out = []
    units: dict[str, dict[str, dict[str, float]]] = {}  # collection → system → measures
    for unit in dict.fromkeys(r.group or r.dataset for r in results):
        of_unit = [r for r in results if (r.group or r.dataset) == unit]
        parts = list(dict.fromkeys(r.dataset for r in of_unit))
        units[unit] = {}
        for system in dict.fromkeys(r.system for r in of_unit):
            rows = [r.measures for r in of_unit if r.system == system]
            if len(rows) == len(parts):
                units[unit][system] = _mean(rows)
                if of_unit[0].group:
                    out.append(MeanResult(system, unit, tuple(parts), units[unit][system]))
    if len(units) > 1:
        systems = dict.fromkeys(system for unit in units.values() for system in unit)
        for system in systems:
            if all(system in unit for unit in units.values()):
                values = _mean([unit[system] for unit in units.values()])
                out.append(MeanResult(system, "mean", tuple(units), values))
    return out


def _mean(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def mean_table(rows: Sequence[MeanResult]) -> Table:
    """Header and rows of the printed table."""
    names = list(rows[0].measures)
    return ["system", *names], [[r.system, *(f"{r.measures[name]:.4f}" for name in names)] for r in rows]
