"""The folder layout of sentence-transformers' SparseEncoder: names, and the routes a folder lists.

    modules.json                    the modules in order: MLMTransformer + SpladePooling, or one Router
    router_config.json              the Router's routes: query, document
    <module>/…                      each module's files: weights, tokenizer, config

It is written as version 5.0, which 5.0 and everything later read, and read as 5.0 to 6.x. Where queries are looked up,
the query route is one SparseStaticEmbedding. What sentence-transformers has no module for is one module of this
package, `TOWER`, which it loads with trust_remote_code=True where sparseir is installed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexer.interchange.whole import read_whole
from sparseir.errors import ConfigError, DataError

_SPARSE = "sentence_transformers.sparse_encoder.models"
MLM = f"{_SPARSE}.MLMTransformer"
SPLADE_POOLING = f"{_SPARSE}.SpladePooling"
STATIC = f"{_SPARSE}.SparseStaticEmbedding"
AUTOENCODER = f"{_SPARSE}.SparseAutoEncoder"
ROUTER = "sentence_transformers.models.Router"
TRANSFORMER = "sentence_transformers.models.Transformer"
POOLING = "sentence_transformers.models.Pooling"
NORMALIZE = "sentence_transformers.models.Normalize"
TOWER = "sparseir.models.sentence_modules.TowerModule"

ACTIVATIONS = {"log1p": "relu", "double_log1p": "log1p_relu"}
"""Our names of activations → SpladePooling's, which name what comes before the last log1p."""

TOWER_WEIGHTS = "tower.safetensors"
"""In a TowerModule's folder, the weights beside the network's own file."""
_LARGEST = 1 << 26


@dataclass(frozen=True, slots=True)
class Module:
    """One entry of a route: the last part of its class name and its folder."""

    name: str
    folder: Path


def read_modules(folder: Path) -> list[Module]:
    """The modules that modules.json lists; none without one.

    Raises
    ------
    ConfigError
        modules.json is damaged.
    """
    path = folder / "modules.json"
    if not path.is_file():
        return []
    try:
        listed = json.loads(read_whole(path, _LARGEST))
        return [Module(str(m["type"]).rpartition(".")[2], folder / m["path"]) for m in listed]
    except (OSError, DataError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigError(f"{path}: not a list of modules: {error}") from error


def read_routes(folder: Path) -> dict[str, list[Module]]:
    """Route name → modules; a plain sequence of modules is the one route ''. Empty without a modules.json.

    Raises
    ------
    ConfigError
        modules.json or the router's file is damaged.
    """
    modules = read_modules(folder)
    if len(modules) != 1 or modules[0].name not in ("Router", "Asym"):
        return {"": modules} if modules else {}
    home = modules[0].folder
    router = read_json(home / "router_config.json")
    try:
        return {
            str(side): [Module(router["types"][name].rpartition(".")[2], home / name) for name in names]
            for side, names in router["structure"].items()
        }
    except (KeyError, AttributeError, TypeError) as error:
        raise ConfigError(f"{home / 'router_config.json'}: not the routes of a Router: {error}") from error


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises
    ------
    ConfigError
        Missing, unreadable, or not an object.
    """
    try:
        value = json.loads(read_whole(path, _LARGEST))
    except (OSError, DataError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: expected a JSON object, found {type(value).__name__}")
    return value


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
