"""The folder a run writes to: fresh, or one it was stopped in."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import TrainerControl, TrainerState
from transformers.trainer import TRAINER_STATE_NAME

from indexer.interchange.jsonl.text import json_value
from sparseir.config.loader import read_yaml, to_mapping, to_yaml
from sparseir.config.recipe import Recipe, differences, load_recipe
from sparseir.config.recipes import RECIPE_FILE
from sparseir.errors import ConfigError, DataError
from sparseir.train.loop.parallel import world
from sparseir.train.loop.record import RunRecord, read_finished

logger = logging.getLogger(__name__)

CHANGEABLE = (
    "data.data_dir", "data.terms_of_use", "data.workers", "loss.teacher_cache", "train.chunk_size", "train.device", "train.early_stop",
    "train.evaluate_every", "train.keep_checkpoints", "train.log_every", "train.max_minutes", "train.save_every",
    "train.save_minutes", "train.steps",
)  # fmt: skip
"""What may be another in a resumed run: how long it is, what it writes when, and where it runs."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where a run begins.

    Parameters
    ----------
    recipe : that of the run.
    checkpoint : to go on from; None: from the start.
    finished : the run that the folder holds is over, and nothing is left to do.
    changed : the recipe is no longer the one in the folder.
    """

    checkpoint: Path | None = None
    finished: RunRecord | None = None
    changed: bool = False


def saved_recipe(output: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe of the run in a folder, with `section.key=value` overrides applied.

    Raises
    ------
    ConfigError : the folder holds none.
    """
    if not (output / RECIPE_FILE).exists():
        raise ConfigError(f"nothing to resume in {output}: it holds no {RECIPE_FILE}")
    return load_recipe(output, overrides)


def save_recipe(recipe: Recipe, output: Path) -> None:
    """Write the recipe of a run into its folder."""
    (output / RECIPE_FILE).write_text(to_yaml(recipe), encoding="utf-8")


def prepare_folder(recipe: Recipe, output: Path, *, resume: bool) -> Start:
    """Where to begin: in a clean folder, or where the run in it stopped.

    Raises
    ------
    ConfigError : the folder is in use, holds a run of another recipe, or none to go on with.
    DataError : the position that the newest checkpoint states cannot be read.
    """
    saved = output / RECIPE_FILE
    if not resume:
        if world()[0] == 0:
            # A recipe alone is what a run leaves that failed before its first step: on its data, say, since mended.
            if output.exists() and any(path.name != RECIPE_FILE for path in output.iterdir()):
                raise ConfigError(f"output folder {output} is not empty; name another one, or resume the run in it")
            output.mkdir(parents=True, exist_ok=True)
            save_recipe(recipe, output)
        return Start()
    saved_recipe(output)  # whole, before it is compared
    found = differences(read_yaml(saved), to_mapping(recipe))
    fixed = [f"{key}: {old!r} → {new!r}" for key, (old, new) in found.items() if key not in CHANGEABLE]
    if fixed:
        raise ConfigError(
            f"{output} was started with another recipe; a resumed run may change {', '.join(CHANGEABLE)} alone. "
            f"Changed: {'; '.join(fixed)}"
        )
    finished, checkpoint = read_finished(output), _newest_checkpoint(output)
    if finished is not None and not _goes_on(recipe, finished, found):
        return Start(checkpoint, finished)
    if finished is not None and checkpoint is None:
        raise ConfigError(
            f"{output} holds a finished model and no checkpoint to train it on from (train.save_every and "
            "train.save_minutes were 0); begin a run with train.start_from instead"
        )
    if checkpoint is not None and (step := _step_of(checkpoint)) > recipe.train.steps:
        raise ConfigError(f"train.steps: {recipe.train.steps}, and the run in {output} has taken {step} already")
    if checkpoint is None:
        logger.warning("%s holds no checkpoint, none was reached: starting over", output)
    return Start(checkpoint, changed=bool(found))


def _goes_on(recipe: Recipe, finished: RunRecord, changed: dict[str, tuple[Any, Any]]) -> bool:
    """Whether a recipe asks more of a run than what ended it.

    Raises
    ------
    ConfigError : more steps of a run whose time is used up.
    """
    config = recipe.train
    left = config.max_minutes is None or config.max_minutes > finished.minutes
    if finished.ended == "time":
        asked = "train.max_minutes" in changed and left
    elif finished.ended == "early_stop":
        asked = "train.early_stop" in changed
    else:
        asked = config.steps > finished.steps
    if not left and "train.steps" in changed:
        raise ConfigError(
            f"train.max_minutes: {config.max_minutes}, which the run has used up; raise it too, or set it to null"
        )
    return asked and config.steps > finished.steps


def _newest_checkpoint(output: Path) -> Path | None:
    """The last checkpoint that was written whole.

    Raises
    ------
    DataError : the position it states cannot be read.
    """
    # Its position is written last: a folder without it is one whose writing was cut.
    steps = {
        _step_of(path.parent): path.parent
        for path in (output / "checkpoints").glob(f"checkpoint-*/{TRAINER_STATE_NAME}")
        if path.parent.name.removeprefix("checkpoint-").isdecimal()
    }
    if not steps:
        return None
    newest = max(steps)
    _check_position(steps[newest] / TRAINER_STATE_NAME, newest)
    return steps[newest]


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _check_position(path: Path, step: int) -> None:
    """Refuse a trainer_state.json that transformers would fail on, or go on from in another place.

    Raises
    ------
    DataError
    """
    try:
        found = json_value(path.read_text(encoding="utf-8"))
        wrong = _wrong_fields(found) if isinstance(found, dict) else ["it is no object"]
    except (OSError, ValueError) as error:
        raise DataError(f"cannot be read as JSON: {error}", path=path) from error
    if not wrong and found["global_step"] != step:
        wrong = [f"global_step is {found['global_step']} in the checkpoint of step {step}"]
    if wrong:
        raise DataError(
            f"not the position of a run ({'; '.join(wrong[:3])}); remove this checkpoint to go on from the one before",
            path=path,
        )


def _wrong_fields(found: dict[str, Any]) -> list[str]:
    """What of a stored TrainerState has another type than a fresh one's; what starts as None is a number or a name."""
    fresh = vars(TrainerState(stateful_callbacks=[TrainerControl()]))
    wrong = [f"{name} is missing" for name in ("global_step", "stateful_callbacks") if name not in found]
    for name, value in found.items():
        default = fresh.get(name)
        kinds: tuple[type, ...] = (type(default),)
        if default is None:
            kinds = (int, float, str, type(None))
        elif type(default) in (int, float):
            kinds = (int, float)
        if name not in fresh or type(value) not in kinds:
            wrong.append(f"{name[:40]} is {str(value)[:40]!r}")
    if not wrong and not fresh["stateful_callbacks"].keys() <= found["stateful_callbacks"].keys():
        wrong.append("stateful_callbacks lacks the state of a callback")
    return wrong
