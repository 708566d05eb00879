"""Texts to the integer tensors a network reads."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from sparseir.errors import ConfigError
from sparseir.models.loading import loading
from sparseir.models.panics import Tokenizing
from sparseir.models.stemmed import StemmedTokenizer

logger = logging.getLogger(__name__)


class TextTokenizer:
    """A fast tokenizer of transformers, with the ids of its special tokens at hand.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerFast.
    num_terms : size of the vocabulary the network scores, at least the tokenizer's.
    """

    def __init__(self, tokenizer: Any, num_terms: int) -> None:
        if len(tokenizer) > num_terms:
            raise ConfigError(
                f"the tokenizer does not match the model: it has {len(tokenizer)} tokens, the model scores {num_terms} "
                "terms; use the tokenizer the model was trained with"
            )
        self.tokenizer = tokenizer
        self.num_terms = num_terms
        self.special_ids: tuple[int, ...] = tuple(sorted(set(tokenizer.all_special_ids)))
        if num_terms - len(tokenizer) > max(1024, num_terms // 20):  # vocabularies are padded, but not by that much
            logger.warning(
                "the tokenizer may not match the model: it has %d tokens, the model scores %d terms",
                len(tokenizer),
                num_terms,
            )

    @property
    def silent_terms(self) -> tuple[int, ...]:
        """Terms of the vectors that never weigh anything."""
        return self.special_ids

    @classmethod
    def load(cls, folder: Path, num_terms: int) -> TextTokenizer:
        from transformers import AutoTokenizer

        with loading(folder, "no tokenizer that transformers can load"):
            tokenizer = AutoTokenizer.from_pretrained(str(folder), use_fast=True, trust_remote_code=False)
        if not getattr(tokenizer, "is_fast", False):
            raise ConfigError(f"{folder}: the tokenizer has no tokenizer.json; convert it to a fast one")
        return cls(tokenizer, num_terms)

    def __call__(self, texts: Sequence[str], max_length: int) -> dict[str, Tensor]:
        """input_ids and attention_mask, int64 (B, L), padded on the right to the longest text and cut at max_length."""
        return self.pad(self.rows(texts, max_length))

    def rows(self, texts: Sequence[str], max_length: int) -> list[list[Any]]:
        """What `pad` makes a batch of: per text one entry a token, specials included, cut at max_length.

        Here the token ids.
        """
        if not texts:
            return []
        with Tokenizing(texts):
            encoded = self.tokenizer(
                list(texts), truncation=True, max_length=max_length, padding=False, return_attention_mask=False
            )
        rows: list[list[Any]] = encoded["input_ids"]
        return rows

    def count_longer(self, texts: Sequence[str], max_length: int) -> int:
        """How many of the texts have more than max_length tokens, specials included, so that `rows` cuts them."""
        # A token stands for a byte or more, so most texts need no second look; 8 for specials and a leading space.
        long = [text for text in texts if 4 * len(text) + 8 > max_length and len(text.encode()) + 8 > max_length]
        if not long:
            return 0
        with Tokenizing(long):
            encoded = self.tokenizer(long, truncation=True, max_length=max_length, padding=False)
        return sum(bool(encoding.overflowing) for encoding in encoded.encodings)

    def pad(self, rows: Sequence[Sequence[Any]], length: int = 0) -> dict[str, Tensor]:
        """Rows as one batch, as long as the longest of them, or as `length` where that is more."""
        longest = max((len(r) for r in rows), default=0)
        longest = max(longest, length)
        input_ids = torch.full((len(rows), longest), self.tokenizer.pad_token_id or 0, dtype=torch.int64)
        mask = torch.zeros(len(rows), longest, dtype=torch.int64)
        for i, row in enumerate(rows):
            input_ids[i, : len(row)] = torch.tensor(row, dtype=torch.int64)
            mask[i, : len(row)] = 1
        return {"input_ids": input_ids, "attention_mask": mask}

    def uncut(self) -> Tokenizer | StemmedTokenizer:
        """From whole texts to the ids of terms."""
        return self.word_pieces()

    def word_pieces(self) -> Tokenizer:
        """A copy of the network's tokenizer, with truncation and padding switched off."""
        copy = Tokenizer.from_str(self.tokenizer.backend_tokenizer.to_str())
        copy.no_truncation()
        copy.no_padding()
        return copy

    def terms(self) -> list[str]:
        """The vocabulary string of every term id; ids the tokenizer does not know are written [id]."""
        names = [f"[{i}]" for i in range(self.num_terms)]
        for token, i in self.tokenizer.get_vocab().items():
            names[i] = token
        return names
