"""What all towers share, and what they are put together of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sparseir.models.networks.lengths import padded_length


class Tower(nn.Module):
    """What all towers share: `forward(features) -> (B, V)`, float32 weights ≥ 0, differentiable.

    features holds input_ids and attention_mask, int64 (B, L), as `TextTokenizer` makes them. Where
    `takes_terms`, terms, int64 (n,), may follow, and only those columns are computed: (B, n).
    """

    num_terms: int

    looked_up = False
    """Whether weights come from a table, and no network reads the text."""

    takes_terms = False
    """Whether `forward` can compute chosen columns alone."""

    takes_width = False
    """Whether `forward` can be told how many weights a text may have, more than in training as well as fewer."""

    needs_rerank = False
    """Whether the index holds bounds, and hits are to be scored again by `coil.coil_scores`."""

    latent = False
    """Whether the terms are latents, which no text holds."""

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        raise TypeError(f"{type(self).__name__} defines no forward pass")

    def forward_in_chunks(
        self, features: Mapping[str, Tensor], chunks: Sequence[tuple[int, int]], terms: Tensor | None = None
    ) -> Tensor:
        """As `forward`, with the activations of one chunk of texts (start, end) in memory at a time.

        The backward pass computes a chunk's activations again, from the random state the chunk started with, so that
        dropout repeats (GradCache; Gao et al. 2021, arXiv:2101.06983).
        """

        def run(part: Mapping[str, Tensor]) -> Tensor:
            weights: Tensor = self(part) if terms is None else self(part, terms)
            return weights

        return torch.cat(in_chunks(run, features, chunks))


def in_chunks(
    run: Callable[[dict[str, Tensor]], Tensor], features: Mapping[str, Tensor], chunks: Sequence[tuple[int, int]]
) -> list[Tensor]:
    """What `run` gives for each chunk of texts; its activations are computed again in the backward pass.

    A chunk is cut to its own longest text, or little more: see `padded_length`.
    """
    lengths = [padded_length(n) for n in features["attention_mask"].sum(1).tolist()]
    parts = ({n: x[start:end, : max(lengths[start:end])] for n, x in features.items()} for start, end in chunks)
    return [checkpoint(run, part, use_reentrant=False) for part in parts]


def keep_largest(weights: Tensor, k: int | None) -> Tensor:
    """Rows with all but their k largest weights set to 0; k = None keeps all."""
    if k is None or k >= weights.shape[-1]:
        return weights
    top = torch.topk(weights, k, dim=-1)
    return torch.zeros_like(weights).scatter(-1, top.indices, top.values)


def scatter_max(values: Tensor, features: Mapping[str, Tensor], num_terms: int, counts: Tensor) -> Tensor:
    """w[b, v] = max of values[b, t] over the tokens t with input_ids[b, t] = v, 0 without such a token; (B, V).

    Parameters
    ----------
    values : (B, L), ≥ 0.
    counts : bool (V,), terms that may weigh anything.
    """
    ids = features["input_ids"]
    values = values.float() * features["attention_mask"] * counts[ids]
    zeros = torch.zeros(ids.shape[0], num_terms, dtype=torch.float32, device=values.device)
    return zeros.scatter_reduce(1, ids, values, reduce="amax")


def scatter_sum(values: Tensor, features: Mapping[str, Tensor], num_terms: int, counts: Tensor) -> Tensor:
    """w[b, v] = Σ of values[b, t] over the tokens t with input_ids[b, t] = v; (B, V). Parameters as `scatter_max`'s."""
    ids = features["input_ids"]
    values = values.float() * features["attention_mask"] * counts[ids]
    return torch.zeros(ids.shape[0], num_terms, dtype=torch.float32, device=values.device).scatter_add(1, ids, values)
