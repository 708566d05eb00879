"""Text of a query → weighted terms: from the table an index carries, or from a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from indexer import SparseVectors
from sparseir.errors import DataError, SparseIRError
from sparseir.models.query_table import DESCRIPTION_FILE, QueryTable

if TYPE_CHECKING:
    from sparseir.models.encoder import SparseEncoder


class QueryEncoder(Protocol):
    """What a searcher needs of a query side."""

    @property
    def num_terms(self) -> int: ...

    def encode(self, text: str) -> tuple[NDArray[np.uint32], NDArray[np.float32]]: ...

    def encode_batch(self, texts: Sequence[str]) -> SparseVectors: ...

    def token(self, term_id: int) -> str: ...


class ModelQueryEncoder:
    """The query tower of an encoder (needs torch)."""

    def __init__(self, encoder: SparseEncoder) -> None:
        self.encoder = encoder
        self._terms = encoder.terms()
        self.fingerprint: str = encoder.fingerprint

    @classmethod
    def load(cls, source: str | Path, *, device: str = "auto") -> ModelQueryEncoder:
        """Load a model folder or hub id."""
        from sparseir.models.encoder import SparseEncoder

        return cls(SparseEncoder.load(source, device=device))

    @property
    def num_terms(self) -> int:
        return self.encoder.num_terms

    def encode(self, text: str) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
        """Terms (ascending) and weights of one query."""
        return self.encode_batch([text]).row(0)

    def encode_batch(self, texts: Sequence[str]) -> SparseVectors:
        """One row per text."""
        return self.encoder.encode_queries(list(texts))

    def token(self, term_id: int) -> str:
        """The vocabulary string of a term."""
        return self._terms[term_id] if term_id < len(self._terms) else f"[{term_id}]"


def open_query_encoder(
    query_side: Path | None,
    index_fingerprint: str | None,
    *,
    index_name: str,
    model: str | Path | None = None,
    any_model: bool = False,
) -> QueryEncoder:
    """The query side to search an index with.

    Parameters
    ----------
    query_side : folder of the table the index carries, if it does.
    index_fingerprint : of the encoder whose vectors the index holds, if it was recorded.
    model : a model to use in its place; needed where the index carries none.
    any_model : accept a model whose fingerprint is not the index's (scores then mean little).

    Raises
    ------
    SparseIRError
        Neither a table nor a model; or the model is not the one the index was made with.
    """
    if model is None:
        if query_side is None or not (query_side / DESCRIPTION_FILE).is_file():
            raise SparseIRError(
                f"index {index_name!r} carries no query side (its encoder runs a model on queries, or it was built "
                "from vectors): name the model with --model, or search with --query-vectors"
            )
        return QueryTable.load(query_side)
    encoder = ModelQueryEncoder.load(model)
    if index_fingerprint is not None and encoder.fingerprint != index_fingerprint and not any_model:
        raise DataError(
            f"index {index_name!r} was built by another encoder (fingerprint {index_fingerprint}) than {str(model)!r} "
            f"({encoder.fingerprint}); search with the model it was built with, rebuild the index with this one, "
            "or say --any-model to search all the same"
        )
    return encoder
