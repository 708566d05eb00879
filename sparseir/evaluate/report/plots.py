"""Pictures of quality against cost, as PNG. matplotlib is imported when one is drawn."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sparseir.errors import MissingExtraError
from sparseir.evaluate.report.rows import SystemResult

logger = logging.getLogger(__name__)

Figure = Callable[[SystemResult], float | None]

PLOTS: tuple[tuple[str, str, Figure], ...] = (
    ("latency", "p50 of a query, ms", lambda r: r.p50_ms),
    ("bytes", "bytes a document", lambda r: r.bytes_per_document),
    ("active-dims", "active terms of a document", lambda r: r.document_terms),
)
"""Name of the file, label of the axis, and what it shows."""


def plot_path(folder: Path, dataset: str, name: str) -> Path:
    """File of a picture; name : that of one of `PLOTS`."""
    return folder / f"{re.sub(r'[^a-zA-Z0-9_.+-]+', '_', dataset)}.{name}.png"


def check_plots() -> None:
    """Before the work: pictures can be drawn.

    Raises
    ------
    MissingExtraError
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise MissingExtraError("matplotlib", "plot", "drawing plots") from None


def draw_plots(results: Sequence[SystemResult], folder: Path, measure: str) -> list[Path]:
    """One picture a cost, of the systems of one collection; a cost that fewer than two of them have is left out.

    Quality has its 95% interval; the axis of the cost is logarithmic.

    Returns
    -------
    The files written, <collection>.<cost>.png.
    """
    from matplotlib.figure import Figure as Canvas  # without pyplot no display is looked for and no state is kept

    written: list[Path] = []
    for name, label, figure in PLOTS:
        points = [(r, cost) for r in results if (cost := figure(r)) and measure in r.measures]
        if len(points) < 2:
            continue
        canvas = Canvas(figsize=(6.4, 4.4), layout="constrained")
        axes = canvas.add_subplot()
        for r, cost in points:
            quality = r.measures[measure]
            low, high = r.intervals.get(measure, (quality, quality))
            around = [[max(0.0, quality - low)], [max(0.0, high - quality)]]
            axes.errorbar([cost], [quality], yerr=around, fmt="o", capsize=3)
            axes.annotate(r.system, (cost, quality), xytext=(6, 4), textcoords="offset points", fontsize=9)
        label_axes(axes, label, measure, f"{results[0].dataset}: {measure} and {label.partition(',')[0]}")
        axes.margins(x=0.25)
        folder.mkdir(parents=True, exist_ok=True)
        path = plot_path(folder, results[0].dataset, name)
        canvas.savefig(path, dpi=150)
        written.append(path)
    if not written:
        logger.warning(
            "%s: nothing to draw in %s: a picture needs two systems whose cost is known, and run files and fusions have none",
            results[0].dataset,
            folder,
        )
    return written


_MOST_WRITTEN = 6
"""Between the ends of an axis whose minor ticks have numbers too."""


def label_axes(axes: Any, cost: str, quality: str, title: str) -> None:
    """Quality upwards, a cost to the right on a logarithmic axis whose numbers are written out; what is drawn stands already."""
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_xscale("log")
    for axis in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        axis("{x:g}")
    low, high = axes.get_xlim()
    if high > _MOST_WRITTEN * low:  # every tick's number would run into the next
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(cost)
    axes.set_ylabel(quality)
    axes.set_title(title)
    axes.grid(alpha=0.3)
