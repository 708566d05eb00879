"""Text of a query → weighted terms: from the table an index carries, or from a model."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from indexer import Index, SparseVectors
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


class QuerySide:
    """The query encoder of a searcher, opened at the first text: vectors need none, and a model takes seconds to load."""

    def __init__(self, open: Callable[[], QueryEncoder]) -> None:
        self._open, self._lock = open, threading.Lock()
        self._opened: QueryEncoder | None = None

    @property
    def encoder(self) -> QueryEncoder:
        """What turns texts into weighted terms.

        Raises
        ------
        SparseIRError : as `open_query_encoder`.
        """
        if self._opened is None:
            with self._lock:
                if self._opened is None:
                    self._opened = self._open()
        return self._opened


def open_query_encoder(index: Index, model: str | Path | None = None, *, any_model: bool = False) -> QueryEncoder:
    """The query encoder to search an index with.

    Parameters
    ----------
    model : a model to use in place of the table that the index carries; needed where it carries none.
    any_model : accept a model other than the one whose vectors the index holds (scores then mean little).

    Raises
    ------
    SparseIRError
        Neither a table nor a model; or the model is not the one the index was made with.
    """
    if model is None:
        if index.query_files is None or DESCRIPTION_FILE not in index.query_files:
            raise SparseIRError(
                f"index {index.path.name!r} carries no query side (its encoder runs a model on queries, or it was built "
                "from vectors): name the model with --model, or search with --query-vectors"
            )
        return QueryTable.load(index.query_files)
    encoder, built_by = ModelQueryEncoder.load(model), index.encoder and index.encoder.fingerprint
    if built_by is not None and encoder.fingerprint != built_by and not any_model:
        raise DataError(
            f"index {index.path.name!r} was built by another encoder (fingerprint {built_by}) than {str(model)!r} "
            f"({encoder.fingerprint}); search with the model it was built with, rebuild the index with this one, "
            "or say --any-model to search all the same"
        )
    return encoder
