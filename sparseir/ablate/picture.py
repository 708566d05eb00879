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

_MARKERS = "os^Dv<>pP*Xhd"
"""One a system; variants differ in colour, and where there are none, so do systems."""


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
    lines = dict(zip(((row.variant, row.system) for row in drawn), labels(drawn), strict=True))
    variants, systems = (list(dict.fromkeys(names)) for names in zip(*lines, strict=True))
    for dataset, of_dataset in zip(datasets, panels, strict=True):
        for (cost, title), axes in zip(_PANELS, of_dataset, strict=True):
            for (variant, system), label in lines.items():
                of_line = (dataset, variant, system)
                points = [r for r in drawn if (r.dataset, r.variant, r.system) == of_line and cost in r.costs]
                points.sort(key=lambda r: r.costs[cost].mean)
                colour = variants.index(variant) if len(set(variants) - {""}) > 1 else systems.index(system)
                axes.errorbar(
                    [r.costs[cost].mean for r in points],
                    [r.measures[measure].mean for r in points],
                    xerr=[r.costs[cost].deviation or 0.0 for r in points],
                    yerr=[r.measures[measure].deviation or 0.0 for r in points],
                    marker=_MARKERS[systems.index(system) % len(_MARKERS)],
                    markersize=4,
                    color=f"C{colour % 10}",
                    linestyle="-" if colour < 10 else "--",
                    capsize=2,
                    linewidth=1,
                    label=label,
                )
            label_axes(axes, title, measure if axes is of_dataset[0] else "", dataset)
    canvas.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.savefig(path, dpi=150, format="png")
