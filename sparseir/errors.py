"""The errors users catch. One tree, defined beside the index half, which must not import this package."""

from __future__ import annotations

from indexer.errors import (
    ConfigError,
    DataError,
    IndexFormatError,
    LockedError,
    MissingExtraError,
    NativeError,
    SparseIRError,
)

# Extras of pyproject.toml, by the modules they install; where a module is used with its own message, it is not listed.
_EXTRAS = {
    "train": ("torch", "transformers", "accelerate", "tensorboard"),
    "index": ("numba", "scipy"),
    "serve": ("fastapi", "uvicorn", "httptools"),
    "evaluate": ("ir_measures",),
    "mcp": ("mcp",),
}


def missing_extra(error: ModuleNotFoundError, purpose: str) -> MissingExtraError | None:
    """What to install for an import that failed; None where no extra brings the module."""
    module = (error.name or "").partition(".")[0]
    extra = next((name for name, modules in _EXTRAS.items() if module in modules), None)
    return None if extra is None else MissingExtraError(module, extra, purpose)


__all__ = [
    "ConfigError",
    "DataError",
    "IndexFormatError",
    "LockedError",
    "MissingExtraError",
    "NativeError",
    "SparseIRError",
    "missing_extra",
]
