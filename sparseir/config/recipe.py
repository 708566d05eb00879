"""A recipe: every section of a training run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sparseir.config.data import DataConfig
from sparseir.config.loader import apply_overrides, build, read_yaml, to_mapping
from sparseir.config.loss import LossConfig
from sparseir.config.model import ModelConfig
from sparseir.config.recipes import recipe_path
from sparseir.config.regulariser import RegulariserConfig
from sparseir.config.train import TrainConfig

_FORMER: dict[str, dict[str, Any]] = {
    "loss": {"mask_probability": 0.15, "teacher_weights": []},
    "regulariser": {"idf_floor": 0.1},
    "train": {"max_grad_norm": 1.0, "weight_decay": 0.01},
}
"""Keys that recipes of earlier versions held, with the only value they have now."""
_FORMER_SECTIONS = {"encode", "evaluate"}
"""Sections that they held; no training depended on them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """One YAML file of configs/: one field a section."""

    model: ModelConfig = field(default_factory=ModelConfig)
    """The encoder and its starting weights."""

    data: DataConfig = field(default_factory=DataConfig)
    """What it learns from."""

    loss: LossConfig = field(default_factory=LossConfig)
    """What training minimises."""

    regulariser: RegulariserConfig = field(default_factory=RegulariserConfig)
    """What keeps vectors sparse."""

    train: TrainConfig = field(default_factory=TrainConfig)
    """The optimiser and the run."""


def load_recipe(given: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe by its name, its YAML file or the model folder it made, with `section.key=value` overrides applied.

    Raises
    ------
    ConfigError
        No such recipe; or all faults of the file and the overrides, together.
    """
    path = recipe_path(given)
    return build(Recipe, apply_overrides(read_yaml(path), overrides), source=str(path))


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What two recipes as `read_yaml` gives them differ in: (old value, new value) by section.key.

    A key that one of them lacks, since another version saved it, has its default there, or the value it was dropped with.
    """
    defaults, changed = to_mapping(Recipe()), {}
    for section in sorted({*old, *new} - _FORMER_SECTIONS):
        known = {**_FORMER.get(section, {}), **defaults.get(section, {})}
        before, after = ({**known, **(side.get(section) or {})} for side in (old, new))
        for key in sorted({*before, *after}):
            pair = before.get(key), after.get(key)
            if _number(pair[0]) != _number(pair[1]):
                changed[f"{section}.{key}"] = pair
    return changed


def _number(value: Any) -> Any:
    """YAML 1.1 reads 1e-4, without a point, as a string."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value
