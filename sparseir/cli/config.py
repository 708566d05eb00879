"""`sparseir config`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Look at recipes.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Look at recipes."""


@app.command("show")
def show_command(
    config: Annotated[Path, typer.Argument(help="A recipe in YAML.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override one value; repeatable.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object instead of YAML.")] = False,
) -> None:
    """Check a recipe and print it in full, as it would run."""
    from sparseir.cli.console import emit_json
    from sparseir.config.loader import to_mapping, to_yaml
    from sparseir.config.recipe import load_recipe

    recipe = load_recipe(config, overrides or ())
    if json:
        emit_json(to_mapping(recipe))
    else:
        print(to_yaml(recipe), end="")
