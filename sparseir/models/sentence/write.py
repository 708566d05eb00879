"""Writing an encoder in the layout of `layout`."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from sparseir.errors import ConfigError
from sparseir.models.kinds import WORDS_FILE
from sparseir.models.networks.backbone import Backbone, quiet_transformers
from sparseir.models.networks.context import ContextEncoder
from sparseir.models.parts import EncoderParts
from sparseir.models.sentence import layout
from sparseir.models.sentence.layout import write_json
from sparseir.models.towers.csr import CsrTower
from sparseir.models.towers.lookup import StaticQueryTower
from sparseir.models.towers.masked_lm import MaskedLMTower
from sparseir.models.towers.own_tokens import WordQueryTower, WordTokenizer
from sparseir.models.towers.tower import Tower


def write_sentence_layout(parts: EncoderParts, folder: Path) -> None:
    """Write both towers, each as the modules sentence-transformers expects, or as ours."""
    document, query = parts.document_tower, parts.query_tower
    # Both networks as ours where one needs it: the reader then finds one layout.
    own = _is_own(document) or _is_own(query)
    if document is query and not own:
        modules = _write_route(parts, document, folder, "", own=False)
        listed = [{"idx": i, "name": str(i), "path": path, "type": kind} for i, (path, kind) in enumerate(modules)]
    else:
        routes = {"document": _write_route(parts, document, folder, "document", own=own)}
        routes["query"] = (
            routes["document"] if document is query else _write_route(parts, query, folder, "query", own=own)
        )
        router = {
            "types": {name: kind for route in routes.values() for name, kind in route},
            "structure": {side: [name for name, _ in routes[side]] for side in ("query", "document")},
            "parameters": {"default_route": "document", "allow_empty_key": True},
        }
        write_json(folder / "router_config.json", router)
        listed = [{"idx": 0, "name": "0", "path": "", "type": layout.ROUTER}]
    write_json(folder / "modules.json", listed)
    write_json(
        folder / "config_sentence_transformers.json",
        {
            "model_type": "SparseEncoder",
            "prompts": {"query": "", "document": ""},
            "default_prompt_name": None,
            "similarity_fn_name": "dot",
        },
    )


def _is_own(tower: Tower) -> bool:
    """Whether only our own module gives the tower's vectors."""
    if isinstance(tower, WordQueryTower):
        return True
    if isinstance(tower, MaskedLMTower):
        return tower.lexical is not None or tower.top_k is not None
    return not isinstance(tower, (StaticQueryTower, CsrTower))


def _write_route(parts: EncoderParts, tower: Tower, folder: Path, side: str, *, own: bool) -> list[tuple[str, str]]:
    """Write one tower; its (module folder, type) in order. side '' puts the transformer into the root."""
    if type(tower) is StaticQueryTower:
        return _write_static(parts, tower, folder, side)
    if own:
        name = f"{side}_0_TowerModule"
        write_own_module(parts, tower, folder / name, query=side == "query")
        return [(name, layout.TOWER)]
    if isinstance(tower, MaskedLMTower):
        return _write_masked_lm(parts, tower, folder, side)
    assert isinstance(tower, CsrTower)
    return _write_csr(parts, tower, folder, side)


def _write_static(parts: EncoderParts, tower: StaticQueryTower, folder: Path, side: str) -> list[tuple[str, str]]:
    name = f"{side}_0_SparseStaticEmbedding"
    _write_tokenizer(parts, folder / name, num_tokens=tower.num_terms)
    save_file({"weight": _plain(tower.table())}, str(folder / name / "model.safetensors"))
    write_json(folder / name / "config.json", {"frozen": not tower.weight.requires_grad})
    return [(name, layout.STATIC)]


def _write_masked_lm(parts: EncoderParts, tower: MaskedLMTower, folder: Path, side: str) -> list[tuple[str, str]]:
    transformer = f"{side}_0_MLMTransformer" if side else ""
    pooling = f"{side}_1_SpladePooling" if side else "1_SpladePooling"
    tower.silence_specials()
    _write_network(parts, tower, folder / transformer, side)
    (folder / pooling).mkdir(exist_ok=True)
    write_json(
        folder / pooling / "config.json",
        {
            "pooling_strategy": tower.pooling,
            "activation_function": layout.ACTIVATIONS[tower.activation],
            "word_embedding_dimension": tower.num_terms,
        },
    )
    return [(transformer, layout.MLM), (pooling, layout.SPLADE_POOLING)]


def _write_csr(parts: EncoderParts, tower: CsrTower, folder: Path, side: str) -> list[tuple[str, str]]:
    dense, autoencoder = tower.dense, tower.autoencoder
    _write_network(parts, tower, folder, side)
    size = dense.context.hidden_size
    modules = [("", layout.TRANSFORMER), ("1_Pooling", layout.POOLING)]
    (folder / "1_Pooling").mkdir(exist_ok=True)
    write_json(
        folder / "1_Pooling" / "config.json",
        {
            "word_embedding_dimension": size,
            "pooling_mode_cls_token": dense.pooling == "cls",
            "pooling_mode_mean_tokens": dense.pooling == "mean",
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
        },
    )
    if dense.normalise:
        (folder / "2_Normalize").mkdir(exist_ok=True)
        modules.append(("2_Normalize", layout.NORMALIZE))
    last = f"{len(modules)}_SparseAutoEncoder"
    (folder / last).mkdir(exist_ok=True)
    hidden = autoencoder.hidden_size
    write_json(
        folder / last / "config.json",
        {
            "input_dim": size,
            "hidden_dim": hidden,
            "k": autoencoder.k,
            "k_aux": min(1024, hidden),
            "normalize": False,
            "dead_threshold": autoencoder.dead_after,
        },
    )
    state = {
        # Tied to encoder.weight; safetensors stores shared memory under one name, and the loader expects this one.
        "decoder.linear.weight": autoencoder.encoder.weight,
        "pre_bias": autoencoder.pre_bias,
        "latent_bias": autoencoder.latent_bias,
        "stats_last_nonzero": autoencoder.since_active,
    }
    save_file({name: _plain(x) for name, x in state.items()}, str(folder / last / "model.safetensors"))
    modules.append((last, layout.AUTOENCODER))
    if tower.normalise:
        scaled = f"{len(modules)}_Normalize"
        (folder / scaled).mkdir(exist_ok=True)
        modules.append((scaled, layout.NORMALIZE))
    return modules


def write_own_module(parts: EncoderParts, tower: Tower, folder: Path, *, query: bool) -> None:
    """Our module into `folder`: the network as transformers saves it, the tower's other weights beside it."""
    if isinstance(tower, WordQueryTower) or (query and parts.shares_network):
        _write_tokenizer(parts, folder)
    else:
        if isinstance(tower, MaskedLMTower):
            tower.silence_specials()
        _write_network(parts, tower, folder, "query" if query else "document")
    state = {key: _plain(x) for key, x in tower.state_dict().items() if not key.startswith(("backbone.", "context."))}
    save_file(state, str(folder / layout.TOWER_WEIGHTS))
    if isinstance(parts.tokenizer, WordTokenizer):
        (folder / WORDS_FILE).write_text("".join(f"{w}\n" for w in parts.tokenizer.words), encoding="utf-8")


def _write_network(parts: EncoderParts, tower: Tower, folder: Path, side: str) -> None:
    network = next((m.model for m in tower.modules() if isinstance(m, (Backbone, ContextEncoder))), None)
    if network is None:
        raise ConfigError(f"a {type(tower).__name__} holds no network to write")
    _write_tokenizer(parts, folder)
    with quiet_transformers():
        network.save_pretrained(str(folder))
    length = parts.query_length() if side == "query" else parts.document_length()
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": length, "do_lower_case": False})


def _write_tokenizer(parts: EncoderParts, folder: Path, *, num_tokens: int = 0) -> None:
    """The tokenizer, filled up to `num_tokens` with names no text holds: loaders take its size for the vectors'."""
    folder.mkdir(exist_ok=True)
    tokenizer = parts.tokenizer.tokenizer
    if num_tokens > len(tokenizer):
        tokenizer = copy.deepcopy(tokenizer)
        tokenizer.add_tokens([f"<|unused_{i}|>" for i in range(len(tokenizer), num_tokens)])
    tokenizer.save_pretrained(str(folder))


def _plain(tensor: Tensor) -> Tensor:
    """A copy: safetensors refuses tensors that share memory."""
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
