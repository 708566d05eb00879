"""Masked LM: the warm-up of a vocabulary head on plain text."""

from __future__ import annotations

import torch
from torch import Tensor

from indexer.progress import Progress
from sparseir.config.recipe import Recipe
from sparseir.errors import ConfigError
from sparseir.losses.ranking import masked_language_model
from sparseir.models.encoder import SparseEncoder
from sparseir.models.inference import multiplies_bfloat16
from sparseir.models.towers.masked_lm import MaskedLMTower
from sparseir.train.loop.objective import Objective
from sparseir.train.loop.parallel import own_share, world
from sparseir.train.material.batches import TextBatch, TextBatches
from sparseir.train.material.collection import TrainingSet
from sparseir.train.material.columns import Columns
from sparseir.train.material.idf import corpus_idf

_MASKED = 0.15
"""Share of the tokens that are chosen, as in BERT."""


def build(recipe: Recipe, encoder: SparseEncoder, progress: Progress) -> tuple[Objective, TextBatches]:
    """The objective and its batches.

    Raises
    ------
    ConfigError : an encoder without a masked-LM head or a mask token.
    """
    texts = TrainingSet.read(recipe.data).texts
    idf = corpus_idf(recipe, encoder, texts)
    _check(encoder)
    return MaskedLM(encoder, recipe, idf), TextBatches([text for text in texts if text.strip()], recipe.train)


def _check(encoder: SparseEncoder) -> None:
    if not isinstance(encoder.document_tower, MaskedLMTower):
        raise ConfigError(f"loss.objective: masked_lm trains a masked-LM head, which a {encoder.kind} encoder has not")
    if encoder.tokenizer.tokenizer.mask_token_id is None:
        raise ConfigError(
            f"loss.objective: masked_lm needs a mask token, which the tokenizer of {encoder.config.base} lacks"
        )


class MaskedLM(Objective):
    """Masked tokens guessed by the head, with the regulariser on the vectors the same pass gives.

    Of the tokens chosen, 8 in 10 are masked, one is replaced by a random token and one kept (Devlin et al. 2019).
    """

    def forward(self, batch: TextBatch) -> Tensor:
        tower = self.encoder.document_tower
        assert isinstance(tower, MaskedLMTower)
        texts = batch.texts[own_share(len(batch.texts))]
        features = self.encoder.tokenizer(texts, self._document_length)
        features = {name: value.to(self.encoder.device) for name, value in features.items()}
        masked, chosen, labels = self._mask(features["input_ids"], features["attention_mask"], batch.number)
        lengths = features["attention_mask"].sum(1).tolist()
        rows = [row[:length] for row, length in zip(masked.tolist(), lengths, strict=True)]
        states, decoder = self._encode.states(tower, rows)[chosen], tower.backbone.decoder
        device = self.encoder.device
        low = self.recipe.train.bf16 and multiplies_bfloat16(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=low):
            loss = masked_language_model(states, labels, decoder.weight, decoder.bias)
        self.figures = {"masked_lm": float(loss.detach())}
        if self.recipe.regulariser.kind == "none":  # then nothing asks for vectors, which cost a second pass
            return loss
        columns = Columns(None, self.encoder.num_terms, self.encoder.num_terms)
        return self._with_penalty(loss / world()[1], self._documents(batch.texts).unsqueeze(1), columns)

    def _mask(self, ids: Tensor, mask: Tensor, number: int) -> tuple[Tensor, Tensor, Tensor]:
        tokenizer = self.encoder.tokenizer
        rng = torch.Generator().manual_seed((self.recipe.train.seed * 1_000_003 + number) * 64 + world()[0])
        special = torch.isin(ids.cpu(), torch.tensor(tokenizer.special_ids)) | (mask.cpu() == 0)
        chosen = (torch.rand(ids.shape, generator=rng) < _MASKED) & ~special
        fate = torch.rand(ids.shape, generator=rng)
        random = torch.randint(self.encoder.num_terms, ids.shape, generator=rng)
        masked = torch.where(chosen & (fate < 0.8), tokenizer.tokenizer.mask_token_id, ids.cpu())
        masked = torch.where(chosen & (fate >= 0.9), random, masked)
        return masked.to(ids.device), chosen.to(ids.device), ids[chosen.to(ids.device)]
