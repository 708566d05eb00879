"""COIL-tok: one small vector per token, compared only where query and document hold the same token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparseir.models.context import ContextEncoder
from sparseir.models.towers.tower import Tower, scatter_max


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """The counted tokens of some texts, without padding.

    Parameters
    ----------
    text : int64 (T,), rising: which text a token belongs to.
    term_ids : int64 (T,).
    vectors : float32 (T, D).
    num_texts : how many texts there are; one without tokens is legal.
    """

    text: Tensor
    term_ids: Tensor
    vectors: Tensor
    num_texts: int


class CoilTower(Tower):
    """Token vectors v[t] = W h[t] + c; as a sparse vector, w[term] = max of ‖v[t]‖ over the term's tokens.

    Trained by `coil_scores`, served in two steps. The norms go into the sparse index: since v_q · v_d ≤ ‖v_q‖ ‖v_d‖, its
    score bounds the exact one from above, up to repeated query terms, which the index counts once, and rounding to
    impacts. `coil_scores` then reranks the hits.

    Source: Gao et al. 2021 (arXiv:2104.07186), eq. 1-3.
    """

    needs_rerank = True
    counts: Tensor

    def __init__(self, context: ContextEncoder, special_ids: Sequence[int], token_dim: int) -> None:
        super().__init__()
        self.context = context
        self.num_terms = context.num_terms
        self.project = nn.Linear(context.hidden_size, token_dim)
        counts = torch.ones(self.num_terms, dtype=torch.bool)
        counts[list(special_ids)] = False
        self.register_buffer("counts", counts, persistent=False)

    def vectors(self, features: Mapping[str, Tensor]) -> Tensor:
        """(B, L, D) float32."""
        projected: Tensor = self.project(self.context(features)).float()
        return projected

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        return self.norms(self.vectors(features), features)

    def norms(self, vectors: Tensor, features: Mapping[str, Tensor]) -> Tensor:
        """The sparse vectors (B, V) of token vectors (B, L, D)."""
        return scatter_max(vectors.norm(dim=-1), features, self.num_terms, self.counts)

    def counted(self, vectors: Tensor, features: Mapping[str, Tensor]) -> TokenBatch:
        """The tokens of token vectors (B, L, D) that are compared: no padding, no special tokens."""
        ids = features["input_ids"]
        text, place = (features["attention_mask"].bool() & self.counts[ids]).nonzero(as_tuple=True)
        return TokenBatch(text, ids[text, place], vectors[text, place], len(ids))


def coil_scores(queries: TokenBatch, documents: TokenBatch) -> Tensor:
    """score[q, d] = Σ over tokens i of q of max over tokens j of d with the same term of v_i · v_j; 0 without such a j.

    A token that a query repeats counts each time. The same numbers come out, to the bit on a CPU, whatever other texts
    the batches hold: training and serving call this one function.

    Returns
    -------
    Tensor (Q, N) float32, differentiable; on ties the gradient is shared.

    Source: Gao et al. 2021 (arXiv:2104.07186), eq. 1.
    """
    i, j = (queries.term_ids[:, None] == documents.term_ids[None, :]).nonzero(as_tuple=True)
    products = (queries.vectors[i] * documents.vectors[j]).sum(-1)
    shape = len(queries.term_ids), documents.num_texts
    none = products.new_full((shape[0] * shape[1],), float("-inf"))
    best = none.scatter_reduce(0, i * shape[1] + documents.text[j], products, "amax").view(shape)
    best = torch.where(best == float("-inf"), 0.0, best)
    return products.new_zeros(queries.num_texts, shape[1]).index_add(0, queries.text, best)
