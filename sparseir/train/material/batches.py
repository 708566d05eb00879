"""Batches by number: the same seed and number give the same batch, on every process and after a resume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from sparseir.config.train import TrainConfig


class Batches(Protocol):
    """What a task trains on: batch k for the k-th forward pass of the run."""

    @property
    def texts(self) -> Sequence[str]:
        """Every document batches are made of."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, number: int) -> Any: ...


@dataclass(slots=True)
class TextBatch:
    """Texts, with the vectors they are to be given where there is a teacher for them: float32 (B, V)."""

    number: int
    texts: list[str]
    target: Tensor | None = None

    def describe(self) -> dict[str, Any]:
        return {"number": self.number, "texts": self.texts}


class Shuffle:
    """An endless shuffled order over n items: item k is a function of the seed alone."""

    def __init__(self, size: int, seed: int) -> None:
        self._size = size
        self._seed = seed
        self._epoch = -1
        self._order: NDArray[np.int64] = np.zeros(0, np.int64)

    def take(self, start: int, count: int) -> list[int]:
        """Items start..start+count."""
        return [self._at(k) for k in range(start, start + count)]

    def _at(self, k: int) -> int:
        epoch, place = divmod(k, self._size)
        if epoch != self._epoch:
            self._order = np.random.default_rng([self._seed, epoch]).permutation(self._size)
            self._epoch = epoch
        return int(self._order[place])


class TextBatches(TorchDataset[TextBatch]):
    """Texts alone, or with the sparse vectors of a teacher.

    Parameters
    ----------
    vectors : one (term_ids, weights) per text, or None.
    """

    def __init__(
        self,
        texts: Sequence[str],
        config: TrainConfig,
        *,
        vectors: Sequence[tuple[NDArray[np.int64], NDArray[np.float32]]] | None = None,
        num_terms: int = 0,
    ) -> None:
        self.texts = texts
        self._vectors = vectors
        self._num_terms = num_terms
        self._num_batches = config.num_batches
        self._batch_size = min(config.batch_size, len(texts))
        self._shuffle = Shuffle(len(texts), config.seed)

    def __len__(self) -> int:
        return self._num_batches

    def __getitem__(self, number: int) -> TextBatch:
        chosen = self._shuffle.take(number * self._batch_size, self._batch_size)
        target = None
        if self._vectors is not None:
            target = torch.zeros(len(chosen), self._num_terms)
            for row, i in enumerate(chosen):
                term_ids, weights = self._vectors[i]
                target[row, torch.from_numpy(term_ids)] = torch.from_numpy(weights)
        return TextBatch(number, [self.texts[i] for i in chosen], target)
