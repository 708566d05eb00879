"""Batches of texts through a tower, with gradients, in chunks when memory asks for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from sparseir.models.inference import multiplies_bfloat16, token_batches
from sparseir.models.networks.backbone import max_tokens
from sparseir.models.networks.lengths import padded_length
from sparseir.models.tokenize import TextTokenizer
from sparseir.models.towers.coil import CoilTower
from sparseir.models.towers.deepct import DeepCtTower
from sparseir.models.towers.masked_lm import MaskedLMTower
from sparseir.models.towers.tower import Tower, in_chunks
from sparseir.train.loop.parallel import gather_rows, own_share

_CPU_TOKENS = 1024
"""Most tokens of a chunk on a CPU unless told, padding included: activations of 6 layers of 384 are then about 120 MB."""


class BatchEncoder:
    """Texts to weights, on all processes together.

    Parameters
    ----------
    chunk_size : most texts whose activations are in memory at a time; see `Tower.forward_in_chunks`. 0: all activations
        are kept for the backward pass. None: chunks of `_CPU_TOKENS` tokens on a CPU, 0 elsewhere.
    bf16 : autocast the network where the device has bfloat16; weights come out in float32 all the same.
    """

    def __init__(self, tokenizer: TextTokenizer, *, chunk_size: int | None, bf16: bool) -> None:
        self._tokenizer = tokenizer
        self._chunk_size = chunk_size
        self._bf16 = bf16

    def __call__(self, tower: Tower, texts: Sequence[str], max_length: int, terms: Tensor | None = None) -> Tensor:
        """float32 (B, V), or (B, len(terms)) with the columns of `terms`; rows of every process, in order."""
        own = self.encode_rows(tower, self._tokenizer.rows(texts[own_share(len(texts))], max_length), terms)
        return gather_rows(own, len(texts))

    def encode_rows(self, tower: Tower, rows: Sequence[Sequence[Any]], terms: Tensor | None = None) -> Tensor:
        """As above for this process's texts, given as the tokenizer's rows."""

        def whole(features: Mapping[str, Tensor]) -> Tensor:
            weights: Tensor = tower(features) if terms is None else tower(features, terms)
            return weights

        def chunked(features: Mapping[str, Tensor], chunks: list[tuple[int, int]]) -> Tensor:
            return tower.forward_in_chunks(features, chunks, terms)

        return self._run(tower, whole, chunked, rows)

    def token_vectors(
        self, tower: CoilTower | DeepCtTower, texts: Sequence[str], max_length: int
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Of every process's texts, in order: token vectors float32 (B, L, D), those of the texts themselves (B, C), where C may
        be 0, and the features (B, L)."""
        rows = self._tokenizer.rows(texts, max_length)
        device = next(tower.parameters()).device
        features = self._features(rows, device)
        longest = features["input_ids"].shape[1]

        def whole(features: Mapping[str, Tensor]) -> Tensor:
            given = tower.vectors(features)
            vectors, text = given if isinstance(given, tuple) else (given, given.new_zeros(len(given), 0))
            padded = torch.nn.functional.pad(vectors, (0, 0, 0, longest - vectors.shape[1]))
            return torch.cat([padded.flatten(1), text], 1)  # one tensor: one pass gives both, and chunks join by rows

        def chunked(features: Mapping[str, Tensor], chunks: list[tuple[int, int]]) -> Tensor:
            return torch.cat(in_chunks(whole, features, chunks))

        rows_of_all = gather_rows(self._run(tower, whole, chunked, rows[own_share(len(texts))]), len(texts))
        size = longest * tower.token_dim
        return rows_of_all[:, :size].reshape(len(texts), longest, -1), rows_of_all[:, size:], features

    def states(self, tower: MaskedLMTower, rows: Sequence[Sequence[Any]]) -> Tensor:
        """Vectors in front of the vocabulary, float32 (B, L, H), of this process's texts, given as the tokenizer's rows."""
        longest = max(len(row) for row in rows)

        def whole(features: Mapping[str, Tensor]) -> Tensor:
            states = tower.backbone(features)
            return torch.nn.functional.pad(states, (0, 0, 0, longest - states.shape[1]))

        def chunked(features: Mapping[str, Tensor], chunks: list[tuple[int, int]]) -> Tensor:
            return tower.states_in_chunks(features, chunks)[0][:, :longest]

        return self._run(tower, whole, chunked, rows)

    def _run(
        self,
        tower: Tower,
        whole: Callable[[Mapping[str, Tensor]], Tensor],
        chunked: Callable[[Mapping[str, Tensor], list[tuple[int, int]]], Tensor],
        rows: Sequence[Sequence[Any]],
    ) -> Tensor:
        """What a tower gives for each row of tokens, in order, float32."""
        device = next(tower.parameters()).device
        low = self._bf16 and multiplies_bfloat16(device)
        # Like lengths together: what padding would waste is most of the work where texts differ much.
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        lengths, by_tokens = [len(rows[i]) for i in order], self._chunk_size is None and device.type == "cpu"
        if low and device.type == "cpu":  # few lengths: oneDNN makes code for every shape it meets
            most = max_tokens(tower)
            lengths = [padded_length(n) if most is None else min(padded_length(n), most) for n in lengths]
        if by_tokens:
            groups = list(token_batches(lengths, most_texts=len(rows), most_tokens=_CPU_TOKENS))
        else:
            groups = length_groups(lengths, self._chunk_size or 0)
        back = torch.empty(len(order), dtype=torch.int64, device=device)
        back[torch.tensor(order, device=device)] = torch.arange(len(order), device=device)
        with torch.autocast(device.type, torch.bfloat16, enabled=low):
            if by_tokens or self._chunk_size:
                output = chunked(self._features([rows[i] for i in order], device, lengths[-1]), groups)
            else:
                batches = [self._features([rows[i] for i in order[a:b]], device, lengths[b - 1]) for a, b in groups]
                output = torch.cat([whole(features) for features in batches])
        return output.float()[back]

    def _features(self, rows: Sequence[Sequence[Any]], device: torch.device, length: int = 0) -> dict[str, Tensor]:
        return {name: value.to(device) for name, value in self._tokenizer.pad(rows, length).items()}


def length_groups(lengths: Sequence[int], largest: int = 0) -> list[tuple[int, int]]:
    """Cut rows of rising length into groups (start, end) that pad little.

    A group ends before a row a third longer than its shortest, once it has 8 rows, and at `largest` rows (0: no limit).
    """
    groups = []
    start = 0
    for i in range(1, len(lengths) + 1):
        size = i - start
        full = size == largest
        stretched = i < len(lengths) and size >= 8 and lengths[i] > 1.33 * lengths[start]
        if i == len(lengths) or full or stretched:
            groups.append((start, i))
            start = i
    return groups
