"""Model files are other people's: what any library raises over them is one line that names the place; no code of theirs runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from indexer.errors import is_panic
from sparseir.errors import ConfigError, SparseIRError, missing_extra

_LAYERS = ("num_hidden_layers", "n_layers", "num_layers")
_MOST_LAYERS, _LARGEST_SIZE = 1 << 10, 1 << 24


@contextmanager
def loading(place: str | Path, what: str) -> Iterator[None]:
    """Within the block a model's files are read.

    Parameters
    ----------
    place : file, folder or name of the model. what : what it was to be, "not a masked language model" say.

    Raises
    ------
    ConfigError : whatever else was raised, save for a lack of memory or of a package of ours.
    """
    try:
        yield
    except ConfigError as error:
        if str(place) in str(error):
            raise
        raise ConfigError(f"{place}: {error}") from error
    except (SparseIRError, MemoryError, torch.OutOfMemoryError):
        raise
    except ModuleNotFoundError as error:
        if missing_extra(error, what) is not None:
            raise
        raise ConfigError(f"{place}: {what}: {_reason(error)}") from error
    except Exception as error:
        if "trust_remote_code" in str(error):
            raise ConfigError(
                f"{place}: {what}: it asks for code of its own (auto_map), which is never run; take a model of a class "
                "that transformers has"
            ) from error
        raise ConfigError(f"{place}: {what}: {_reason(error)}") from error
    except BaseException as error:
        if not is_panic(error):
            raise
        raise ConfigError(f"{place}: {what}: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{text[:400] or 'nothing said'} ({type(error).__name__})"


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises
    ------
    ConfigError : missing or damaged.
    """
    with loading(path, "not a file of weights"):
        return load_file(str(path))


def read_model_config(folder: Path) -> Any:
    """The config.json of transformers, its sizes checked before a network of that size is made.

    Raises
    ------
    ConfigError : missing, damaged, of a model that transformers does not have, or of one too large.
    """
    from transformers import AutoConfig

    with loading(folder, "no model transformers can load"):
        config = AutoConfig.from_pretrained(str(folder), trust_remote_code=False)
    for name, value in vars(config).items():
        limit = _MOST_LAYERS if name in _LAYERS else _LARGEST_SIZE
        if (name in _LAYERS or name.endswith("_size")) and isinstance(value, int) and not 0 <= value <= limit:
            raise ConfigError(f"{folder / 'config.json'}: {name} is {value}; expected at most {limit}")
    return config
