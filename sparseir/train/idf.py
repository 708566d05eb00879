"""idf of the training texts: the first query weights of an inference-free encoder, and what a penalty may weigh words by."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sparseir.config.recipe import Recipe
from sparseir.errors import ConfigError
from sparseir.losses.regularisers import PENALTIES
from sparseir.models.encoder import SparseEncoder
from sparseir.models.query_table import idf_weights


def corpus_idf(recipe: Recipe, encoder: SparseEncoder, texts: Sequence[str]) -> Tensor | None:
    """idf of the training texts, (V,), where the regulariser reads it; the query weights of a fresh inference-free encoder.

    Raises
    ------
    ConfigError : idf_flops for latents, which no text holds.
    """
    kind = recipe.regulariser.kind
    penalised = PENALTIES[kind].reads_idf
    if penalised and encoder.document_tower.latent:
        raise ConfigError(
            f"regulariser.kind: {kind} weighs words; the terms of {encoder.kind} are latents. Take flops, l1 or none"
        )
    asked = recipe.model.idf_queries and recipe.train.idf == "corpus"
    if not penalised and not asked:
        return None
    idf = idf_weights(encoder.document_frequency(texts), len(texts))
    if asked:
        encoder.set_query_weights(idf)
    out = torch.from_numpy(idf)
    out[list(encoder.tokenizer.silent_terms)] = 0.0
    return out
