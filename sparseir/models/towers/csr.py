"""CSR: a sparse code of a dense embedding. The vocabulary are latents, not words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from sparseir.models.networks.context import ContextEncoder
from sparseir.models.towers.tower import Tower, keep_largest


class DenseEncoder(nn.Module):
    """One vector per text: mean or first token of the last hidden states, scaled to length 1 if asked; frozen."""

    def __init__(self, context: ContextEncoder, *, pooling: Literal["mean", "cls"], normalise: bool) -> None:
        super().__init__()
        self.context = context.requires_grad_(False)
        self.pooling = pooling
        self.normalise = normalise

    @torch.no_grad()
    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        states = self.context(features).float()
        if self.pooling == "cls":
            pooled = states[:, 0]
        else:
            mask = features["attention_mask"].unsqueeze(-1).float()
            pooled = (states * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
        return self.scaled(pooled)

    def scaled(self, pooled: Tensor) -> Tensor:
        """Embeddings as this encoder gives them: of length 1 where it normalises."""
        return nn.functional.normalize(pooled, dim=-1) if self.normalise else pooled


@dataclass(frozen=True, slots=True)
class Codes:
    """Everything the CSR loss reads: dense inputs, codes at k and their reconstructions at k, 4k and of dead latents.

    dense, at_k, at_4k, auxiliary : (B, d). codes : (B, hidden).
    centre : (d,), what the auxiliary reconstruction leaves out.
    at_widths : (B, d) each, reconstructions at the widths that were asked for.
    """

    dense: Tensor
    codes: Tensor
    at_k: Tensor
    at_4k: Tensor
    auxiliary: Tensor | None
    centre: Tensor
    at_widths: tuple[Tensor, ...] = ()


class SparseAutoencoder(nn.Module):
    """z = relu(top_k(W (x − centre) + b)); the decoder is tied: x̂ = Wᵀ z + centre.

    Each top-k is taken over the untouched pre-activations: masked in place, the code at 4k would be the code at k.

    Source: "Beyond Matryoshka" (arXiv:2503.01776), eq. 2-5.
    """

    since_active: Tensor

    def __init__(self, dense_size: int, hidden_size: int, *, k: int, dead_after: int = 30) -> None:
        super().__init__()
        self.k = min(k, hidden_size)
        self.dead_after = dead_after
        self.encoder = nn.Linear(dense_size, hidden_size, bias=False)
        self.pre_bias = nn.Parameter(torch.zeros(dense_size))
        self.latent_bias = nn.Parameter(torch.zeros(hidden_size))
        self.register_buffer("since_active", torch.zeros(hidden_size, dtype=torch.long))

    @property
    def hidden_size(self) -> int:
        return self.encoder.out_features

    def pre_activations(self, dense: Tensor) -> Tensor:
        product: Tensor = nn.functional.linear(dense - self.pre_bias, self.encoder.weight, self.latent_bias)
        return product

    def decode(self, codes: Tensor) -> Tensor:
        return codes @ self.encoder.weight + self.pre_bias

    def encode(self, dense: Tensor, k: int | None = None) -> Tensor:
        """Codes (B, hidden) with at most k non-zeros."""
        return torch.relu(keep_largest(self.pre_activations(dense), k or self.k))

    def codes(self, dense: Tensor, *, widths: Sequence[int] = (), new_step: bool = True) -> Codes:
        """A forward pass's view; counts, for each latent, the training steps since a text last activated it.

        Parameters
        ----------
        widths : further numbers of latents to reconstruct from.
        new_step : False in further forward passes of one optimiser step.
        """
        before = self.pre_activations(dense)
        at_k, at_4k = (torch.relu(keep_largest(before, k)) for k in (self.k, 4 * self.k))
        with torch.no_grad():
            self.since_active += new_step
            self.since_active[(at_k > 0).any(0)] = 0
        dead = self.since_active > self.dead_after
        auxiliary = None
        if dead.any():
            most = min(1024, int(dead.sum()))
            revived = keep_largest(before.masked_fill(~dead, float("-inf")), most)
            # The centre adds nothing to the value; it learns from this error too, as where the whole of x is decoded.
            auxiliary = self.decode(torch.relu(revived)) - self.pre_bias.detach()
        at_widths = tuple(self.decode(torch.relu(keep_largest(before, width))) for width in widths)
        return Codes(dense, at_k, self.decode(at_k), self.decode(at_4k), auxiliary, self.pre_bias, at_widths)


class CsrTower(Tower):
    """w[latent] = the autoencoder's code of the text's dense embedding, ≥ 0, at most k a text.

    Parameters
    ----------
    normalise : scale codes to length 1, so that scores are cosines, in training as in use.
    """

    latent = True
    takes_width = True

    def __init__(self, dense: DenseEncoder, autoencoder: SparseAutoencoder, *, normalise: bool = False) -> None:
        super().__init__()
        self.normalise = normalise
        self.dense = dense
        self.autoencoder = autoencoder
        self.num_terms = autoencoder.hidden_size

    def forward(self, features: Mapping[str, Tensor], width: int | None = None) -> Tensor:
        return self.of_dense(self.dense(features), width)

    def of_dense(self, dense: Tensor, width: int | None = None) -> Tensor:
        """The codes (B, hidden) of dense embeddings (B, d): the `width` largest pre-activations, None for the trained k."""
        codes = self.autoencoder.encode(dense.to(self.autoencoder.encoder.weight.dtype), width)
        return self.scaled(codes)

    def scaled(self, codes: Tensor) -> Tensor:
        """Codes as they are scored: float32, and of length 1 where this tower normalises."""
        return nn.functional.normalize(codes.float(), dim=-1) if self.normalise else codes.float()
