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

__all__ = [
    "ConfigError",
    "DataError",
    "IndexFormatError",
    "LockedError",
    "MissingExtraError",
    "NativeError",
    "SparseIRError",
]
