"""Batches of texts through a tower, with gradients, in chunks when memory asks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from sparseir.models.tokenize import TextTokenizer
from sparseir.models.towers import Tower
from sparseir.train.parallel import gather_rows, own_share


class BatchEncoder:
    """Texts to weights, on all processes together.

    Parameters
    ----------
    chunk_size : texts of one forward pass, 0 for all. Chunks keep no activations: the backward pass computes them
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
        rows = self._tokenizer.ids(texts[own_share(len(texts))], max_length)
        device = next(tower.parameters()).device

        def run(features: Mapping[str, Tensor]) -> Tensor:
            with torch.autocast(device.type, torch.bfloat16, enabled=self._bf16):
                return tower(features, terms).float()

        size = self._chunk_size or max(1, len(rows))
        if len(rows) <= size:
            return gather_rows(run(self._features(rows, device)), len(texts))
        # Like lengths together, so that a chunk is padded little.
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        parts = []
        for start in range(0, len(order), size):
            features = self._features([rows[i] for i in order[start : start + size]], device)
            parts.append(checkpoint(run, features, use_reentrant=False))
        back = torch.empty(len(order), dtype=torch.int64, device=device)
        back[torch.tensor(order, device=device)] = torch.arange(len(order), device=device)
        return gather_rows(torch.cat(parts)[back], len(texts))

    def _features(self, rows: Sequence[Sequence[int]], device: torch.device) -> dict[str, Tensor]:
        return {name: value.to(device) for name, value in self._tokenizer.pad(rows).items()}
