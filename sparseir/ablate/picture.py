"""One picture of a grid: quality against active terms, FLOPS and latency, a line a variant and system."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sparseir.ablate.summary import Row, labels
from sparseir.evaluate.report.plots import label_axes

_PANELS = (
    ("document_terms", "active terms of a document"),
    ("flops", "FLOPS: multiply-adds of a query and a document"),
    ("p50_ms", "p50 of a query, ms"),
)


def draw_ablation(rows: Sequence[Row], path: Path, measure: str) -> None:
    """A row of three panels for each collection; bars are the standard deviation over seeds, costs are on a log axis.

    Parameters
    ----------
    rows : of `summary.summarise`; means over collections have no costs and are left out.
    path : PNG, replaced. measure : on the vertical axis.
    """
    from matplotlib.figure import Figure as Canvas

    drawn = [row for row in rows if row.costs]
    datasets = list(dict.fromkeys(row.dataset for row in drawn))
    canvas = Canvas(figsize=(4.4 * len(_PANELS), 3.6 * len(datasets) + 0.5), layout="constrained")
    panels = canvas.subplots(len(datasets), len(_PANELS), sharey="row", squeeze=False)
    named = list(zip(labels(drawn), drawn, strict=True))
    lines = list(dict.fromkeys(name for name, _ in named))
    for dataset, of_dataset in zip(datasets, panels, strict=True):
        for (cost, title), axes in zip(_PANELS, of_dataset, strict=True):
            for place, label in enumerate(lines):
                points = [r for name, r in named if (r.dataset, name) == (dataset, label) and cost in r.costs]
                points.sort(key=lambda r: r.costs[cost].mean)
                axes.errorbar(
                    [r.costs[cost].mean for r in points],
                    [r.measures[measure].mean for r in points],
                    xerr=[r.costs[cost].deviation or 0.0 for r in points],
                    yerr=[r.measures[measure].deviation or 0.0 for r in points],
                    marker="o",
                    markersize=4,
                    color=f"C{place % 10}",
                    linestyle="-" if place < 10 else "--",
                    capsize=2,
                    linewidth=1,
                    label=label,
                )
            label_axes(axes, title, measure if axes is of_dataset[0] else "", dataset)
    canvas.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.savefig(path, dpi=150, format="png")
