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
from sparseir.config.recipes import RECIPE_FILE, recipe_path
from sparseir.config.regulariser import RegulariserConfig
from sparseir.config.train import TrainConfig
from sparseir.errors import ConfigError

_FORMER: dict[str, dict[str, Any]] = {
    "loss": {"mask_probability": 0.15, "teacher_weights": []},
    "regulariser": {"idf_floor": 0.1},
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

    def __post_init__(self) -> None:
        if self.regulariser.kind == "idf_flops" and self.model.idf_queries:
            raise ConfigError(
                "regulariser.kind: idf_flops divides by idf what binary queries score, and the queries of "
                f"{self.model.kind} hold idf already: take model.kind splade_doc, or flops, which is its other form"
            )


def load_recipe(given: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe by its name, its YAML file or the model folder it made, with `section.key=value` overrides applied.

    A recipe that a run saved may be one of an earlier version: keys that came since have their defaults.

    Raises
    ------
    ConfigError
        No such recipe; or all faults of the file and the overrides, together.
    """
    path = recipe_path(given)
    values = read_yaml(path)
    if path.name == RECIPE_FILE:
        values = _of_this_version(values)
    return build(Recipe, apply_overrides(values, overrides), source=str(path))


def _of_this_version(values: dict[str, Any]) -> dict[str, Any]:
    """A saved recipe without what was dropped since, where it has the value it was dropped with, and with what came."""
    defaults, out = to_mapping(Recipe()), {}
    for section, body in values.items():
        if section in _FORMER_SECTIONS or not isinstance(body, Mapping):
            continue
        former = _FORMER.get(section, {})
        kept = {key: value for key, value in body.items() if key not in former or value != former[key]}
        out[section] = {**defaults.get(section, {}), **kept}
    return {**defaults, **out}


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
