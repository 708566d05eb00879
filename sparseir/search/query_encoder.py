"""Text of a query → weighted terms: from the table an index carries, or from a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from indexer import Index, SparseVectors
from sparseir.errors import DataError, SparseIRError
from sparseir.lexical.channel import BM25_KIND, LexicalChannel, has_channel
from sparseir.lexical.queries import LexicalQueryEncoder, check_alpha
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

    def channel(self, term_id: int) -> str: ...


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

    def channel(self, term_id: int) -> str:
        """All of its terms are learned."""
        return "learned"


def open_query_encoder(
    index: Index,
    *,
    model: str | Path | None = None,
    any_model: bool = False,
    alpha: float | None = None,
) -> QueryEncoder:
    """The query side to search an index with.

    Parameters
    ----------
    model : a model to use in place of the table the index carries; needed where it carries none.
    any_model : accept a model whose fingerprint is not the index's (scores then mean little).
    alpha : what the scores of the index's lexical channel count; None for what it was built with.

    Raises
    ------
    SparseIRError
        Neither a table nor a model; the model is not the one the index was made with; an alpha below 0, or one for an
        index without a lexical channel.
    """
    if alpha is not None:
        check_alpha(alpha)
    if alpha is not None and not has_channel(index.query_side):
        raise SparseIRError(
            f"index {index.path.name!r} has no lexical channel for alpha to weigh; build it with --lexical or --bm25"
        )
    of_words = index.encoder is not None and index.encoder.kind == BM25_KIND and model is None
    return beside_channel(index, None if of_words else _learned(index, model, any_model), alpha=alpha)


def beside_channel(index: Index, learned: QueryEncoder | None, *, alpha: float | None = None) -> QueryEncoder:
    """The lexical channel of the index with `learned` before it; `learned` itself where the index has none."""
    side = index.query_side
    if side is not None and (learned is None or has_channel(side)):
        return LexicalQueryEncoder(LexicalChannel.load(side), index, learned=learned, alpha=alpha)
    assert learned is not None
    return learned


def _learned(index: Index, model: str | Path | None, any_model: bool) -> QueryEncoder:
    """The table the index carries, or a model."""
    side, name = index.query_side, index.path.name
    if model is None:
        if side is None or not (side / DESCRIPTION_FILE).is_file():
            raise SparseIRError(
                f"index {name!r} carries no query side (its encoder runs a model on queries, or it was built "
                "from vectors): name the model with --model, or search with --query-vectors"
            )
        return QueryTable.load(side)
    encoder = ModelQueryEncoder.load(model)
    expected = None if index.encoder is None else index.encoder.fingerprint
    if expected is not None and encoder.fingerprint != expected and not any_model:
        raise DataError(
            f"index {name!r} was built by another encoder (fingerprint {expected}) than {str(model)!r} "
            f"({encoder.fingerprint}); search with the model it was built with, rebuild the index with this one, "
            "or say --any-model to search all the same"
        )
    return encoder
