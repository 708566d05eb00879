"""COIL-tok: one small vector per token, compared only where query and document hold the same token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparseir.models.context import ContextEncoder
from sparseir.models.towers import Tower, scatter_max


@dataclass(frozen=True, slots=True)
class TokenVectors:
    """The counted tokens of one text: term_ids int64 (T,) and vectors float32 (T, D)."""

    term_ids: Tensor
    vectors: Tensor


class CoilTower(Tower):
    """Token vectors v[t] = W h[t] + c; as a sparse vector, w[term] = max of ‖v[t]‖ over the term's tokens.

    Served in two steps. The norms go into the sparse index: since v_q · v_d ≤ ‖v_q‖ ‖v_d‖, its score bounds the exact
    one from above, up to repeated query terms, which the index counts once. `coil_score` then reranks the hits.

    Source: Gao et al. 2021 (arXiv:2104.07186), eq. 1-3.
    """

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
        return scatter_max(self.vectors(features).norm(dim=-1), features, self.num_terms, self.counts)

    def token_vectors(self, features: Mapping[str, Tensor]) -> list[TokenVectors]:
        """Per text, its counted tokens."""
        vectors = self.vectors(features)
        kept = features["attention_mask"].bool() & self.counts[features["input_ids"]]
        return [TokenVectors(i[k], v[k]) for i, v, k in zip(features["input_ids"], vectors, kept, strict=True)]


def coil_score(query: TokenVectors, document: TokenVectors) -> Tensor:
    """Σ over query tokens i of max over document tokens j with the same term of v_i · v_j; 0 without such a j."""
    if not len(query.term_ids) or not len(document.term_ids):
        return query.vectors.new_zeros(())
    same = query.term_ids[:, None] == document.term_ids[None, :]
    products = (query.vectors @ document.vectors.t()).masked_fill(~same, float("-inf"))
    best = products.amax(1)
    return torch.where(same.any(1), best, 0.0).sum()


def rerank(query: TokenVectors, documents: Sequence[TokenVectors]) -> tuple[list[int], list[float]]:
    """Places of the documents by falling exact score, and the scores; ties by the smaller place."""
    scores = [float(coil_score(query, document)) for document in documents]
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    return order, [scores[i] for i in order]
