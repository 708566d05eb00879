"""One row per system: quality beside cost, and the difference to the system it is compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseir.evaluate.references import Check
from sparseir.evaluate.significance import Comparison
from sparseir.search.runs import Run

Table = tuple[list[str], list[list[str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemResult:
    """What one system did on one collection. None: the system has no such figure.

    Parameters
    ----------
    system, dataset, split, group : what was run on what; the collection that this one is a part of, or "".
    measures : name → mean over all judged queries. intervals : name → its 95% bootstrap interval.
    comparisons : name → this system against the one that all are compared with; empty for that one itself.
    num_documents, num_queries : sizes; documents 0 where only runs are judged.
    query_terms, document_terms : mean number of active terms.
    flops : expected multiply-adds per query and document (`sparseir.encode.activity.Activity.flops`).
    index_bytes : on disk; build_seconds : vectors (or tokens) to searchable index; encode_seconds : text to vectors.
    cpu_seconds : processor time of both.
    p50_ms, p95_ms, p99_ms : latency of one query at k = 10, text to hits, one thread. query_cpu_ms : its processor time.
    memory_bytes : largest resident set of the process while queries were answered.
    fuse_weight : of the first system of a convex fusion.
    reference : the figure against what is known of the system on the collection.
    notes : one line on each thing to know about the collection.
    per_query, run : values of single queries in the order of the qids, and hits; left out of `as_json`.
    tuning_run : hits of the development queries.
    """

    system: str
    dataset: str
    split: str
    group: str = ""
    measures: dict[str, float]
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    comparisons: dict[str, Comparison] = field(default_factory=dict)
    num_documents: int
    num_queries: int
    query_terms: float | None = None
    document_terms: float | None = None
    flops: float | None = None
    index_bytes: int | None = None
    encode_seconds: float | None = None
    build_seconds: float | None = None
    cpu_seconds: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    query_cpu_ms: float | None = None
    memory_bytes: int | None = None
    fuse_weight: float | None = None
    reference: Check | None = None
    notes: tuple[str, ...] = ()
    per_query: dict[str, NDArray[np.float64]] = field(default_factory=dict, repr=False)
    run: Run | None = field(default=None, repr=False)
    tuning_run: Run | None = field(default=None, repr=False)

    @property
    def bytes_per_document(self) -> float | None:
        """Of the index."""
        return None if self.index_bytes is None or not self.num_documents else self.index_bytes / self.num_documents

    def as_json(self) -> dict[str, Any]:
        """Everything but runs and values of single queries."""
        # asdict copies deeply, runs with it: they go out first.
        bare = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in _LONG}
        values: dict[str, Any] = {name: _plain(value) for name, value in bare.items()}
        return {**values, "bytes_per_document": self.bytes_per_document}


_LONG = ("per_query", "run", "tuning_run")


def _plain(value: Any) -> Any:
    if isinstance(value, Check | Comparison):
        return asdict(value)
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return list(value) if isinstance(value, tuple) else value


_COSTS: tuple[tuple[str, Callable[[SystemResult], float | None], str], ...] = (
    ("query terms", lambda r: r.query_terms, "{:.1f}"),
    ("doc terms", lambda r: r.document_terms, "{:.1f}"),
    ("FLOPS", lambda r: r.flops, "{:.2f}"),
    ("bytes/doc", lambda r: r.bytes_per_document, "{:,.0f}"),
    ("encode", lambda r: r.encode_seconds, "{:.1f} s"),
    ("build", lambda r: r.build_seconds, "{:.2f} s"),
    ("CPU", lambda r: r.cpu_seconds, "{:.1f} s"),
    ("p50", lambda r: r.p50_ms, "{:.2f} ms"),
    ("p95", lambda r: r.p95_ms, "{:.2f} ms"),
    ("p99", lambda r: r.p99_ms, "{:.2f} ms"),
    ("CPU/query", lambda r: r.query_cpu_ms, "{:.2f} ms"),
    ("memory", lambda r: None if r.memory_bytes is None else r.memory_bytes / 1e6, "{:,.0f} MB"),
)


def table(results: Sequence[SystemResult]) -> Table:
    """Header and rows of the printed table; columns that no system fills are left out."""
    names = list(dict.fromkeys(name for r in results for name in r.measures))
    costs = [column for column in _COSTS if any(column[1](r) is not None for r in results)]
    header = ["system", *names, *(title for title, _, _ in costs)]
    rows = [
        [
            r.system,
            *(_number(r.measures.get(name), "{:.4f}") for name in names),
            *(_number(value(r), form) for _, value, form in costs),
        ]
        for r in results
    ]
    return header, rows


def comparison_table(results: Sequence[SystemResult], measure: str) -> Table:
    """Header and rows of what is significant on one measure; no rows where nothing is compared."""
    header = [measure, "95% interval", "difference", "95% interval", "p", "p (Holm)", "win/tie/loss"]
    rows = []
    for r in results:
        one, interval = r.comparisons.get(measure), r.intervals.get(measure)
        own = "–" if interval is None else f"{interval[0]:.4f}–{interval[1]:.4f}"
        if one is None:
            rows.append([r.system, own, *["–"] * 5])
            continue
        span = f"{one.low:+.4f} … {one.high:+.4f}"
        counts = f"{one.wins}/{one.ties}/{one.losses}"
        rows.append([r.system, own, f"{one.difference:+.4f}", span, f"{one.p:.4f}", f"{one.p_holm:.4f}", counts])
    return header, rows if any(r.comparisons for r in results) else []


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)
