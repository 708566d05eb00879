"""The folder a run writes to: fresh, or one it was stopped in."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparseir.config.loader import read_yaml, to_mapping, to_yaml
from sparseir.config.recipe import Recipe
from sparseir.errors import ConfigError
from sparseir.train.parallel import world

logger = logging.getLogger(__name__)

RECIPE_FILE = "recipe.yaml"

_DROPPED: dict[str, dict[str, Any]] = {
    "loss": {"mask_probability": 0.15, "teacher_weights": []},
    "regulariser": {"idf_floor": 0.1},
    "train": {"max_grad_norm": 1.0, "weight_decay": 0.01},
}
"""Keys that recipes of earlier versions held, with the only value they have now. The sections encode and evaluate, which they
held as well, are not compared: training did not depend on them."""


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
    changed = _differences(read_yaml(saved), to_mapping(recipe))
    if changed:
        raise ConfigError(
            f"{output} was started with another recipe; a resumed run needs the same one. Changed: {'; '.join(changed)}"
        )
    checkpoints = sorted((output / "checkpoints").glob("checkpoint-*"), key=lambda p: int(p.name.rpartition("-")[2]))
    if not checkpoints:
        logger.warning("%s holds no checkpoint (train.save_every is 0, or none was reached): starting over", output)
        return None
    return checkpoints[-1]


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What changed, section.key by section.key.

    A key that a later version brought had its default before; one that it dropped has kept the value it dropped it with.
    """
    sections = sorted((set(old) | set(new)) - {"encode", "evaluate"})
    defaults, changed = to_mapping(Recipe()), []
    for section in sections:
        dropped = _DROPPED.get(section, {})
        before = {**dropped, **defaults.get(section, {}), **(old.get(section) or {})}
        after = {**dropped, **(new.get(section) or {})}
        keys = sorted({*before, *after})
        changed += [
            f"{section}.{key}: {before.get(key)!r} → {after.get(key)!r}"
            for key in keys
            if before.get(key) != after.get(key)
        ]
    return changed
