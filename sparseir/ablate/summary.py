"""What the seeds of a cell have in common: means and deviations, and whether variants differ at equal points."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from sparseir.config.ablation import MODEL, Ablation, plain
from sparseir.errors import DataError
from sparseir.evaluate.references import BM25
from sparseir.evaluate.report.means import means
from sparseir.evaluate.report.rows import SystemResult, Table
from sparseir.evaluate.significance import Comparison, Values, compare
from sparseir.evaluate.systems.baselines import DENSE

COSTS = (
    "document_terms", "query_terms", "flops", "bytes_per_document", "p50_ms", "p95_ms", "encode_seconds"
)  # fmt: skip
"""Figures of `SystemResult` beside the measures that are averaged over seeds."""

_BASELINE_NAMES = {"bm25": BM25, "dense": DENSE}


class Spread(NamedTuple):
    """Mean over seeds, and their standard deviation (n − 1); None of a single seed."""

    mean: float
    deviation: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A system of a variant at a point of the grid, or a baseline, on one collection.

    Parameters
    ----------
    variant, point, dataset : which; a baseline is of no variant, at no point.
    system : `MODEL`, the same with what was done beside it (+lexical, +feedback, +fitted), or the name of a baseline.
    seeds : those that are in; none of a baseline.
    measures : name → over seeds. costs : name of `COSTS` → over seeds, where measured.
    comparison : the first measure against what it is compared with, at the same point; the values of a query are averaged
        over the seeds of each.
    """

    variant: str
    system: str
    point: Mapping[str, Any]
    dataset: str
    seeds: tuple[int, ...]
    measures: Mapping[str, Spread]
    costs: Mapping[str, Spread] = field(default_factory=dict)
    comparison: Comparison | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            **{name: getattr(self, name) for name in ("variant", "system", "dataset")},
            "point": dict(self.point),
            "seeds": list(self.seeds),
            "measures": {name: one._asdict() for name, one in self.measures.items()},
            "costs": {name: one._asdict() for name, one in self.costs.items()},
            "comparison": None if self.comparison is None else asdict(self.comparison),
        }


@dataclass(frozen=True, slots=True)
class Finished:
    """The results of a finished cell: a row for each collection and system, as `AblationRun.finished` gives them."""

    variant: str
    point: Mapping[str, Any]
    seed: int
    rows: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, eq=False)
class _Contender:
    """What is averaged over seeds: a system of a variant at a point, or a baseline, which no seed changes."""

    variant: str
    system: str
    point: Mapping[str, Any]
    rows: Mapping[int, Sequence[Mapping[str, Any]]]
    trained: bool = True

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(self.rows) if self.trained else ()

    def on(self, dataset: str) -> list[Mapping[str, Any]]:
        """A row of each seed that has one."""
        return [row for rows in self.rows.values() for row in rows if row["dataset"] == dataset]


def summarise(
    ablation: Ablation, finished: Sequence[Finished], baselines: Sequence[Mapping[str, Any]] = ()
) -> list[Row]:
    """A row for each collection, point, variant and system of which a seed is finished, and the mean over collections.

    Parameters
    ----------
    baselines : a row for each collection and system that no cell trained.

    Raises
    ------
    DataError : systems were judged on other queries than others, of a collection that changed between.
    """
    measure, contenders, out = ablation.measures[0], _contenders(ablation, finished, baselines), list[Row]()
    for dataset in dict.fromkeys(row["dataset"] for c in contenders for rows in c.rows.values() for row in rows):
        here = {c: rows for c in contenders if (rows := c.on(dataset))}
        qids = list(next(iter(here.values()))[0]["per_query"][measure])
        values = {c: np.mean([_of_queries(row, measure, qids) for row in rows], axis=0) for c, rows in here.items()}
        found = _comparisons(ablation, values)
        out += [replace(_row(c, dataset, rows), comparison=found.get(c)) for c, rows in here.items()]
    return out + _means(ablation, contenders)


def _of_queries(row: Mapping[str, Any], measure: str, qids: Sequence[str]) -> Values:
    """The values of these queries, in their order."""
    found = row["per_query"][measure]
    if found.keys() != set(qids):
        raise DataError(
            f"{row['dataset']}: {row['system']} was judged on {len(found)} queries that are not the {len(qids)} of another system, "
            f"so the collection is not what it was; remove the cells' results.json and baselines.json to judge all again"
        )
    return np.array([found[qid] for qid in qids], np.float64)


def _contenders(
    ablation: Ablation, finished: Sequence[Finished], baselines: Sequence[Mapping[str, Any]]
) -> list[_Contender]:
    """Baselines, then the systems of each variant, point by point."""
    out = [
        _Contender("", system, {}, {0: [row for row in baselines if row["system"] == system]}, trained=False)
        for system in dict.fromkeys(row["system"] for row in baselines)
    ]
    for point in _points(finished):
        for variant in ablation.variants:
            cells = [c for c in finished if c.variant == variant and c.point == point]
            for system in dict.fromkeys(row["system"] for cell in cells for row in cell.rows):
                rows = {c.seed: [row for row in c.rows if row["system"] == system] for c in cells}
                out.append(_Contender(variant, system, point, rows))
    return out


def _comparisons(ablation: Ablation, values: Mapping[_Contender, Values]) -> dict[_Contender, Comparison]:
    """Every contender against its reference; Holm's correction is over all that have the same."""
    groups: dict[_Contender, list[_Contender]] = {}
    for one in values:
        for other in values:
            if other is not one and _is_reference(ablation, other, of=one):
                groups.setdefault(other, []).append(one)
    out: dict[_Contender, Comparison] = {}
    for reference, others in groups.items():
        named = {str(place): values[c] for place, c in enumerate([reference, *others])}
        found = compare(named, "0")
        out |= {c: replace(found[str(place)], against=ablation.against) for place, c in enumerate(others, 1)}
    return out


def _is_reference(ablation: Ablation, candidate: _Contender, *, of: _Contender) -> bool:
    """Whether a contender is compared with the candidate.

    Against a variant, a system is compared with that variant's, at the same point. Against `MODEL`, what stands beside a
    model is compared with that model alone. Against a baseline, everything is compared with it.
    """
    against = ablation.against
    if against in _BASELINE_NAMES and against not in ablation.variants:
        return not candidate.trained and candidate.system == _BASELINE_NAMES[against]
    if not (candidate.trained and of.trained) or candidate.point != of.point:
        return False
    if against in ablation.variants:
        return (candidate.variant, candidate.system) == (against, of.system)
    return (candidate.variant, candidate.system) == (of.variant, MODEL)


def _points(finished: Sequence[Finished]) -> list[Mapping[str, Any]]:
    out: list[Mapping[str, Any]] = []
    for cell in finished:
        if cell.point not in out:
            out.append(cell.point)
    return out


def _row(contender: _Contender, dataset: str, rows: Sequence[Mapping[str, Any]]) -> Row:
    return Row(
        variant=contender.variant,
        system=contender.system,
        point=contender.point,
        dataset=dataset,
        seeds=contender.seeds,
        measures={name: _spread(r["measures"][name] for r in rows) for name in rows[0]["measures"]},
        costs={name: _spread(r[name] for r in rows) for name in COSTS if all(r[name] is not None for r in rows)},
    )


def _spread(values: Iterable[float]) -> Spread:
    numbers = list(values)
    return Spread(float(np.mean(numbers)), float(np.std(numbers, ddof=1)) if len(numbers) > 1 else None)


def _means(ablation: Ablation, contenders: Sequence[_Contender]) -> list[Row]:
    """Over collections, seed by seed, the parts of one collection as one; as `evaluate` averages them."""
    out = []
    for contender in contenders:
        made: dict[str, list[dict[str, float]]] = {}
        for rows in contender.rows.values():
            for mean in means([_as_result(row) for row in rows]):
                made.setdefault(mean.dataset, []).append(mean.measures)
        for dataset, of_seeds in made.items():
            spreads = {name: _spread(m[name] for m in of_seeds) for name in ablation.measures}
            one = Row(
                variant=contender.variant,
                system=contender.system,
                point=contender.point,
                dataset=dataset,
                seeds=contender.seeds,
                measures=spreads,
            )
            out.append(one)
    return sorted(out, key=lambda row: row.dataset)


def _as_result(row: Mapping[str, Any]) -> SystemResult:
    names = ("system", "dataset", "split", "group", "measures", "num_documents", "num_queries")
    return SystemResult(**{name: row[name] for name in names})


def ablation_table(rows: Sequence[Row], measures: Sequence[str]) -> Table:
    """Header and rows of the printed table of one collection."""
    points = list(dict.fromkeys(key for row in rows for key in row.point))
    costs = [name for name in COSTS if any(name in row.costs for row in rows)]
    compared = any(row.comparison for row in rows)
    named = [*(["variant"] if any(row.variant for row in rows) else []), *(["system"] if _several(rows) else [])]
    header = [*(named or ["variant"]), *(key.rpartition(".")[2] for key in points), *measures]
    header += [*(_TITLES[name] for name in costs), "seeds", *(["difference", "p (Holm)"] if compared else [])]
    out = []
    for row in rows:
        cells = [getattr(row, name) or "–" for name in named or ["variant"]]
        cells += [plain(row.point[key]) if key in row.point else "–" for key in points]
        cells += [_shown(row.measures[name], ".4f") for name in measures]
        cells += [_shown(row.costs[name], _FORMS[name]) if name in row.costs else "–" for name in costs]
        cells.append(str(len(row.seeds) or "–"))
        if compared:
            one = row.comparison
            cells += ["–", "–"] if one is None else [f"{one.difference:+.4f}", f"{one.p_holm:.4f}"]
        out.append(cells)
    return header, out


def labels(rows: Sequence[Row]) -> list[str]:
    """A name for each row in a picture: variant and system, as far as they differ."""
    several = _several(rows)
    return [" ".join(filter(None, (row.variant, row.system if several else ""))) or "grid" for row in rows]


def _several(rows: Sequence[Row]) -> bool:
    return len({row.system for row in rows}) > 1


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
