"""Training: the Trainer, distillation, hard negatives, checkpoints."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparseir.train.run import TrainResult, train

__all__ = ["TrainResult", "train"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'sparseir.train' has no attribute {name!r}")
    value = getattr(importlib.import_module("sparseir.train.run"), name)
    globals()[name] = value
    return value
