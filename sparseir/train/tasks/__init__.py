"""What can be trained: one module a task, with its objective, its batches and `build`, which makes both from a recipe."""

from __future__ import annotations

from collections.abc import Callable

from indexer.progress import Progress
from sparseir.config.loss import TaskName
from sparseir.config.recipe import Recipe
from sparseir.models.encoder import SparseEncoder
from sparseir.train.loop.objective import Objective
from sparseir.train.material.batches import Batches
from sparseir.train.tasks import codes, masked_lm, ranking, recall, vectors

__all__ = ["TASKS"]


def _ranking(recipe: Recipe, encoder: SparseEncoder, progress: Progress) -> tuple[Objective, Batches]:
    """Codes of dense embeddings rank and reconstruct; every other encoder ranks."""
    return (codes if encoder.document_tower.takes_width else ranking).build(recipe, encoder, progress)


TASKS: dict[TaskName, Callable[[Recipe, SparseEncoder, Progress], tuple[Objective, Batches]]] = {
    "ranking": _ranking,
    "vectors": vectors.build,
    "masked_lm": masked_lm.build,
    "recall": recall.build,
}
"""By `loss.objective`."""
