"""The table and the JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

MB = 1e6


@dataclass(kw_only=True, slots=True)
class Row:
    """One system at one k. Times in milliseconds a query, medians over rounds (p50, p99: of each query's best round); None where nothing was measured."""

    system: str
    version: str
    k: int
    exact: bool
    note: str = ""
    recall: float | None = None
    cpu_ms: float | None = None
    ratio: float | None = None
    """CPU time over the baseline's, in the same rounds."""
    p50_ms: float | None = None
    p99_ms: float | None = None
    resident_mb: float | None = None
    disk_mb: float | None = None
    build_s: float | None = None
    build_peak_mb: float | None = None
    load_s: float | None = None


COLUMNS = (
    ("recall", "recall", "{:.4f}"),
    ("cpu_ms", "cpu ms", "{:.3f}"),
    ("ratio", "× baseline", "{:.2f}"),
    ("p50_ms", "p50", "{:.3f}"),
    ("p99_ms", "p99", "{:.3f}"),
    ("resident_mb", "resident MB", "{:.0f}"),
    ("disk_mb", "disk MB", "{:.0f}"),
    ("build_s", "build s", "{:.1f}"),
    ("build_peak_mb", "build peak MB", "{:.0f}"),
    ("load_s", "load s", "{:.2f}"),
)


def table(rows: Sequence[Row]) -> str:
    """A Markdown table, fastest first; systems without figures last, with the reason."""
    cells = [["system", *(title for _, title, _ in COLUMNS)]]
    for row in sorted(rows, key=lambda r: (r.cpu_ms is None, r.cpu_ms or 0)):
        name = row.system + ("" if row.exact else " ~")
        if row.note:
            cells.append([name, row.note, *[""] * (len(COLUMNS) - 1)])
            continue
        values = [getattr(row, field) for field, _, _ in COLUMNS]
        cells.append(
            [name, *("–" if v is None else form.format(v) for v, (_, _, form) in zip(values, COLUMNS, strict=True))]
        )
    widths = [max(len(line[i]) for line in cells if len(line[i]) < 24 or i == 0) for i in range(len(cells[0]))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in cells]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(lines)


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows with figures rounded to what the measurement carries."""
    out = []
    for row in rows:
        fields = asdict(row)
        out.append({k: float(f"{v:.5g}") if isinstance(v, float) else v for k, v in fields.items()})
    return out
