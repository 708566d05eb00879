"""One row per system: quality beside cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sparseir.search.runs import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemResult:
    """What one system did on one collection. None: the system has no such figure.

    Parameters
    ----------
    system, dataset, split : what was run on what.
    measures : name → mean over all judged queries.
    num_documents, num_queries : sizes.
    query_terms, document_terms : mean number of active terms.
    flops : expected multiply-adds per query and document (`sparseir.encode.activity.Activity.flops`).
    index_bytes : on disk; build_seconds : vectors (or tokens) to searchable index; encode_seconds : text to vectors.
    p50_ms, p95_ms : latency of one query at k = 10, text to hits, one thread.
    run : the hits themselves; left out of `as_json`.
    """

    system: str
    dataset: str
    split: str
    measures: dict[str, float]
    num_documents: int
    num_queries: int
    query_terms: float | None = None
    document_terms: float | None = None
    flops: float | None = None
    index_bytes: int | None = None
    encode_seconds: float | None = None
    build_seconds: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    run: Run | None = None

    def as_json(self) -> dict[str, Any]:
        """Everything but the run."""
        values = asdict(self)
        del values["run"]
        return values


def table(results: Sequence[SystemResult]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the printed table."""
    names = list(dict.fromkeys(name for r in results for name in r.measures))
    header = ["system", *names, "query terms", "doc terms", "FLOPS", "index", "encode", "build", "p50", "p95"]
    rows = [
        [
            r.system,
            *(_number(r.measures.get(name), "{:.4f}") for name in names),
            _number(r.query_terms, "{:.1f}"),
            _number(r.document_terms, "{:.1f}"),
            _number(r.flops, "{:.2f}"),
            _size(r.index_bytes),
            _number(r.encode_seconds, "{:.1f} s"),
            _number(r.build_seconds, "{:.2f} s"),
            _number(r.p50_ms, "{:.2f} ms"),
            _number(r.p95_ms, "{:.2f} ms"),
        ]
        for r in results
    ]
    return header, rows


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)


def _size(value: int | None) -> str:
    if value is None:
        return "–"
    return f"{value / 1e6:.1f} MB" if value >= 1e5 else f"{value / 1e3:.1f} kB"
