"""COIL: one small vector per token, compared only where query and document hold the same token; in full, one per text too."""

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
    whole : float32 (num_texts, C), a vector of each text itself (COIL-full); None where there is none.
    """

    text: Tensor
    term_ids: Tensor
    vectors: Tensor
    num_texts: int
    whole: Tensor | None = None


class CoilTower(Tower):
    """Token vectors v[t] = W h[t] + c; as a sparse vector, w[term] = max of ‖v[t]‖ over the term's tokens, of a query the sum.

    Trained by `coil_scores`, served in two steps. The norms go into the sparse index: since v_q · v_d ≤ ‖v_q‖ ‖v_d‖, and a
    term that a query repeats has the norms of all its tokens, the product of the two vectors bounds the exact score from
    above; impacts of an index hold it up to their rounding. `coil_scores` then reranks the hits.

    COIL-full has beside them a vector of the text, u = W' h[CLS] + c' without any normalisation, whose dot product is added.

    Source: Gao et al. 2021 (arXiv:2104.07186), eq. 1-6; projections as in luyug/COIL.

    Parameters
    ----------
    context : the network, shared between towers or not.
    special_ids : terms that are never compared.
    token_dim : D, dimensions of a token's vector.
    cls_dim : C, those of the text's vector; 0 for COIL-tok.
    summed : a term weighs the sum of its tokens' norms, not the largest: of queries.
    """

    needs_rerank = True
    counts: Tensor

    def __init__(
        self,
        context: ContextEncoder,
        special_ids: Sequence[int],
        token_dim: int,
        *,
        cls_dim: int = 0,
        summed: bool = False,
    ) -> None:
        super().__init__()
        self.summed = summed
        self.context = context
        self.num_terms = context.num_terms
        self.project = nn.Linear(context.hidden_size, token_dim)
        self.project_whole = nn.Linear(context.hidden_size, cls_dim) if cls_dim else None
        counts = torch.ones(self.num_terms, dtype=torch.bool)
        counts[list(special_ids)] = False
        self.register_buffer("counts", counts, persistent=False)

    @property
    def token_dim(self) -> int:
        """D, dimensions of a token's vector."""
        return self.project.out_features

    @property
    def cls_dim(self) -> int:
        """C, dimensions of a text's own vector; 0 in COIL-tok."""
        return 0 if self.project_whole is None else self.project_whole.out_features

    def vectors(self, features: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Those of the tokens, (B, L, D), and those of the texts, (B, C), float32; C is 0 in COIL-tok."""
        states = self.context(features)
        tokens: Tensor = self.project(states).float()
        if self.project_whole is None:
            return tokens, tokens.new_zeros(len(tokens), 0)
        return tokens, self.project_whole(states[:, 0]).float()

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        return self.norms(self.vectors(features)[0], features)

    def norms(self, vectors: Tensor, features: Mapping[str, Tensor]) -> Tensor:
        """The sparse vectors (B, V) of token vectors (B, L, D)."""
        scatter = scatter_sum if self.summed else scatter_max
        return scatter(vectors.norm(dim=-1), features, self.num_terms, self.counts)

    def summing(self) -> CoilTower:
        """The tower of queries that shares the network and the projection with this one."""
        tower = CoilTower(self.context, (), self.project.out_features, summed=True)
        tower.project, tower.project_whole, tower.counts = self.project, self.project_whole, self.counts
        return tower

    def counted(self, vectors: Tensor, whole: Tensor, features: Mapping[str, Tensor]) -> TokenBatch:
        """Of vectors (B, L, D) the tokens that are compared, no padding and no special tokens; beside the texts' own (B, C)."""
        ids = features["input_ids"]
        text, place = (features["attention_mask"].bool() & self.counts[ids]).nonzero(as_tuple=True)
        return TokenBatch(text, ids[text, place], vectors[text, place], len(ids), whole)


def coil_scores(queries: TokenBatch, documents: TokenBatch) -> Tensor:
    """score[q, d] = u_q · u_d + Σ over tokens i of q of max(0, v_i · v_j), j the best token of d with the same term, 0 without one.

    As in the authors' code a match is worth no less than none. A token that a query repeats counts each time. What tokens
    score is the same, to the bit on a CPU, whatever other texts the batches hold: training and serving call this one
    function. u · u is 0 where the texts have no vectors of their own.

    Returns
    -------
    Tensor (Q, N) float32, differentiable; on ties the gradient is shared.

    Source: Gao et al. 2021 (arXiv:2104.07186), eq. 1 and 6; zero as in luyug/COIL.
    """
    i, j = (queries.term_ids[:, None] == documents.term_ids[None, :]).nonzero(as_tuple=True)
    products = (queries.vectors[i] * documents.vectors[j]).sum(-1)
    shape = len(queries.term_ids), documents.num_texts
    none = products.new_zeros(shape[0] * shape[1])
    best = none.scatter_reduce(0, i * shape[1] + documents.text[j], products, "amax").view(shape)
    scores = products.new_zeros(queries.num_texts, shape[1]).index_add(0, queries.text, best)
    if queries.whole is None or documents.whole is None:
        return scores
    return scores + queries.whole @ documents.whole.T
