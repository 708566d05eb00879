"""Batches of texts through a tower, with gradients, in chunks when memory asks for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from sparseir.models.coil import CoilTower
from sparseir.models.tokenize import TextTokenizer
from sparseir.models.towers import Tower
from sparseir.train.parallel import gather_rows, own_share


class BatchEncoder:
    """Texts to weights, on all processes together.

    Parameters
    ----------
    chunk_size : most texts of one forward pass, 0 for no limit. Chunks keep no activations: the backward pass computes them
        again, from the random state each chunk started with, so dropout repeats (GradCache; Gao et al. 2021,
        arXiv:2101.06983).
    bf16 : autocast the network; weights come out in float32 all the same.
    """

    def __init__(self, tokenizer: TextTokenizer, *, chunk_size: int, bf16: bool) -> None:
        self._tokenizer = tokenizer
        self._chunk_size = chunk_size
        self._bf16 = bf16

    def __call__(self, tower: Tower, texts: Sequence[str], max_length: int, terms: Tensor | None = None) -> Tensor:
        """float32 (B, V), or (B, len(terms)) with the columns of `terms`; rows of every process, in order."""
        rows = self._tokenizer.rows(texts[own_share(len(texts))], max_length)

        def run(features: Mapping[str, Tensor]) -> Tensor:
            weights: Tensor = tower(features) if terms is None else tower(features, terms)
            return weights

        return gather_rows(self._run(run, rows, next(tower.parameters()).device), len(texts))

    def token_vectors(
        self, tower: CoilTower, texts: Sequence[str], max_length: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Token vectors float32 (B, L, D) of every process's texts, in order, with the features (B, L) of all of them."""
        rows = self._tokenizer.rows(texts, max_length)
        device = next(tower.parameters()).device
        whole = self._features(rows, device)
        longest = whole["input_ids"].shape[1]

        def run(features: Mapping[str, Tensor]) -> Tensor:
            vectors = tower.vectors(features)
            return torch.nn.functional.pad(vectors, (0, 0, 0, longest - vectors.shape[1]))

        return gather_rows(self._run(run, rows[own_share(len(texts))], device), len(texts)), whole

    def _run(
        self, tower: Callable[[Mapping[str, Tensor]], Tensor], rows: Sequence[Sequence[Any]], device: torch.device
    ) -> Tensor:
        """What the tower gives for each row of tokens, in order, float32."""

        def run(features: Mapping[str, Tensor]) -> Tensor:
            with torch.autocast(device.type, torch.bfloat16, enabled=self._bf16):
                return tower(features).float()

        # Like lengths together: what padding would waste is most of the work where texts differ much.
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        parts = []
        for start, end in length_groups([len(rows[i]) for i in order], self._chunk_size):
            features = self._features([rows[i] for i in order[start:end]], device)
            parts.append(checkpoint(run, features, use_reentrant=False) if self._chunk_size else run(features))
        back = torch.empty(len(order), dtype=torch.int64, device=device)
        back[torch.tensor(order, device=device)] = torch.arange(len(order), device=device)
        return torch.cat(parts)[back]

    def _features(self, rows: Sequence[Sequence[int]], device: torch.device) -> dict[str, Tensor]:
        return {name: value.to(device) for name, value in self._tokenizer.pad(rows).items()}


def length_groups(lengths: Sequence[int], largest: int = 0) -> list[tuple[int, int]]:
    """Cut rows of rising length into groups (start, end) that pad little.

    A group ends before a row a third longer than its shortest, once it has 8 rows, and at `largest` rows (0: no limit).
    """
    groups = []
    start = 0
    for i in range(1, len(lengths) + 1):
        size = i - start
        full = size == largest
        stretched = i < len(lengths) and size >= 8 and lengths[i] > 1.33 * lengths[start]
        if i == len(lengths) or full or stretched:
            groups.append((start, i))
            start = i
    return groups
