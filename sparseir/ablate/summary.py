"""What the seeds of a cell have in common: means and deviations, and whether variants differ at equal points."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from sparseir.config.ablation import Ablation, plain
from sparseir.evaluate.report.means import means
from sparseir.evaluate.report.rows import SystemResult, Table
from sparseir.evaluate.significance import Comparison, compare

COSTS = (
    "document_terms", "query_terms", "flops", "bytes_per_document", "p50_ms", "p95_ms", "encode_seconds"
)  # fmt: skip
"""Figures of `SystemResult` beside the measures that are averaged over seeds."""


class Spread(NamedTuple):
    """Mean over seeds, and their standard deviation (n − 1); None of a single seed."""

    mean: float
    deviation: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A variant at a point of the grid, on one collection.

    Parameters
    ----------
    variant, point, dataset : which. seeds : those that are in.
    measures : name → over seeds. costs : name of `COSTS` → over seeds, where measured.
    comparison : the first measure against the variant that all are compared with, at the same point; the values of a query
        are averaged over the seeds of each.
    """

    variant: str
    point: Mapping[str, Any]
    dataset: str
    seeds: tuple[int, ...]
    measures: Mapping[str, Spread]
    costs: Mapping[str, Spread] = field(default_factory=dict)
    comparison: Comparison | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            **{name: getattr(self, name) for name in ("variant", "dataset")},
            "point": dict(self.point),
            "seeds": list(self.seeds),
            "measures": {name: one._asdict() for name, one in self.measures.items()},
            "costs": {name: one._asdict() for name, one in self.costs.items()},
            "comparison": None if self.comparison is None else asdict(self.comparison),
        }


@dataclass(frozen=True, slots=True)
class Finished:
    """The results of a finished cell: a row for each collection, as `AblationRun.results` gives them."""

    variant: str
    point: Mapping[str, Any]
    seed: int
    rows: Sequence[Mapping[str, Any]]


def summarise(ablation: Ablation, finished: Sequence[Finished]) -> list[Row]:
    """A row for each collection, point and variant of which a seed is finished, and the mean over collections."""
    measure, out = ablation.measures[0], list[Row]()
    for dataset in dict.fromkeys(row["dataset"] for cell in finished for row in cell.rows):
        for point in _points(finished):
            made: dict[str, Row] = {}
            values: dict[str, np.ndarray] = {}
            for variant in ablation.variants:
                cells = [c for c in finished if c.variant == variant and c.point == point]
                of_seeds = {c.seed: row for c in cells for row in c.rows if row["dataset"] == dataset}
                if of_seeds:
                    made[variant] = _row(variant, point, dataset, of_seeds)
                    values[variant] = np.mean(
                        [list(r["per_query"][measure].values()) for r in of_seeds.values()], axis=0
                    )
            found = compare(values, ablation.against) if ablation.against in values and len(values) > 1 else {}
            out += [replace(row, comparison=found.get(variant)) for variant, row in made.items()]
    return out + _means(ablation, finished)


def _points(finished: Sequence[Finished]) -> list[Mapping[str, Any]]:
    out: list[Mapping[str, Any]] = []
    for cell in finished:
        if cell.point not in out:
            out.append(cell.point)
    return out


def _row(variant: str, point: Mapping[str, Any], dataset: str, of_seeds: Mapping[int, Mapping[str, Any]]) -> Row:
    rows = list(of_seeds.values())
    return Row(
        variant=variant,
        point=point,
        dataset=dataset,
        seeds=tuple(of_seeds),
        measures={name: _spread(r["measures"][name] for r in rows) for name in rows[0]["measures"]},
        costs={name: _spread(r[name] for r in rows) for name in COSTS if all(r[name] is not None for r in rows)},
    )


def _spread(values: Iterable[float]) -> Spread:
    numbers = list(values)
    return Spread(float(np.mean(numbers)), float(np.std(numbers, ddof=1)) if len(numbers) > 1 else None)


def _means(ablation: Ablation, finished: Sequence[Finished]) -> list[Row]:
    """Over collections, seed by seed, the parts of one collection as one; as `evaluate` averages them."""
    made: dict[tuple[int, str, str], dict[int, dict[str, float]]] = {}
    points = _points(finished)
    for cell in finished:
        results = [_as_result(row) for row in cell.rows]
        for mean in means(results):
            key = (points.index(cell.point), cell.variant, mean.dataset)
            made.setdefault(key, {})[cell.seed] = mean.measures
    order = list(ablation.variants)
    return [
        Row(
            variant=variant,
            point=points[place],
            dataset=dataset,
            seeds=tuple(of_seeds),
            measures={name: _spread(m[name] for m in of_seeds.values()) for name in ablation.measures},
        )
        for (place, variant, dataset), of_seeds in sorted(
            made.items(), key=lambda item: (item[0][2], item[0][0], order.index(item[0][1]))
        )
    ]


def _as_result(row: Mapping[str, Any]) -> SystemResult:
    names = ("dataset", "split", "group", "measures", "num_documents", "num_queries")
    return SystemResult(system="", **{name: row[name] for name in names})


def ablation_table(rows: Sequence[Row], measures: Sequence[str]) -> Table:
    """Header and rows of the printed table of one collection."""
    points = list(rows[0].point)
    costs = [name for name in COSTS if any(name in row.costs for row in rows)]
    compared = any(row.comparison for row in rows)
    header = ["variant", *(key.rpartition(".")[2] for key in points), *measures, *(_TITLES[name] for name in costs)]
    header += ["seeds", *(["difference", "p (Holm)"] if compared else [])]
    out = []
    for row in rows:
        cells = [row.variant or "–", *(plain(row.point[key]) for key in points)]
        cells += [_shown(row.measures[name], ".4f") for name in measures]
        cells += [_shown(row.costs[name], _FORMS[name]) if name in row.costs else "–" for name in costs]
        cells.append(str(len(row.seeds)))
        if compared:
            one = row.comparison
            cells += ["–", "–"] if one is None else [f"{one.difference:+.4f}", f"{one.p_holm:.4f}"]
        out.append(cells)
    return header, out


_TITLES = {
    "document_terms": "doc terms", "query_terms": "query terms", "flops": "FLOPS", "bytes_per_document": "bytes/doc",
    "p50_ms": "p50, ms", "p95_ms": "p95, ms", "encode_seconds": "encode, s",
}  # fmt: skip
_FORMS = {
    "document_terms": ".1f", "query_terms": ".1f", "flops": ".2f", "bytes_per_document": ",.0f", "p50_ms": ".2f",
    "p95_ms": ".2f", "encode_seconds": ".1f",
}  # fmt: skip


def _shown(spread: Spread, form: str) -> str:
    deviation = "" if spread.deviation is None else f" ± {spread.deviation:{form}}"
    return f"{spread.mean:{form}}{deviation}"
