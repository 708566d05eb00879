"""Sparse vectors in, index folder out. Nothing here imports a model or torch."""

from __future__ import annotations

from indexer.vectors import SparseVectors

__all__ = ["SparseVectors"]
