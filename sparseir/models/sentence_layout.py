"""The folder layout of sentence-transformers' SparseEncoder, written as 5.0 and read as 5.0 to 6.x.

    modules.json                    the modules in order: MLMTransformer + SpladePooling, or one Router
    router_config.json              the Router's routes: query, document
    <module>/…                      each module's files: weights, tokenizer, config

Where queries are looked up the query route is one SparseStaticEmbedding. A lexical residual is a module of this
package after the pooling: sentence-transformers loads it where sparseir is installed (trust_remote_code=True).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from sparseir.config.model import ModelConfig
from sparseir.errors import ConfigError
from sparseir.models.backbone import load_backbone, quiet_transformers
from sparseir.models.encoder import SparseEncoder
from sparseir.models.kinds import masked_lm_tower
from sparseir.models.tokenize import TextTokenizer
from sparseir.models.towers import MaskedLMTower, StaticQueryTower, Tower

_PACKAGE = "sentence_transformers.sparse_encoder.models"
MLM = f"{_PACKAGE}.MLMTransformer"
POOLING = f"{_PACKAGE}.SpladePooling"
STATIC = f"{_PACKAGE}.SparseStaticEmbedding"
ROUTER = "sentence_transformers.models.Router"
LEXICAL = "sparseir.models.sentence_modules.LexicalResidualModule"

_ACTIVATIONS = {"log1p": "relu", "double_log1p": "log1p_relu"}


@dataclass(frozen=True, slots=True)
class _Module:
    """One entry of a route: the last part of its class name and its folder."""

    name: str
    folder: Path


def is_sparse_layout(folder: Path) -> bool:
    """Whether the folder holds modules this reader takes for a sparse encoder."""
    routes = _routes(folder)
    return any(m.name in ("SpladePooling", "SparseStaticEmbedding") for route in routes.values() for m in route)


def write_sentence_layout(encoder: SparseEncoder, folder: Path) -> None:
    """Write both towers; each in the module files sentence-transformers expects."""
    document, query = encoder.document_tower, encoder.query_tower
    if document is query:
        modules = _write_route(encoder, document, folder, "", root=True)
        listed = [
            {"idx": i, "name": str(i), "path": path, "type": kind} for i, (path, kind) in enumerate(modules.items())
        ]
    else:
        routes = {
            side: _write_route(encoder, tower, folder, side, root=False)
            for side, tower in (("query", query), ("document", document))
        }
        router = {
            "types": {name: kind for route in routes.values() for name, kind in route.items()},
            "structure": {side: list(route) for side, route in routes.items()},
            "parameters": {"default_route": "document", "allow_empty_key": True},
        }
        _write_json(folder / "router_config.json", router)
        listed = [{"idx": 0, "name": "0", "path": "", "type": ROUTER}]
    _write_json(folder / "modules.json", listed)
    _write_json(
        folder / "config_sentence_transformers.json",
        {
            "model_type": "SparseEncoder",
            "prompts": {"query": "", "document": ""},
            "default_prompt_name": None,
            "similarity_fn_name": "dot",
        },
    )


def _write_route(encoder: SparseEncoder, tower: Tower, folder: Path, side: str, *, root: bool) -> dict[str, str]:
    """Write one tower's modules; module folder → type."""
    if isinstance(tower, StaticQueryTower):
        name = f"{side}_0_SparseStaticEmbedding"
        (folder / name).mkdir(exist_ok=True)
        encoder.tokenizer.tokenizer.save_pretrained(str(folder / name))
        save_file({"weight": tower.table().detach().cpu().contiguous()}, str(folder / name / "model.safetensors"))
        _write_json(folder / name / "config.json", {"frozen": not tower.weight.requires_grad})
        return {name: STATIC}
    if not isinstance(tower, MaskedLMTower):
        raise ConfigError(f"a {type(tower).__name__} has no place in the layout of sentence-transformers")
    query = side == "query"
    length = encoder.config.max_query_length if query else encoder.config.max_document_length
    transformer = "" if root else f"{side}_0_MLMTransformer"
    pooling = "1_SpladePooling" if root else f"{side}_1_SpladePooling"
    _write_masked_lm(tower, encoder.tokenizer, folder / transformer, length)
    (folder / pooling).mkdir(exist_ok=True)
    _write_json(
        folder / pooling / "config.json",
        {
            "pooling_strategy": tower.pooling,
            "activation_function": _ACTIVATIONS[tower.activation],
            "word_embedding_dimension": tower.num_terms,
        },
    )
    modules = {transformer: MLM, pooling: POOLING}
    if tower.lexical is not None:
        lexical = f"{side}_2_LexicalResidual"
        (folder / lexical).mkdir(exist_ok=True)
        state = {name: value.detach().cpu().contiguous() for name, value in tower.lexical.state_dict().items()}
        save_file(state, str(folder / lexical / "model.safetensors"))
        specials = [i for i in range(tower.num_terms) if not bool(tower.lexical.counts[i])]
        _write_json(
            folder / lexical / "config.json",
            {"hidden_size": tower.backbone.hidden_size, "num_terms": tower.num_terms, "special_ids": specials},
        )
        modules[lexical] = LEXICAL
    return modules


def _write_masked_lm(tower: MaskedLMTower, tokenizer: TextTokenizer, folder: Path, max_length: int) -> None:
    tower.silence_specials()
    folder.mkdir(exist_ok=True)
    with quiet_transformers():
        tower.backbone.model.save_pretrained(str(folder))
    tokenizer.tokenizer.save_pretrained(str(folder))
    length = min(max_length, tower.backbone.max_length)
    _write_json(folder / "sentence_bert_config.json", {"max_seq_length": length, "do_lower_case": False})


def read_sentence_layout(folder: Path, config: ModelConfig | None, *, base: str) -> SparseEncoder:
    """An encoder from the layout; without our own description (`config`) the modules say what it is.

    Raises
    ------
    ConfigError
        Modules this reader does not know, or files that are missing.
    """
    routes = _routes(folder)
    if not routes:
        raise ConfigError(f"{folder}: modules.json is missing or lists no modules")
    document_route = routes.get("document") or next(iter(routes.values()))
    query_route = routes.get("query", document_route)
    if config is None:
        config = _infer_config(query_route, document_route, base)
    backbone = load_backbone(document_route[0].folder, fresh_head_bias=config.fresh_head_bias)
    tokenizer = TextTokenizer.load(document_route[0].folder, backbone.num_terms)
    document = masked_lm_tower(config, backbone, tokenizer, query=False)
    _load_lexical(document, document_route)
    query: Tower
    if query_route is document_route:
        query = document
    elif query_route[0].name == "SparseStaticEmbedding":
        query = _read_static(query_route[0].folder, config, tokenizer)
    else:
        other = load_backbone(query_route[0].folder, fresh_head_bias=config.fresh_head_bias)
        query = masked_lm_tower(config, other, tokenizer, query=True)
    return SparseEncoder(config, tokenizer, document, query)


def _infer_config(query: list[_Module], document: list[_Module], base: str) -> ModelConfig:
    names = [m.name for m in document]
    if len(names) != 2 or names[1] != "SpladePooling":
        raise ConfigError(f"{base}: modules {', '.join(names)} are not a sparse encoder this build knows")
    pooling = _read_object(document[1].folder / "config.json")
    activations = {theirs: ours for ours, theirs in _ACTIVATIONS.items()}
    length = _max_length(document[0].folder)
    return ModelConfig(
        kind="inference_free" if query[0].name == "SparseStaticEmbedding" else "splade",
        base=base,
        shared_towers=query is document,
        pooling=pooling.get("pooling_strategy", "max"),
        activation=activations[pooling.get("activation_function", "relu")],  # type: ignore[arg-type]
        max_document_length=length,
        max_query_length=length if query[0].name == "SparseStaticEmbedding" else _max_length(query[0].folder),
        zero_specials=False,  # whoever wrote the folder has decided; the bias of its decoder says it
    )


def _max_length(folder: Path) -> int:
    for name, key in (
        ("sentence_bert_config.json", "max_seq_length"),
        ("tokenizer_config.json", "model_max_length"),
        ("config.json", "max_position_embeddings"),
    ):
        path = folder / name
        value = _read_object(path).get(key) if path.is_file() else None
        if isinstance(value, int) and 0 < value < 1 << 20:  # tokenizers write 10³⁰ for 'no limit'
            return value
    return 512


def _read_static(folder: Path, config: ModelConfig, tokenizer: TextTokenizer) -> StaticQueryTower:
    weights = folder / "model.safetensors"
    if weights.is_file():
        table = load_file(str(weights))["weight"].float()
    else:
        name = _read_object(folder / "config.json").get("path") or "idf.json"
        idf: Mapping[str, float] = _read_object(folder / Path(name).name)
        table = torch.zeros(tokenizer.num_terms)
        vocabulary = tokenizer.tokenizer.get_vocab()
        for token, weight in idf.items():
            if token in vocabulary:
                table[vocabulary[token]] = weight
    if len(table) < tokenizer.num_terms:
        table = nn.functional.pad(table, (0, tokenizer.num_terms - len(table)))
    trainable = config.kind == "inference_free" and config.trainable_idf
    return StaticQueryTower(table, tokenizer.special_ids, trainable=trainable)


def _load_lexical(tower: MaskedLMTower, route: list[_Module]) -> None:
    if tower.lexical is None:
        return
    for module in route:
        if module.name == "LexicalResidualModule":
            tower.lexical.load_state_dict(load_file(str(module.folder / "model.safetensors")))
            return
    raise ConfigError(f"{route[0].folder.parent}: the files of the lexical residual are missing")


def _routes(folder: Path) -> dict[str, list[_Module]]:
    """Route name → modules; a plain sequence is the one route ''."""
    path = folder / "modules.json"
    if not path.is_file():
        return {}
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        modules = [_Module(str(m["type"]).rpartition(".")[2], folder / m["path"]) for m in listed]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: not a list of modules: {error}") from error
    if len(modules) != 1 or modules[0].name not in ("Router", "Asym"):
        return {"": modules} if modules else {}
    home = modules[0].folder
    router = _read_object(home / "router_config.json")
    types: dict[str, str] = router.get("types", {})
    return {
        str(side): [_Module(types[name].rpartition(".")[2], home / name) for name in names]
        for side, names in router.get("structure", {}).items()
    }


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: expected a JSON object, found {type(value).__name__}")
    return value


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
