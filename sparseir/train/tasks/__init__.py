"""What can be trained: one module a task, with its objective, its batches and `build`, which makes both from a recipe."""

from __future__ import annotations

from collections.abc import Callable

from indexer.progress import Progress
from sparseir.config.loss import TaskName
from sparseir.config.recipe import Recipe
from sparseir.models.encoder import SparseEncoder
from sparseir.train.batches import Batches
from sparseir.train.objective import Objective
from sparseir.train.tasks import masked_lm, ranking, vectors

__all__ = ["TASKS"]

TASKS: dict[TaskName, Callable[[Recipe, SparseEncoder, Progress], tuple[Objective, Batches]]] = {
    "ranking": ranking.build,
    "vectors": vectors.build,
    "masked_lm": masked_lm.build,
}
"""By `loss.objective`."""
