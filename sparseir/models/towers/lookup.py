"""Queries whose weights are looked up: no network reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from sparseir.models.towers.tower import Tower, scatter_max


class StaticQueryTower(Tower):
    """w[v] = weight[v] if v is one of the text's tokens, else 0: presence, not counts; specials 0.

    Parameters
    ----------
    weight : (V,) ≥ 0, idf for an inference-free encoder, ones for SPLADE-doc.
    trainable : whether the weights learn; they are used as relu(weight), so that a step cannot make one negative.
    """

    looked_up = takes_terms = True
    counts: Tensor

    def __init__(self, weight: Tensor, special_ids: Sequence[int], *, trainable: bool = False) -> None:
        super().__init__()
        self.num_terms = len(weight)
        counts = torch.ones(self.num_terms, dtype=torch.bool)
        counts[list(special_ids)] = False
        self.register_buffer("counts", counts, persistent=False)
        self.weight = nn.Parameter(weight.detach().float() * counts, requires_grad=trainable)

    def table(self) -> Tensor:
        """The weight of each term in use, (V,)."""
        return torch.relu(self.weight) * self.counts

    def forward(self, features: Mapping[str, Tensor], terms: Tensor | None = None) -> Tensor:
        ones = torch.ones_like(features["input_ids"], dtype=torch.float32)
        weights = scatter_max(ones, features, self.num_terms, self.counts) * self.table()
        return weights if terms is None else weights[:, terms]

    def forward_in_chunks(
        self, features: Mapping[str, Tensor], chunks: Sequence[tuple[int, int]], terms: Tensor | None = None
    ) -> Tensor:
        """As `forward`: a lookup has no activations worth a second pass."""
        return self.forward(features, terms)
