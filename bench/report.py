"""The table and the JSON; as a program, the tables of a page from saved results.

    python -m bench.report docs/benchmarks.md bench/results/*.json

replaces the tables between `<!-- table DATASET k=K -->` and `<!-- end -->`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
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
    queries: int = 0
    recall: float | None = None
    cpu_ms: float | None = None
    ratio: float | None = None
    """CPU time over the baseline's, in the same rounds."""
    p50_ms: float | None = None
    p99_ms: float | None = None
    resident_mb: float | None = None
    disk_mb: float | None = None
    build_s: float | None = None
    """Wall time; build_cpu_s is the process's CPU time, which other work on the machine disturbs less."""
    build_cpu_s: float | None = None
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
    ("build_cpu_s", "build cpu s", "{:.1f}"),
    ("build_peak_mb", "build peak MB", "{:.0f}"),
    ("load_s", "load s", "{:.2f}"),
    ("queries", "queries", "{}"),
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


def render(page: str, records: Sequence[dict[str, Any]]) -> str:
    """The page with every table it asks for filled from the records of that dataset."""
    by_name: dict[str, list[Row]] = {}
    for record in records:
        by_name.setdefault(record["dataset"], []).extend(Row(**row) for row in record["rows"])

    def fill(match: re.Match[str]) -> str:
        rows = [row for row in by_name.get(match["dataset"], []) if row.k == int(match["k"])]
        return f"{match['head']}\n\n{table(rows)}\n\n<!-- end -->" if rows else match[0]

    marked = r"(?P<head><!-- table (?P<dataset>\S+) k=(?P<k>\d+) -->).*?<!-- end -->"
    return re.sub(marked, fill, page, flags=re.DOTALL)


def main() -> None:
    target, *sources = map(Path, sys.argv[1:])
    records = [json.loads(source.read_text(encoding="utf-8")) for source in sources]
    # Other benchmarks keep their figures beside these.
    records = [record for record in records if isinstance(record, dict) and "rows" in record]
    target.write_text(render(target.read_text(encoding="utf-8"), records), encoding="utf-8")


if __name__ == "__main__":
    main()
