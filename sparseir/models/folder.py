"""Model folders: what `SparseEncoder.save` writes and `SparseEncoder.load` reads.

A folder is laid out as sentence-transformers lays out its own (see `sentence.layout`), beside our description
`sparseir.json` and, where queries are looked up, a query table that is read without torch. Reading also takes folders
without our description, and plain masked LMs.
"""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

from sparseir.config.loader import build, to_mapping
from sparseir.config.model import ModelConfig
from sparseir.errors import ConfigError
from sparseir.models.kinds import LEXICAL_HEAD_FILE, build_parts
from sparseir.models.parts import EncoderParts
from sparseir.models.sentence.layout import read_json
from sparseir.models.sentence.read import is_sparse_layout, read_sentence_layout
from sparseir.models.sentence.write import write_sentence_layout

CONFIG_FILE = "sparseir.json"
QUERY_TABLE_FOLDER = "query_table"
FORMAT, VERSION = "sparseir-model", 1

logger = logging.getLogger(__name__)


def save_parts(parts: EncoderParts, folder: Path) -> None:
    """Write the folder; files of an older model in it are overwritten."""
    folder.mkdir(parents=True, exist_ok=True)
    write_sentence_layout(parts, folder)
    table = parts.query_table
    if table is not None:
        table.save(folder / QUERY_TABLE_FOLDER)
    write_description(parts.config, folder)


def write_description(config: ModelConfig, folder: Path) -> None:
    """Write sparseir.json."""
    description = {"format": FORMAT, "version": VERSION, "config": to_mapping(config)}
    (folder / CONFIG_FILE).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")


def load_parts(folder: Path, *, base: str) -> EncoderParts:
    """The parts of an encoder from a local folder.

    Parameters
    ----------
    base : the name it was asked for by, kept as `config.base` where the folder does not say.

    Raises
    ------
    ConfigError
        Not a model folder, a damaged one, or one a newer version wrote.
    """
    config = _read_config(folder)
    if config is not None or is_sparse_layout(folder):
        return read_sentence_layout(folder, config, base=base)
    if (folder / LEXICAL_HEAD_FILE).is_file():  # BAAI's folder: beside the dense model, the head of its lexical weights
        return build_parts(ModelConfig(base=base, kind="bge_m3", max_document_length=512), folder)
    if (folder / "modules.json").is_file() or not _has_masked_lm(folder):
        logger.warning("%s has no masked-LM head: it gets a fresh one, which is to be trained before use", folder)
        return replace(build_parts(ModelConfig(base=str(folder), kind="inference_free")), untrained=True)
    parts = build_parts(ModelConfig(base=str(folder), kind="splade"))
    return replace(parts, config=replace(parts.config, base=base), plain=True)


def _has_masked_lm(folder: Path) -> bool:
    path = folder / "config.json"
    if not path.is_file():
        if (folder / "manifest.json").is_file():
            raise ConfigError(f"{folder}: is an index, not a model; give the folder of the model that made it")
        raise ConfigError(f"{folder}: not a model folder (no modules.json, no config.json)")
    architectures = read_json(path).get("architectures") or []
    return any("MaskedLM" in str(name) for name in architectures)


def _read_config(folder: Path) -> ModelConfig | None:
    path = folder / CONFIG_FILE
    if not path.is_file():
        return None
    description = read_json(path)
    if description.get("format") != FORMAT or not isinstance(description.get("config"), dict):
        raise ConfigError(f"{path}: not the description of a sparseir model")
    if description.get("version") != VERSION:
        raise ConfigError(
            f"{path}: model version {description.get('version')}; this build reads {VERSION}; update sparseir"
        )
    # Keys that came since an older version wrote it are at their defaults.
    return build(ModelConfig, {**to_mapping(ModelConfig()), **description["config"]}, source=str(path))
