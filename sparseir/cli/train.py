"""`sparseir train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from sparseir.cli import arguments
from sparseir.cli.options.flags import Quiet


def train_command(
    output: Annotated[Path, arguments.Option(help="Folder for the model, its checkpoints and logs.")],
    config: Annotated[
        str | None,
        arguments.Argument(
            help="A recipe: a name of `sparseir config list`, a YAML file, or the folder of a model. With --resume it may be "
            "left out: OUTPUT holds it."
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None, arguments.Option("--set", metavar="SECTION.KEY=VALUE", help="Override one value; repeatable.")
    ] = None,
    resume: Annotated[
        bool, arguments.Option("--resume", help="Go on from the last checkpoint in OUTPUT; with more train.steps, too.")
    ] = False,
    quiet: Quiet = False,
    json: Annotated[bool, arguments.Option("--json", help="Print the summary as one JSON object.")] = False,
) -> None:
    """Train an encoder.

    examples:
      sparseir train scifact --output model
      sparseir train demo --output model --set data.dataset=path/to/beir-folder
    """
    from sparseir.cli.options.recipes import check_settings, chosen_recipe
    from sparseir.cli.output.console import emit_json, note, progress_bars

    check_settings(overrides)
    if config is None and not resume:
        raise arguments.BadParameter("name a recipe, one of `sparseir config list` or a file; or go on with --resume")
    if config is not None:
        recipe = chosen_recipe(config, overrides)  # its faults come before torch is imported
    from sparseir.train import train
    from sparseir.train.loop.folder import saved_recipe
    from sparseir.train.loop.stopping import TrainingStopped

    if config is None:
        recipe = saved_recipe(output, overrides or ())
    with progress_bars(quiet=quiet) as progress:
        try:
            result = train(recipe, output, resume=resume, progress=progress)
        except TrainingStopped as stopped:
            note(f"{stopped}; go on with: sparseir train --resume --output {output}")
            raise SystemExit(1) from None
    if result.note:
        note(result.note)
    summary = result.summary()
    if json:
        emit_json({**summary, **({"note": result.note} if result.note else {})})
    else:
        for name, value in summary.items():
            print(f"{name}: {value}")
