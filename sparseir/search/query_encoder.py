"""Text of a query → weighted terms: from the table an index carries, or from a model."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from indexer import Index, SparseVectors
from sparseir.errors import DataError, SparseIRError
from sparseir.lexical.channel import BM25_KIND, LexicalChannel, has_channel
from sparseir.lexical.queries import LexicalQueryEncoder, checked_alpha
from sparseir.lexical.term_factors import TermFactors
from sparseir.search.model_queries import ModelQueryEncoder


class QueryEncoder(Protocol):
    """What a searcher needs from a query side."""

    @property
    def num_terms(self) -> int: ...

    def encode(self, text: str) -> tuple[NDArray[np.uint32], NDArray[np.float32]]: ...

    def encode_batch(self, texts: Sequence[str]) -> SparseVectors: ...

    def token(self, term_id: int) -> str: ...

    def channel(self, term_id: int) -> str: ...


class QuerySide:
    """The query encoder of a searcher, opened at the first text: loading a model takes seconds, and vectors need none."""

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


def open_query_encoder(
    index: Index,
    model: str | Path | ModelQueryEncoder | None = None,
    *,
    any_model: bool = False,
    alpha: float | None = None,
) -> QueryEncoder:
    """The query encoder to search an index with: learned terms, its lexical channel, or one beside the other.

    Parameters
    ----------
    model : a model, or one already loaded, to use in place of the table that the index carries; needed where it carries none.
    any_model : accept a model other than the one whose vectors the index holds (scores then mean little); its terms are
        found in the index by their strings.
    alpha : what the scores of the index's lexical channel count; None for what it was built with.

    Raises
    ------
    SparseIRError
        Neither a table nor a model; the model is not the one the index was made with, or nothing shows that its terms are
        those of the vectors (`matched_terms`); or as `check_alpha`.
    """
    if alpha is not None:
        check_alpha(index, alpha)
    of_words = index.encoder is not None and index.encoder.kind == BM25_KIND and model is None
    learned = None if of_words else _learned(index, model, any_model)
    side = index.query_side
    if side is not None and (learned is None or has_channel(side)):
        channel = LexicalChannel.load(side)
        if index.query_files is not None:  # a fit in the meantime must not weigh the words of an index opened before
            channel.take_fit(TermFactors.load(index.query_files))
        return LexicalQueryEncoder(channel, index, learned=learned, alpha=alpha)
    assert learned is not None
    return learned


def check_alpha(index: Index, alpha: float) -> None:
    """Refuse an alpha that searches of the index cannot use.

    Raises
    ------
    ConfigError : it is no number of at least 0.
    SparseIRError : the index has no lexical channel.
    """
    checked_alpha(alpha)
    if not has_channel(index.query_side):
        raise SparseIRError(
            f"index {index.path.name!r} has no lexical channel for alpha to weigh; build it with --lexical or --bm25"
        )


def _learned(index: Index, model: str | Path | ModelQueryEncoder | None, any_model: bool) -> QueryEncoder:
    """The table that the index carries, or a model."""
    if model is None:
        from sparseir.models.query_table import DESCRIPTION_FILE, QueryTable  # an index of words has none

        if index.query_files is None or DESCRIPTION_FILE not in index.query_files:
            raise SparseIRError(
                f"index {index.path.name!r} carries no query side (its encoder runs a model on queries, or it was built "
                "from vectors): name the model with --model, or search with --query-vectors"
            )
        return QueryTable.load(index.query_files)
    encoder = model if isinstance(model, ModelQueryEncoder) else ModelQueryEncoder.load(model)
    built_by = index.encoder and index.encoder.fingerprint
    if built_by is not None and encoder.fingerprint == built_by:
        return encoder
    if built_by is not None and not any_model:
        raise DataError(
            f"index {index.path.name!r} was built by another encoder (fingerprint {built_by}) than "
            f"{encoder.name!r} ({encoder.fingerprint}); search with the model it was built with, rebuild the index "
            "with this one, or say --any-model to search all the same"
        )
    from sparseir.search.matched_terms import MatchedQueryEncoder  # few searches need it

    return MatchedQueryEncoder.of(encoder, index, any_model=any_model)
