"""The folder a run writes to: fresh, or one it was stopped in."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from transformers import TrainerControl, TrainerState
from transformers.trainer import TRAINER_STATE_NAME

from indexer.interchange.input import json_value
from sparseir.config.loader import read_yaml, to_mapping, to_yaml
from sparseir.config.recipe import Recipe, differences
from sparseir.config.recipes import RECIPE_FILE
from sparseir.errors import ConfigError, DataError
from sparseir.train.parallel import world

logger = logging.getLogger(__name__)


def prepare_folder(recipe: Recipe, output: Path, *, resume: bool) -> Path | None:
    """The checkpoint to go on from, or None for a fresh start in a clean folder.

    Raises
    ------
    ConfigError : the folder is in use, or holds a run of another recipe.
    DataError : the position that the newest checkpoint states cannot be read.
    """
    saved = output / RECIPE_FILE
    if not resume:
        if world()[0] == 0:
            # A recipe alone is what a run leaves that failed before its first step: on its data, say, since mended.
            if output.exists() and any(path.name != RECIPE_FILE for path in output.iterdir()):
                raise ConfigError(f"output folder {output} is not empty; name another one, or go on with --resume")
            output.mkdir(parents=True, exist_ok=True)
            saved.write_text(to_yaml(recipe), encoding="utf-8")
        return None
    if not saved.exists():
        raise ConfigError(f"nothing to resume in {output}: it holds no {RECIPE_FILE}")
    found = differences(read_yaml(saved), to_mapping(recipe))
    changed = [f"{key}: {old!r} → {new!r}" for key, (old, new) in found.items()]
    if changed:
        raise ConfigError(
            f"{output} was started with another recipe; a resumed run needs the same one. Changed: {'; '.join(changed)}"
        )
    # Its position is written last: a folder without it is one whose writing was cut.
    steps = {
        int(path.parent.name.rpartition("-")[2]): path.parent
        for path in (output / "checkpoints").glob(f"checkpoint-*/{TRAINER_STATE_NAME}")
        if path.parent.name.removeprefix("checkpoint-").isdecimal()
    }
    if not steps:
        logger.warning("%s holds no checkpoint (train.save_every is 0, or none was reached): starting over", output)
        return None
    newest = max(steps)
    _check_position(steps[newest] / TRAINER_STATE_NAME, newest)
    return steps[newest]


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
