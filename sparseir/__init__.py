"""Learned sparse retrieval: text in, hits out.

Names are loaded on first use, so that `import sparseir` costs no model library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from indexer import SparseVectors, build_index
    from indexer.version import __version__
    from sparseir.errors import SparseIRError
    from sparseir.models import SparseEncoder
    from sparseir.search.feedback.options import Feedback
    from sparseir.search.searcher import Searcher
    from sparseir.text_index import Index

_HOMES = {
    "Feedback": "sparseir.search.feedback.options",
    "Index": "sparseir.text_index",
    "Searcher": "sparseir.search.searcher",
    "SparseEncoder": "sparseir.models",
    "SparseIRError": "sparseir.errors",
    "SparseVectors": "indexer",
    "__version__": "indexer.version",
    "build_index": "indexer",
}

__all__ = [
    "Feedback",
    "Index",
    "Searcher",
    "SparseEncoder",
    "SparseIRError",
    "SparseVectors",
    "__version__",
    "build_index",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'sparseir' has no attribute {name!r}")
    try:
        value = getattr(importlib.import_module(home), name)
    except ModuleNotFoundError as error:
        from sparseir.errors import missing_extra

        raise missing_extra(error, f"sparseir.{name}") or error from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
