"""Vectors: a sparse teacher's vector of each text, learnt by squared error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from indexer.progress import Progress
from sparseir.config.recipe import Recipe
from sparseir.data.pairs import read_text_vectors
from sparseir.errors import DataError
from sparseir.losses.ranking import vector_distillation
from sparseir.models.encoder import SparseEncoder
from sparseir.train.loop.objective import Objective
from sparseir.train.material.batches import TextBatch, TextBatches
from sparseir.train.material.idf import corpus_idf

_TEACHER_PEAK = 1.35
"""Mean largest weight every file of teacher vectors is brought to: SPLADE-v3's, in units of log1p."""


def build(recipe: Recipe, encoder: SparseEncoder, progress: Progress) -> tuple[Objective, TextBatches]:
    """The objective and its batches.

    Raises
    ------
    DataError : no vectors, or those of another vocabulary.
    """
    texts, vectors = _teacher_vectors(recipe.data.vectors, encoder)
    batches = TextBatches(texts, recipe.train, vectors=vectors, num_terms=encoder.num_terms)
    return Vectors(encoder, recipe, corpus_idf(recipe, encoder, texts)), batches


class Vectors(Objective):
    """A text's vector, learnt from a sparse teacher's by squared error."""

    def forward(self, batch: TextBatch) -> Tensor:
        assert batch.target is not None
        columns = self._columns(batch.target.any(0).nonzero().squeeze(1).numpy(), batch.number)
        weights = self._documents(batch.texts, columns.terms)
        target = batch.target.to(weights.device)
        absent = self.recipe.loss.vectors_absent
        if columns.terms is None:
            loss = vector_distillation(weights, target, absent=absent)
        else:  # the teacher's terms themselves, and the sample for all others, where the teacher is 0
            target, k = target[:, columns.terms], columns.exact
            loss = vector_distillation(weights[:, :k], target[:, :k], absent=absent)
            loss = loss + columns.factor * vector_distillation(weights[:, k:], target[:, k:], absent=absent)
        self.figures = {"vectors": float(loss.detach())}
        return self._with_penalty(loss, weights.unsqueeze(1), columns)


def _teacher_vectors(
    files: Sequence[str], encoder: SparseEncoder
) -> tuple[list[str], list[tuple[NDArray[np.int64], NDArray[np.float32]]]]:
    """Texts and vectors of all files, each file's scale brought to a mean largest weight of `_TEACHER_PEAK`."""
    if not files:
        raise DataError("data.vectors: objective vectors needs at least one file of texts with vectors")
    known = {token: i for i, token in enumerate(encoder.terms())}
    texts: list[str] = []
    vectors: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []
    for file in files:
        rows = [(text, vector) for text, vector in read_text_vectors(file) if vector and text.strip()]
        if not rows:
            raise DataError("holds no vectors", path=file)
        missing = sum(token not in known for _, vector in rows for token in vector)
        total = sum(len(vector) for _, vector in rows)
        if missing > 0.05 * total:
            raise DataError(
                f"{missing} of {total} tokens are not in the model's vocabulary; the teacher must share it", path=file
            )
        scale = _TEACHER_PEAK / float(np.mean([max(vector.values()) for _, vector in rows]))
        for text, vector in rows:
            kept = {known[token]: weight * scale for token, weight in vector.items() if token in known}
            texts.append(text)
            vectors.append((np.fromiter(kept, np.int64), np.fromiter(kept.values(), np.float32)))
    return texts, vectors
