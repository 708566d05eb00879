"""COIL-tok: one small vector per token, compared only where query and document hold the same token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparseir.models.networks.context import ContextEncoder
from sparseir.models.towers.tower import Tower, scatter_max, scatter_sum


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
    """Token vectors v[t] = W h[t] + c; as a sparse vector, w[term] = max of ‖v[t]‖ over the term's tokens, of a query the sum.

    Trained by `coil_scores`, served in two steps. The norms go into the sparse index: since v_q · v_d ≤ ‖v_q‖ ‖v_d‖, and a
    term that a query repeats has the norms of all its tokens, the product of the two vectors bounds the exact score from
    above; impacts of an index hold it up to their rounding. `coil_scores` then reranks the hits.

    Source: Gao et al. 2021 (arXiv:2104.07186), eq. 1-3.
    """

    needs_rerank = True
    counts: Tensor

    def __init__(
        self, context: ContextEncoder, special_ids: Sequence[int], token_dim: int, *, summed: bool = False
    ) -> None:
        super().__init__()
        self.summed = summed
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
        scatter = scatter_sum if self.summed else scatter_max
        return scatter(vectors.norm(dim=-1), features, self.num_terms, self.counts)

    def summing(self) -> CoilTower:
        """The tower of queries that shares the network and the projection with this one."""
        tower = CoilTower(self.context, (), self.project.out_features, summed=True)
        tower.project, tower.counts = self.project, self.counts
        return tower

    def counted(self, vectors: Tensor, features: Mapping[str, Tensor]) -> TokenBatch:
        """The tokens of token vectors (B, L, D) that are compared: no padding, no special tokens."""
        ids = features["input_ids"]
        text, place = (features["attention_mask"].bool() & self.counts[ids]).nonzero(as_tuple=True)
        return TokenBatch(text, ids[text, place], vectors[text, place], len(ids))


def coil_scores(queries: TokenBatch, documents: TokenBatch) -> Tensor:
    """score[q, d] = Σ over tokens i of q of max(0, v_i · v_j), j the best token of d with the same term; 0 without such a j.

    As in the authors' code a match is worth no less than none. A token that a query repeats counts each time. The same numbers come out, to the bit on a CPU, whatever other texts
    the batches hold: training and serving call this one function.

    Returns
    -------
    Tensor (Q, N) float32, differentiable; on ties the gradient is shared.

    Source: Gao et al. 2021 (arXiv:2104.07186), eq. 1; zero as in luyug/COIL.
    """
    i, j = (queries.term_ids[:, None] == documents.term_ids[None, :]).nonzero(as_tuple=True)
    products = (queries.vectors[i] * documents.vectors[j]).sum(-1)
    shape = len(queries.term_ids), documents.num_texts
    none = products.new_zeros(shape[0] * shape[1])
    best = none.scatter_reduce(0, i * shape[1] + documents.text[j], products, "amax").view(shape)
    return products.new_zeros(queries.num_texts, shape[1]).index_add(0, queries.text, best)
