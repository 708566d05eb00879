"""State of a run as safetensors files: tensors as they are, everything else as JSON in the header. Nothing is unpickled."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from sparseir.errors import DataError, SparseIRError

_FORMAT = "sparseir-state-1"


def save_state(path: Path, state: Any) -> None:
    """Write dicts, lists, tuples, numbers, strings and tensors; the file appears whole or not at all.

    Tensors that are one and the same in memory (tied weights) are written once.
    """
    tensors: dict[str, Tensor] = {}
    body = {"format": _FORMAT, "state": json.dumps(_described(state, tensors, {}))}
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        save_file(tensors, str(partial), metadata=body)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load_state(path: Path) -> Any:
    """What `save_state` wrote, tensors on the CPU.

    Raises
    ------
    DataError : no such file, or a damaged one.
    """
    with restoring(path):
        try:
            with safe_open(str(path), framework="pt", device="cpu") as file:
                body = file.metadata() or {}
                if body.get("format") != _FORMAT:
                    raise DataError(f"not the state of a run: format {body.get('format')!r}", path=path)
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise DataError(f"cannot be read: {error}", path=path) from error
        return _restored(json.loads(body["state"]), tensors)


@contextmanager
def restoring(path: Path) -> Iterator[None]:
    """Whatever fails while a part of the run takes its state from a file is a fault of the file.

    Raises
    ------
    DataError
    """
    try:
        yield
    except (SparseIRError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # state_dicts are taken by code of torch, which raises what comes first
        reason = " ".join(str(error).split())[:300]
        raise DataError(
            f"does not hold the state of this run ({type(error).__name__}: {reason}); remove its checkpoint to go on "
            "from the one before, or start again",
            path=path,
        ) from error


def _described(value: Any, tensors: dict[str, Tensor], names: dict[tuple[Any, ...], str]) -> Any:
    if isinstance(value, Tensor):
        place = (value.data_ptr(), value.shape, value.stride(), value.dtype)
        if not value.numel() or place not in names:
            names[place] = str(len(tensors))
            tensors[names[place]] = value.detach().cpu().contiguous()
        return {"tensor": names[place]}
    if isinstance(value, dict):
        return {"dict": [[key, _described(item, tensors, names)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {type(value).__name__: [_described(item, tensors, names) for item in value]}
    assert value is None or isinstance(value, bool | int | float | str), f"no plain value: {type(value)}"
    return value


def _restored(value: Any, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: _restored(item, tensors) for key, item in content}
    return {"list": list, "tuple": tuple}[kind](_restored(item, tensors) for item in content)
