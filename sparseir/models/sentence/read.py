"""Reading an encoder from the layout of `layout`, ours or another writer's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from sparseir.config.model import ModelConfig
from sparseir.errors import ConfigError
from sparseir.models.kinds import build_parts, masked_lm_tower
from sparseir.models.loading import loading, read_tensors
from sparseir.models.networks.backbone import load_backbone
from sparseir.models.parts import EncoderParts
from sparseir.models.sentence.layout import ACTIVATIONS, TOWER_WEIGHTS, Module, read_json, read_routes
from sparseir.models.tokenize import TextTokenizer
from sparseir.models.towers.csr import CsrTower
from sparseir.models.towers.lookup import StaticQueryTower
from sparseir.models.towers.masked_lm import MaskedLMTower
from sparseir.models.towers.tower import Tower

_SPARSE = ("SpladePooling", "SparseStaticEmbedding", "SparseAutoEncoder", "TowerModule")


def is_sparse_layout(folder: Path) -> bool:
    """Whether the folder lists modules this reader takes for a sparse encoder."""
    return any(m.name in _SPARSE for route in read_routes(folder).values() for m in route)


def read_sentence_layout(folder: Path, config: ModelConfig | None, *, base: str) -> EncoderParts:
    """The parts of an encoder from the layout; without our own description (`config`) the modules say what it is.

    Raises
    ------
    ConfigError
        Modules this reader does not know, or files that are missing.
    """
    routes = read_routes(folder)
    if not routes:
        raise ConfigError(f"{folder}: modules.json is missing or lists no modules")
    document = routes.get("document") or next(iter(routes.values()))
    query = routes.get("query", document)
    with loading(folder, "a model folder that does not fit its description"):
        return _read_routes(folder, query, document, config, base)


def _read_routes(
    folder: Path, query: list[Module], document: list[Module], config: ModelConfig | None, base: str
) -> EncoderParts:
    if config is None:
        config = _infer_config(query, document, base)
    if document[0].name == "TowerModule":
        return _read_own(query, document, config)
    if "SparseAutoEncoder" in [module.name for module in document]:
        return _read_csr(folder, document, config)
    return _read_masked_lm(query, document, config)


def _infer_config(query: list[Module], document: list[Module], base: str) -> ModelConfig:
    names = [m.name for m in document]
    length = _max_length(document[0].folder)
    scaled = names[-2:] == ["SparseAutoEncoder", "Normalize"]
    if (names[-1] == "SparseAutoEncoder" or scaled) and query == document:
        stated = read_json(document[-2 if scaled else -1].folder / "config.json")
        if stated.get("normalize"):
            raise ConfigError(f"{base}: a SparseAutoEncoder with normalize=true is not supported; retrain it without")
        return ModelConfig(
            kind="csr",
            base=base,
            csr_k=int(stated["k"]),
            csr_expansion=int(stated["hidden_dim"]) // int(stated["input_dim"]),
            csr_normalise=scaled,
            csr_dead_after=int(stated.get("dead_threshold", 30)),
            max_document_length=length,
            max_query_length=length,
        )
    if len(names) != 2 or names[1] != "SpladePooling":
        raise ConfigError(f"{base}: modules {', '.join(names)} are not a sparse encoder this build knows")
    pooling = read_json(document[1].folder / "config.json")
    activations = {theirs: ours for ours, theirs in ACTIVATIONS.items()}
    static = query[0].name == "SparseStaticEmbedding"
    return ModelConfig(
        kind="inference_free" if static else "splade",
        base=base,
        shared_towers=query == document,
        pooling=pooling.get("pooling_strategy", "max"),
        activation=activations[pooling.get("activation_function", "relu")],  # type: ignore[arg-type]
        max_document_length=length,
        max_query_length=length if static else _max_length(query[0].folder),
        zero_specials=False,  # whoever wrote the folder has decided; the bias of its decoder says it
    )


def _max_length(folder: Path) -> int:
    for name, key in (
        ("sentence_bert_config.json", "max_seq_length"),
        ("tokenizer_config.json", "model_max_length"),
        ("config.json", "max_position_embeddings"),
    ):
        path = folder / name
        value = read_json(path).get(key) if path.is_file() else None
        if isinstance(value, int) and 0 < value < 1 << 20:  # tokenizers write 10³⁰ for 'no limit'
            return value
    return 512


def _read_masked_lm(query_route: list[Module], route: list[Module], config: ModelConfig) -> EncoderParts:
    backbone = load_backbone(route[0].folder, fresh_head_bias=config.fresh_head_bias)
    tokenizer = TextTokenizer.load(route[0].folder, backbone.num_terms)
    document = masked_lm_tower(config, backbone, tokenizer, query=False)
    query: Tower
    if query_route == route:
        # A folder of one route serves both sides with one tower, whatever the activation.
        query = document
    elif query_route[0].name == "SparseStaticEmbedding":
        query = _read_static(query_route[0].folder, config, tokenizer)
    else:
        other = load_backbone(query_route[0].folder, fresh_head_bias=config.fresh_head_bias)
        query = masked_lm_tower(config, other, tokenizer, query=True)
        assert isinstance(query, MaskedLMTower)
        stated = read_json(query_route[1].folder / "config.json")
        query.activation = "double_log1p" if stated.get("activation_function") == "log1p_relu" else "log1p"
        query.pooling = stated.get("pooling_strategy", "max")
    return EncoderParts(config, tokenizer, document, query)


def _read_static(folder: Path, config: ModelConfig, tokenizer: TextTokenizer) -> StaticQueryTower:
    weights = folder / "model.safetensors"
    if weights.is_file():
        table = read_tensors(weights)["weight"].float()
    else:
        name = read_json(folder / "config.json").get("path") or "idf.json"
        idf: Mapping[str, float] = read_json(folder / Path(name).name)
        table = torch.zeros(tokenizer.num_terms)
        vocabulary = tokenizer.tokenizer.get_vocab()
        for token, weight in idf.items():
            if token in vocabulary:
                table[vocabulary[token]] = weight
    if len(table) < tokenizer.num_terms:
        table = nn.functional.pad(table, (0, tokenizer.num_terms - len(table)))
    return StaticQueryTower(table, tokenizer.special_ids, trainable=config.trainable_idf)


def _read_csr(folder: Path, route: list[Module], config: ModelConfig) -> EncoderParts:
    parts = build_parts(config, folder)
    tower = parts.document_tower
    assert isinstance(tower, CsrTower)
    home = next(module.folder for module in route if module.name == "SparseAutoEncoder")
    state = read_tensors(home / "model.safetensors")
    weight = state.get("encoder.weight", state.get("decoder.linear.weight"))
    if weight is None or weight.shape != tower.autoencoder.encoder.weight.shape:
        raise ConfigError(f"{home}: the autoencoder's weights are missing or do not fit its description")
    with torch.no_grad():
        tower.autoencoder.encoder.weight.copy_(weight)
        tower.autoencoder.pre_bias.copy_(state["pre_bias"])
        tower.autoencoder.latent_bias.copy_(state["latent_bias"])
        if "stats_last_nonzero" in state:
            tower.autoencoder.since_active.copy_(state["stats_last_nonzero"])
    return parts


def _read_own(query: list[Module], document: list[Module], config: ModelConfig) -> EncoderParts:
    # The head of the network was written with it: nothing is left to scale.
    written = replace(config, head_scale=1.0)
    parts = replace(build_parts(written, document[0].folder), config=config)
    _load_tower(parts.document_tower, document[0].folder)
    if query[0].name == "SparseStaticEmbedding":
        return replace(parts, query_tower=_read_static(query[0].folder, config, parts.tokenizer))
    if query != document:
        if not parts.query_tower.looked_up and not parts.shares_network:
            parts = replace(parts, query_tower=build_parts(written, query[0].folder).query_tower)
        _load_tower(parts.query_tower, query[0].folder)
    return parts


def _load_tower(tower: Tower, folder: Path) -> None:
    path = folder / TOWER_WEIGHTS
    if not path.is_file():
        raise ConfigError(f"{path}: missing")
    state = read_tensors(path)
    expected = {key for key in tower.state_dict() if not key.startswith(("backbone.", "context."))}
    if set(state) != expected:
        raise ConfigError(f"{path}: holds {sorted(state)}, expected {sorted(expected)}")
    tower.load_state_dict(state, strict=False)
