"""Networks from token features to one weight per vocabulary term: the masked-LM tower and the query lookup."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sparseir.models.head.fused import max_logits
from sparseir.models.head.revival import lowest_logits, reviving_relu
from sparseir.models.head.screen import VocabularyScreen
from sparseir.models.head.tiles import VocabularyTiles, multiplies_tiles
from sparseir.models.networks.attention import attend_text_by_text
from sparseir.models.networks.backbone import Backbone
from sparseir.models.towers.residual import LexicalResidual
from sparseir.models.towers.tower import Tower, in_chunks, keep_largest

SPECIAL_BIAS = -1e4
"""Vocabulary bias of a special token: no logit lifts it above zero, here or in any other loader of the weights."""


class MaskedLMTower(Tower):
    """SPLADE: w[v] = pool over tokens t of a(relu(logits[t, v])), a = log1p, or log1p twice.

    With max pooling the maximum comes first: a and relu rise, so the value is the same, and B×V numbers are left of
    B×L×V before anything else is computed.

    Parameters
    ----------
    backbone : the network, shared between towers or not.
    special_ids : terms that never weigh anything; their vocabulary bias is set to `SPECIAL_BIAS`. Empty: none.
    pooling, activation, top_k : as in ModelConfig.
    lexical : adds to the terms of the text's own tokens, or None.

    With `revive` set, a forward pass over chosen `terms` lets those below zero learn; see `revival`.

    Source: Formal et al. 2021 (arXiv:2107.05720 eq. 1, sum; arXiv:2109.10086 eq. 6, max); arXiv:2504.14839 (log1p twice).
    """

    takes_terms = True

    def __init__(
        self,
        backbone: Backbone,
        special_ids: Sequence[int],
        *,
        pooling: Literal["max", "sum"] = "max",
        activation: Literal["log1p", "double_log1p"] = "log1p",
        top_k: int | None = None,
        lexical: LexicalResidual | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.num_terms = backbone.num_terms
        self.special_ids = tuple(special_ids)
        self.pooling = pooling
        self.activation = activation
        self.top_k = top_k
        self.lexical = lexical
        self.frozen_head: VocabularyScreen | VocabularyTiles | None = None
        self.revive = False
        self.silence_specials()

    def freeze(self) -> None:
        """Prepare a copy that will never learn for encoding on a CPU that multiplies bfloat16 and 8-bit numbers."""
        attend_text_by_text(self)
        if self.pooling == "max":
            decoder = self.backbone.decoder
            tiles = multiplies_tiles(decoder.weight.dtype, decoder.weight.device)
            self.frozen_head = (VocabularyTiles if tiles else VocabularyScreen)(decoder.weight, decoder.bias)

    @torch.no_grad()
    def silence_specials(self) -> None:
        """Write the bias of the special tokens, again after anything that may have moved it."""
        if self.special_ids:
            self.backbone.decoder.bias[list(self.special_ids)] = SPECIAL_BIAS

    def forward(self, features: Mapping[str, Tensor], terms: Tensor | None = None) -> Tensor:
        """Weights (B, V); with `terms`, int64 (K,), only those columns, (B, K)."""
        hidden = self.backbone(features)
        mask = features["attention_mask"]
        if self.frozen_head is not None and terms is None and not torch.is_grad_enabled():
            return self._finish(self._activate(self.frozen_head.max_logits(hidden, mask)), hidden, features, None)
        return self._head(hidden, features, terms)

    def forward_in_chunks(
        self, features: Mapping[str, Tensor], chunks: Sequence[tuple[int, int]], terms: Tensor | None = None
    ) -> Tensor:
        """As `Tower.forward_in_chunks`, with the network in chunks between one embedding lookup and one head.

        Those two keep little; run once, they make one gradient of the vocabulary's size where chunks make one each.
        """
        hidden, table = self.states_in_chunks(features, chunks)
        return self._head(hidden, features, terms, table)

    def states_in_chunks(
        self, features: Mapping[str, Tensor], chunks: Sequence[tuple[int, int]]
    ) -> tuple[Tensor, Tensor]:
        """The vectors in front of the vocabulary, (B, L, H), with one chunk's activations in memory, and its matrix (V, H)."""
        embeddings, table = self.backbone.embed(features["input_ids"])
        parts = in_chunks(self.backbone, {**features, "inputs_embeds": embeddings}, chunks)
        length = features["input_ids"].shape[1]
        return torch.cat([nn.functional.pad(part, (0, 0, 0, length - part.shape[1])) for part in parts]), table

    def _head(
        self, hidden: Tensor, features: Mapping[str, Tensor], terms: Tensor | None, table: Tensor | None = None
    ) -> Tensor:
        """Weights from the vectors in front of the vocabulary; `table`, as `Backbone.embed` gives it, is its matrix."""
        mask, decoder = features["attention_mask"], self.backbone.decoder
        rows = decoder.weight if table is None else table
        weight: Tensor = rows if terms is None else rows[terms]
        bias: Tensor = decoder.bias if terms is None else decoder.bias[terms]
        if self.pooling == "max" and self.revive and terms is not None:
            weights = self._activate(reviving_relu(lowest_logits(hidden, mask, weight, bias)))
        elif self.pooling == "max":
            sparse = table is not None and terms is None
            weights = self._activate(max_logits(hidden, mask, weight, bias, sparse_gradient=sparse))
        else:
            weights = _sum_activated(hidden, mask, weight, bias, self._activate)
        return self._finish(weights, hidden, features, terms)

    def plain_forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """The formula as it is written, logits of B×L×V and all: for exporters, which know no fused head."""
        hidden = self.backbone(features)
        decoder = self.backbone.decoder
        logits = torch.relu(hidden @ decoder.weight.t() + decoder.bias) * features["attention_mask"].unsqueeze(-1)
        weights = self._activate(logits)
        return self._finish(weights.amax(1) if self.pooling == "max" else weights.sum(1), hidden, features, None)

    def _activate(self, positive: Tensor) -> Tensor:
        once = torch.log1p(positive)
        return torch.log1p(once) if self.activation == "double_log1p" else once

    def _finish(self, weights: Tensor, hidden: Tensor, features: Mapping[str, Tensor], terms: Tensor | None) -> Tensor:
        """What follows the pooling: lexical residual, and top-k where the whole vocabulary is there to choose from.

        The k largest of sampled `terms` are not the k largest of all; cut to them in the first steps, when everything is
        on, a fresh head that learns vectors was left with 14 terms a text instead of 42.
        """
        if self.lexical is not None:
            own = self.lexical(hidden, features, self.num_terms)
            weights = weights + (own if terms is None else own[:, terms])
        return keep_largest(weights, self.top_k) if terms is None else weights


def _sum_activated(
    hidden: Tensor, mask: Tensor, weight: Tensor, bias: Tensor, activate: Callable[[Tensor], Tensor]
) -> Tensor:
    """Σ_t a(relu(logits[t, v])), (B, V) float32; logits live for one text at a time, forward and backward."""

    def one(states: Tensor) -> Tensor:
        logits = nn.functional.linear(states, weight.to(states.dtype), bias.to(states.dtype))
        return activate(torch.relu(logits.float())).sum(0)

    rows = [checkpoint(one, hidden[b][mask[b].bool()], use_reentrant=False) for b in range(len(hidden))]
    return torch.stack(rows)
