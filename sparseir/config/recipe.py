"""A recipe: every section of a training run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sparseir.config.data import DataConfig
from sparseir.config.loader import apply_overrides, build, read_yaml
from sparseir.config.loss import LossConfig
from sparseir.config.model import ModelConfig
from sparseir.config.regulariser import RegulariserConfig
from sparseir.config.train import TrainConfig


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


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe a YAML file holds, with `section.key=value` overrides applied.

    Raises
    ------
    ConfigError
        All faults of the file and the overrides, together.
    """
    return build(Recipe, apply_overrides(read_yaml(path), overrides), source=str(path))
