"""Encoders: text in, one weight per vocabulary term out. torch is imported by the modules that make tensors."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparseir.models.encoder import SparseEncoder
    from sparseir.models.query_table import QueryTable

_HOMES = {"SparseEncoder": "sparseir.models.encoder", "QueryTable": "sparseir.models.query_table"}

__all__ = ["QueryTable", "SparseEncoder"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'sparseir.models' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value
