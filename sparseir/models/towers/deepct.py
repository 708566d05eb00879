"""DeepCT: how often a word should count, told from its context, in BM25's place of how often it stands there."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from sparseir.models.networks.context import ContextEncoder
from sparseir.models.towers.tower import Tower, keep_largest, scatter_sum

SCALE = 100
"""What predictions are multiplied by before they are rounded to frequencies, as the authors' script does."""


class DeepCtTower(Tower):
    """w[word] = tf (k1 + 1) / (tf + k1 (1 − b + b |d| / avgdl)): BM25's document side; query weights are idf.

    tf[word] = round(100 ŷ), the largest over the word's occurrences and 0 below 1, where ŷ = u · h[first piece] + c is the
    predicted share of the document's queries that hold the word; |d| = Σ tf, and avgdl its mean over training documents.
    With stems, tf[stem] is the sum over its words: the authors write each word tf times, and an index that stems counts those.

    Source: Dai & Callan 2019 (arXiv:1910.10687), eq. 1 and section 3.2; rounding as in the authors' code, whose output an
    index with Porter's stems reads (Anserini).

    Parameters
    ----------
    context : the network.
    num_words : size of the word vocabulary, [UNK] last; features carry `word_ids` (see `own_tokens.WordTokenizer`).
    k1, b : of BM25. top_k : keep the k largest weights; None: all.
    """

    token_dim = 1
    """One number a token."""

    counts: Tensor
    average_length: Tensor

    def __init__(
        self, context: ContextEncoder, num_words: int, *, k1: float, b: float, top_k: int | None = None
    ) -> None:
        super().__init__()
        self.context = context
        self.num_terms = num_words
        self.top_k, self.k1, self.b = top_k, k1, b
        self.importance = nn.Linear(context.hidden_size, 1)
        nn.init.trunc_normal_(self.importance.weight, std=0.02)
        nn.init.zeros_(self.importance.bias)
        counts = torch.ones(num_words, dtype=torch.bool)
        counts[-1] = False
        self.register_buffer("counts", counts, persistent=False)
        self.register_buffer("average_length", torch.zeros(()))

    def vectors(self, features: Mapping[str, Tensor]) -> Tensor:
        """ŷ of every token, float32 (B, L, 1)."""
        predicted: Tensor = self.importance(self.context(features)).float()
        return predicted

    def frequencies(self, features: Mapping[str, Tensor], predicted: Tensor) -> Tensor:
        """tf of words or stems, whole numbers (B, V), of predictions (B, L, 1)."""
        scaled = SCALE * predicted.squeeze(-1)
        rounded = torch.where(scaled < 1, 0.0, scaled.round())
        rounded = rounded * features["attention_mask"]
        # The largest occurrence of each word, where it stands first; then words of one term together.
        largest = torch.zeros_like(rounded).scatter_reduce(1, features["same_word"], rounded, reduce="amax")
        words = {"input_ids": features["word_ids"], "attention_mask": features["attention_mask"]}
        return scatter_sum(largest, words, self.num_terms, self.counts)

    def see(self, frequencies: Tensor, *, keep: float = 0.99) -> None:
        """Move avgdl towards the mean length of these documents; that of the first is taken as it is."""
        length = frequencies.sum(1).mean()
        known = bool(self.average_length > 0)
        self.average_length.copy_(keep * self.average_length + (1 - keep) * length if known else length)

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        tf = self.frequencies(features, self.vectors(features))
        length = tf.sum(1, keepdim=True)
        average = self.average_length.to(tf.dtype)
        ratio = torch.where(average > 0, length / average.clamp(min=1e-9), torch.ones_like(length))
        return keep_largest(tf * (self.k1 + 1) / (tf + self.k1 * (1 - self.b + self.b * ratio)), self.top_k)
