"""What a folder says about the dense embeddings of its network, in the layout of sentence-transformers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sparseir.errors import ConfigError
from sparseir.models.sentence.layout import read_json, read_modules

_PROMPTS = {"query": ("query",), "document": ("document", "passage", "corpus")}
"""Names of the prompts of each side, the first that is there, as `encode_query` and `encode_document` look for them."""


@dataclass(frozen=True, slots=True)
class Embedding:
    """From hidden states to one vector a text.

    Parameters
    ----------
    pooling : mean of all tokens, or the first one. normalise : to length 1.
    query_prompt, document_prompt : what stands before a text.
    """

    pooling: Literal["mean", "cls"] = "mean"
    normalise: bool = True
    query_prompt: str = ""
    document_prompt: str = ""


def read_embedding(folder: Path) -> Embedding:
    """Of modules.json and config_sentence_transformers.json; mean, length 1 and no prompts without them.

    Raises
    ------
    ConfigError : a pooling or a module that is not read here.
    """
    modules = read_modules(folder)
    if not modules:
        return Embedding()
    for module in modules:
        if module.name not in ("Transformer", "Pooling", "Normalize", "SparseAutoEncoder"):
            raise ConfigError(
                f"{folder}: its embeddings go through {module.name}, which is not read here; name another model"
            )
    names = [module.name for module in modules]
    pooling: Literal["mean", "cls"] = "mean"
    if "Pooling" in names:
        stated = read_json(modules[names.index("Pooling")].folder / "config.json")
        modes = [
            key.removeprefix("pooling_mode_")
            for key, on in stated.items()
            if key.startswith("pooling_mode_") and on is True
        ]
        modes = [str(stated["pooling_mode"])] if isinstance(stated.get("pooling_mode"), str) else modes
        modes = modes or ["mean_tokens"]
        if modes in (["cls_token"], ["cls"]):
            pooling = "cls"
        elif modes not in (["mean_tokens"], ["mean"]):
            raise ConfigError(f"{folder}: pooling {', '.join(modes)}; expected mean or the first token (cls)")
    # Behind an autoencoder it is the codes that have length 1.
    dense = names[: names.index("SparseAutoEncoder")] if "SparseAutoEncoder" in names else names
    return Embedding(pooling, "Normalize" in dense, *_prompts(folder))


def _prompts(folder: Path) -> tuple[str, str]:
    """The prompts of queries and of documents."""
    path = folder / "config_sentence_transformers.json"
    stated = read_json(path) if path.is_file() else {}
    prompts = stated.get("prompts") or {}
    if not isinstance(prompts, dict) or not all(isinstance(text, str) for text in prompts.values()):
        raise ConfigError(f"{path}: prompts are to be texts by name")
    fallback = prompts.get(stated.get("default_prompt_name") or "", "")
    query, document = (
        next((prompts[name] for name in names if prompts.get(name)), fallback) for names in _PROMPTS.values()
    )
    return query, document
