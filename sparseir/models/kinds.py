"""From a ModelConfig to the towers of its kind."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import torch

from sparseir.config.model import EncoderKind, ModelConfig
from sparseir.models.backbone import Backbone, load_backbone
from sparseir.models.encoder import SparseEncoder
from sparseir.models.sources import resolve_source
from sparseir.models.tokenize import TextTokenizer
from sparseir.models.towers import LexicalResidual, MaskedLMTower, StaticQueryTower, Tower

Towers = tuple[Tower, Tower]


def build_encoder(config: ModelConfig) -> SparseEncoder:
    """A fresh encoder over the base weights.

    Raises
    ------
    ConfigError
        The base cannot be found or does not fit the kind.
    """
    folder = resolve_source(config.base)
    backbone = load_backbone(folder, fresh_head_bias=config.fresh_head_bias, head_scale=config.head_scale)
    tokenizer = TextTokenizer.load(folder, backbone.num_terms)
    document, query = _TOWERS[config.kind](config, backbone, tokenizer, folder)
    return SparseEncoder(config, tokenizer, document, query)


def masked_lm_tower(config: ModelConfig, backbone: Backbone, tokenizer: TextTokenizer, *, query: bool) -> MaskedLMTower:
    """The tower of one side of a masked-LM encoder."""
    specials = tokenizer.special_ids if config.zero_specials else ()
    lexical = None
    if config.lexical_residual and not query:
        lexical = LexicalResidual(
            backbone.hidden_size, backbone.num_terms, tokenizer.special_ids, config.lexical_residual_start
        )
    return MaskedLMTower(
        backbone,
        specials,
        pooling=config.pooling,
        activation="log1p" if query else config.activation,
        top_k=config.top_k_query if query else config.top_k_document,
        lexical=lexical,
    )


def _same_settings(config: ModelConfig) -> bool:
    """Whether one tower can stand on both sides: nothing but the side differs."""
    return config.activation == "log1p" and config.top_k_query == config.top_k_document and not config.lexical_residual


def _splade(config: ModelConfig, backbone: Backbone, tokenizer: TextTokenizer, folder: Path) -> Towers:
    document = masked_lm_tower(config, backbone, tokenizer, query=False)
    if config.shared_towers and _same_settings(config):
        return document, document
    own = backbone if config.shared_towers else copy.deepcopy(backbone)
    return document, masked_lm_tower(config, own, tokenizer, query=True)


def _static(config: ModelConfig, backbone: Backbone, tokenizer: TextTokenizer, folder: Path) -> Towers:
    document = masked_lm_tower(config, backbone, tokenizer, query=False)
    trainable = config.kind == "inference_free" and config.trainable_idf
    query = StaticQueryTower(torch.ones(backbone.num_terms), tokenizer.special_ids, trainable=trainable)
    return document, query


_TOWERS: dict[EncoderKind, Callable[[ModelConfig, Backbone, TextTokenizer, Path], Towers]] = {
    "splade": _splade,
    "splade_doc": _static,
    "inference_free": _static,
}
