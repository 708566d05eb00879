"""Learned sparse retrieval: text in, hits out.

Names are loaded on first use, so that `import sparseir` costs no model library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from indexer import SparseVectors
    from sparseir.errors import SparseIRError
    from sparseir.models import SparseEncoder

__version__ = "0.1.0"

_HOMES = {
    "SparseEncoder": "sparseir.models",
    "SparseIRError": "sparseir.errors",
    "SparseVectors": "indexer",
}

__all__ = ["SparseEncoder", "SparseIRError", "SparseVectors", "__version__"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'sparseir' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
