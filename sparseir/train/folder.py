"""The folder a run writes to: fresh, or one it was stopped in."""

from __future__ import annotations

import logging
from pathlib import Path

from sparseir.config.loader import read_yaml, to_mapping, to_yaml
from sparseir.config.recipe import Recipe, differences
from sparseir.config.recipes import RECIPE_FILE
from sparseir.errors import ConfigError
from sparseir.train.parallel import world

logger = logging.getLogger(__name__)


def prepare_folder(recipe: Recipe, output: Path, *, resume: bool) -> Path | None:
    """The checkpoint to go on from, or None for a fresh start in a clean folder."""
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
    checkpoints = sorted((output / "checkpoints").glob("checkpoint-*"), key=lambda p: int(p.name.rpartition("-")[2]))
    if not checkpoints:
        logger.warning("%s holds no checkpoint (train.save_every is 0, or none was reached): starting over", output)
        return None
    return checkpoints[-1]
