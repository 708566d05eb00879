"""From a ModelConfig to the parts of an encoder of its kind."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from sparseir.config.model import EncoderKind, ModelConfig
from sparseir.models.loading import loading
from sparseir.models.networks.backbone import Backbone, load_backbone
from sparseir.models.networks.context import load_context_encoder
from sparseir.models.networks.embedding import read_embedding
from sparseir.models.parts import EncoderParts
from sparseir.models.sources import resolve_source
from sparseir.models.tokenize import TextTokenizer
from sparseir.models.towers.coil import CoilTower
from sparseir.models.towers.csr import CsrTower, DenseEncoder, SparseAutoencoder
from sparseir.models.towers.deepct import DeepCtTower
from sparseir.models.towers.lookup import StaticQueryTower
from sparseir.models.towers.masked_lm import MaskedLMTower
from sparseir.models.towers.own_tokens import DeepImpactTower, OwnTokenTower, WordQueryTower, WordTokenizer
from sparseir.models.towers.residual import LexicalResidual
from sparseir.models.towers.tower import Tower

WORDS_FILE = "words.txt"
"""Beside a network that weighs whole words: its vocabulary, a word a line."""

LEXICAL_HEAD_FILE = "sparse_linear.pt"
"""Beside BAAI's BGE-M3 network: the layer that weighs its tokens."""


def build_parts(config: ModelConfig, folder: Path | None = None) -> EncoderParts:
    """The parts of a fresh encoder over the base weights, read from `folder` where given.

    Raises
    ------
    ConfigError
        The base cannot be found or does not fit the kind.
    """
    place = folder or resolve_source(config.base)
    with loading(place, "a model folder that does not fit its description"):
        return BUILDERS[config.kind](config, place)


def masked_lm_tower(config: ModelConfig, backbone: Backbone, tokenizer: TextTokenizer, *, query: bool) -> MaskedLMTower:
    """The tower of one side of a masked-LM encoder."""
    lexical = None
    if config.lexical_residual and not query:
        lexical = LexicalResidual(
            backbone.hidden_size, backbone.num_terms, tokenizer.special_ids, config.lexical_residual_start
        )
    return MaskedLMTower(
        backbone,
        tokenizer.special_ids if config.zero_specials else (),
        pooling=config.pooling,
        activation="log1p" if query else config.activation,
        top_k=config.top_k_query if query else config.top_k_document,
        lexical=lexical,
    )


def _backbone(config: ModelConfig, folder: Path) -> tuple[Backbone, TextTokenizer]:
    backbone = load_backbone(folder, fresh_head_bias=config.fresh_head_bias, head_scale=config.head_scale)
    return backbone, TextTokenizer.load(folder, backbone.num_terms)


def _splade(config: ModelConfig, folder: Path) -> EncoderParts:
    backbone, tokenizer = _backbone(config, folder)
    document = masked_lm_tower(config, backbone, tokenizer, query=False)
    # One tower can stand on both sides when nothing but the side differs.
    same = config.activation == "log1p" and config.top_k_query == config.top_k_document and not config.lexical_residual
    if config.shared_towers and same:
        return EncoderParts(config, tokenizer, document, document)
    own = backbone if config.shared_towers else copy.deepcopy(backbone)
    return EncoderParts(config, tokenizer, document, masked_lm_tower(config, own, tokenizer, query=True))


def _static_queries(config: ModelConfig, folder: Path) -> EncoderParts:
    backbone, tokenizer = _backbone(config, folder)
    document = masked_lm_tower(config, backbone, tokenizer, query=False)
    query = StaticQueryTower(torch.ones(backbone.num_terms), tokenizer.special_ids, trainable=config.trainable_idf)
    return EncoderParts(config, tokenizer, document, query)


def _own_tokens(config: ModelConfig, folder: Path) -> EncoderParts:
    context = load_context_encoder(folder)
    tokenizer = TextTokenizer.load(folder, context.num_terms)
    specials = tokenizer.special_ids if config.zero_specials else ()
    document: Tower
    if config.kind in ("coil_tok", "coil_full"):
        whole = config.cls_dim if config.kind == "coil_full" else 0
        document = CoilTower(context, specials, config.token_dim, cls_dim=whole)
    else:
        document = OwnTokenTower(context, specials, top_k=config.top_k_document)
        if config.kind == "bge_m3" and (folder / LEXICAL_HEAD_FILE).is_file():
            _read_lexical_head(document.importance, folder / LEXICAL_HEAD_FILE)
    query: Tower = document if config.shared_towers else copy.deepcopy(document)
    if isinstance(query, CoilTower):
        query = query.summing()
    if config.kind == "unicoil":
        assert isinstance(query, OwnTokenTower)
        query = query.summing(config.top_k_query)
    return EncoderParts(config, tokenizer, document, query)


def _read_lexical_head(layer: torch.nn.Linear, path: Path) -> None:
    """BGE-M3's relu(Linear(h, 1)), pickled as the state of the layer; nothing but tensors is unpickled."""
    with loading(path, f"expected the weight (1, {layer.in_features}) and bias (1) of a linear layer"):
        layer.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))


def _of_words(config: ModelConfig, folder: Path) -> EncoderParts:
    listed = folder / WORDS_FILE
    words = listed.read_text(encoding="utf-8").split("\n")[:-1] if listed.is_file() else None
    return word_parts(config, folder, words)


def word_parts(config: ModelConfig, folder: Path, words: Sequence[str] | None) -> EncoderParts:
    """DeepImpact or DeepCT over a word vocabulary; None: the whole words of the tokenizer's."""
    context = load_context_encoder(folder)
    stemmer = config.deepct_stemmer if config.kind == "deepct" else "none"
    tokenizer = WordTokenizer(TextTokenizer.load(folder, context.num_terms), words, stemmer=stemmer)
    size = len(tokenizer.words)
    document: Tower
    if config.kind == "deepct":
        document = DeepCtTower(context, size, k1=config.deepct_k1, b=config.deepct_b, top_k=config.top_k_document)
    else:
        document = DeepImpactTower(context, size, top_k=config.top_k_document)
    return EncoderParts(config, tokenizer, document, WordQueryTower(size))


def _csr(config: ModelConfig, folder: Path) -> EncoderParts:
    context = load_context_encoder(folder)
    tokenizer = TextTokenizer.load(folder, context.num_terms)
    stated = read_embedding(folder)
    dense = DenseEncoder(context, pooling=stated.pooling, normalise=stated.normalise)
    autoencoder = SparseAutoencoder(
        context.hidden_size,
        config.csr_expansion * context.hidden_size,
        k=config.csr_k,
        dead_after=config.csr_dead_after,
    )
    tower = CsrTower(dense, autoencoder, normalise=config.csr_normalise)
    return EncoderParts(config, tokenizer, tower, tower)


BUILDERS: dict[EncoderKind, Callable[[ModelConfig, Path], EncoderParts]] = {
    "splade": _splade,
    "splade_doc": _static_queries,
    "inference_free": _static_queries,
    "unicoil": _own_tokens,
    "bge_m3": _own_tokens,
    "deepct": _of_words,
    "coil_tok": _own_tokens,
    "coil_full": _own_tokens,
    "deepimpact": _of_words,
    "csr": _csr,
}
"""By `model.kind`."""
