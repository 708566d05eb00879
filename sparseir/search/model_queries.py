"""Queries read by a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from indexer import SparseVectors

if TYPE_CHECKING:
    from sparseir.models.encoder import SparseEncoder


class ModelQueryEncoder:
    """The query tower of an encoder (needs torch).

    Parameters
    ----------
    name : of the model, for messages. max_active_dims : most weights of a query, as for `SparseEncoder.encode_queries`.
    """

    def __init__(
        self, encoder: SparseEncoder, *, name: str = "the given model", max_active_dims: int | None = None
    ) -> None:
        self.encoder, self.name, self._max_active_dims = encoder, name, max_active_dims
        self._terms = encoder.terms()
        self.fingerprint: str = encoder.fingerprint

    @classmethod
    def load(cls, source: str | Path, *, device: str = "auto", max_active_dims: int | None = None) -> ModelQueryEncoder:
        """Load a model folder or hub id."""
        from sparseir.models.encoder import SparseEncoder

        return cls(SparseEncoder.load(source, device=device), name=str(source), max_active_dims=max_active_dims)

    @property
    def num_terms(self) -> int:
        return self.encoder.num_terms

    def encode(self, text: str) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
        """Terms (ascending) and weights of one query."""
        return self.encode_batch([text]).row(0)

    def encode_batch(self, texts: Sequence[str]) -> SparseVectors:
        """One row per text."""
        return self.encoder.encode_queries(list(texts), max_active_dims=self._max_active_dims)

    def token(self, term_id: int) -> str:
        """The vocabulary string of a term."""
        return self._terms[term_id] if term_id < len(self._terms) else f"[{term_id}]"

    def channel(self, term_id: int) -> str:
        """All of its terms are learned."""
        return "learned"
