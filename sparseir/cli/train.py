"""`sparseir train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from sparseir.cli import arguments as typer
from sparseir.cli.config import Recipe


def train_command(
    config: Recipe,
    output: Annotated[Path, typer.Option(help="Folder for the model, its checkpoints and logs.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override one value; repeatable.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in OUTPUT.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")] = False,
) -> None:
    """Train an encoder.

    examples:
      sparseir train scifact --output model
      sparseir train demo --output model --set data.dataset=path/to/beir-folder
    """
    from sparseir.cli.console import emit_json, progress_bars
    from sparseir.config.recipe import load_recipe
    from sparseir.train import train

    recipe = load_recipe(config, overrides or ())
    with progress_bars() as progress:
        result = train(recipe, output, resume=resume, progress=progress)
    summary = result.summary()
    if json:
        emit_json(summary)
    else:
        for name, value in summary.items():
            print(f"{name}: {value}")
