"""`sparseir ablate`."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from sparseir.cli import arguments
from sparseir.cli.options.flags import Quiet

if TYPE_CHECKING:
    from sparseir.ablate.run import AblationRun
    from sparseir.ablate.summary import Row
    from sparseir.config.ablation import Ablation


def ablate_command(
    grid: Annotated[
        str, arguments.Argument(help="A grid of recipes: a name of configs/ablations, or a YAML file (docs/ablate.md).")
    ],
    output: Annotated[Path, arguments.Option(help="Folder for the cells, ablation.json and ablation.png.")],
    overrides: Annotated[
        list[str] | None,
        arguments.Option(
            "--set",
            metavar="SECTION.KEY=VALUE",
            help="Set a key in all cells; of a key of the grid, its value or [list] of values. Repeatable.",
        ),
    ] = None,
    seeds: Annotated[str | None, arguments.Option(help="Comma-separated, in place of the grid's.")] = None,
    datasets: Annotated[
        str | None, arguments.Option(help="Comma-separated collections to evaluate on, in place of the grid's.")
    ] = None,
    variants: Annotated[str | None, arguments.Option(help="Comma-separated: these variants of the grid alone.")] = None,
    data_dir: Annotated[
        Path | None, arguments.Option(help="Where names of collections are looked for and downloaded to.")
    ] = None,
    dry_run: Annotated[bool, arguments.Option("--dry-run", help="List the cells and what is done of them.")] = False,
    no_plot: Annotated[bool, arguments.Option("--no-plot", help="Draw nothing; needs no matplotlib.")] = False,
    quiet: Quiet = False,
    json: Annotated[bool, arguments.Option("--json", help="One JSON object; with --dry-run one a cell.")] = False,
) -> None:
    """Train and evaluate a grid of recipes over seeds: one table, one JSON and one plot of quality against cost.

    A cell that is finished is not run again, one that was stopped goes on from its checkpoint, and one that fails is named
    at the end (exit code 1) and tried again the next time.

    examples:
      sparseir ablate grid.yaml --output ablation --dry-run
      sparseir ablate matched_sparsity --output ablation --seeds 0 --set train.steps=100
    """
    from sparseir.config.ablation import load_ablation
    from sparseir.config.loader import apply_overrides

    given = [*_data_dir(data_dir), *(overrides or ())]
    with arguments.usage():
        apply_overrides({}, given)  # what is no setting in any recipe
    ablation = load_ablation(
        grid,
        given,
        seeds=None if seeds is None else _numbers(seeds),
        datasets=None if datasets is None else _names("--datasets", datasets),
        variants=None if variants is None else _names("--variants", variants),
    )
    from sparseir.ablate.run import AblationRun
    from sparseir.evaluate.report.plots import check_plots

    if not (no_plot or dry_run):
        check_plots()
    run = AblationRun(ablation, output, data_dir=data_dir)
    if dry_run:
        _list(run, json=json)
        return
    with run.alone():
        _run(run, quiet=quiet)
        rows = _finish(run, plot=not no_plot)
    _give(run, rows, json=json)


def _data_dir(folder: Path | None) -> list[str]:
    """Training looks for its collections where the evaluation does."""
    return [] if folder is None else [f"data.data_dir={json_module.dumps(str(folder))}"]


def _names(option: str, text: str) -> list[str]:
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise arguments.BadParameter(f"{option} is {text!r}; expected names between commas")
    return names


def _numbers(text: str) -> list[int]:
    names = _names("--seeds", text)
    if not all(name.isdecimal() for name in names):
        raise arguments.BadParameter(f"--seeds is {text!r}; expected whole numbers between commas")
    return [int(name) for name in names]


def _list(run: AblationRun, *, json: bool) -> None:
    from sparseir.cli.output.console import counted, emit_json, note, print_table
    from sparseir.config.loader import to_mapping

    cells, baselines = run.ablation.cells, list(run.ablation.baselines)
    if json:
        if baselines:
            emit_json({"baselines": baselines, "state": run.baselines_state()})
        for cell in cells:
            point = dict(cell.point)
            known = {"cell": cell.name, "state": run.state(cell), "variant": cell.variant, "point": point}
            emit_json({**known, "seed": cell.seed, "recipe": to_mapping(cell.recipe)})
        return
    listed = [[c.label, run.state(c), str(run.cell_folder(c))] for c in cells]
    if baselines:
        listed.insert(0, [f"baselines: {', '.join(baselines)}", run.baselines_state(), str(run.folder)])
    print_table("", ["cell", "state", "folder"], listed)
    left = sum(run.state(cell) != "finished" for cell in cells)
    note(f"{counted(len(cells), 'cell')}, {left} to do; nothing was run")


def _run(run: AblationRun, *, quiet: bool) -> None:
    """Every cell that is not finished, one after the other; what there is is written after each."""
    from sparseir.ablate.run import BASELINES
    from sparseir.cli.output.console import counted, note, progress_bars
    from sparseir.train.loop.stopping import TrainingStopped

    cells = run.ablation.cells
    todo = [cell for cell in cells if run.state(cell) != "finished"]
    if not quiet and len(todo) < len(cells):
        note(f"{counted(len(cells) - len(todo), 'cell')} of {len(cells)} finished before")
    if run.baselines_state() != "finished":
        if not quiet:
            note(f"baselines: {', '.join(run.ablation.baselines)}")
        with progress_bars(quiet=quiet) as progress:
            done = run.run_baselines(progress)
        if not done:
            note(f"failed: baselines: {run.faults[BASELINES]}")
    for place, cell in enumerate(todo, 1):
        if not quiet:
            note(f"{place} of {len(todo)}: {cell.label}")
        try:
            with progress_bars(quiet=quiet) as progress:
                done = run.run(cell, progress)
        except TrainingStopped as stopped:
            note(f"{stopped}; go on with the same command")
            raise SystemExit(1) from None
        if done:
            _write(run)
        else:
            note(f"failed: {cell.label}: {run.faults[cell.name]}")


def _finish(run: AblationRun, *, plot: bool) -> list[Row]:
    """The rows there are, written and drawn."""
    from sparseir.ablate.picture import draw_ablation

    rows = _write(run)
    if plot and rows:
        draw_ablation(rows, run.folder / "ablation.png", run.ablation.measures[0])
    return rows


def _write(run: AblationRun) -> list[Row]:
    from sparseir.ablate.summary import summarise

    rows = summarise(run.ablation, run.finished(), run.baselines())
    path = run.folder / "ablation.json"
    partial = path.with_name(f".{path.name}")
    partial.write_text(json_module.dumps(_summary(run, rows), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)
    return rows


def _summary(run: AblationRun, rows: list[Row]) -> dict[str, Any]:
    from sparseir.ablate.run import BASELINES
    from sparseir.config.loader import to_mapping

    ablation: Ablation = run.ablation
    labels = {cell.name: cell.label for cell in ablation.cells} | {BASELINES: BASELINES}
    return {
        "ablation": ablation.name,
        "grid": dict(ablation.grid),
        "variants": dict(ablation.variants),
        "seeds": list(ablation.seeds),
        "datasets": list(ablation.datasets),
        "split": ablation.split,
        "max_active_dims": ablation.max_active_dims,
        "baselines": list(ablation.baselines),
        "lexical": None if ablation.lexical is None else to_mapping(ablation.lexical),
        "feedback": ablation.feedback,
        "fit": ablation.fit,
        "against": ablation.against,
        "cells": len(ablation.cells),
        "finished": len(run.finished()),
        "failed": [{"cell": labels[name], "error": text} for name, text in run.faults.items()],
        "rows": [row.as_json() for row in rows],
    }


def _give(run: AblationRun, rows: list[Row], *, json: bool) -> None:
    from sparseir.ablate.summary import ablation_table
    from sparseir.cli.output.console import emit_json, print_table
    from sparseir.errors import SparseIRError

    if json:
        emit_json(_summary(run, rows))
    else:
        for dataset in dict.fromkeys(row.dataset for row in rows):
            of_it = [row for row in rows if row.dataset == dataset]
            against = next((row.comparison.against for row in of_it if row.comparison), None)
            at = " at the same point" if against in run.ablation.variants else ""
            title = dataset if against is None else f"{dataset}; difference and p against {against}{at}"
            print_table(title, *ablation_table(of_it, run.ablation.measures))
    if run.faults:
        cells = sum(cell.name in run.faults for cell in run.ablation.cells)
        failed = [f"{cells} of {len(run.ablation.cells)} cells"] if cells else []
        failed += ["baselines"] if len(run.faults) > cells else []
        raise SparseIRError(f"{' and '.join(failed)} failed; the others stand, and the same command tries these again")
