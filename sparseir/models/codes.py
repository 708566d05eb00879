"""The two halves of a csr encoder: texts to dense embeddings, and these to codes of any width."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from indexer import SparseVectors
from sparseir.errors import ConfigError, DataError
from sparseir.models.encoder import SparseEncoder
from sparseir.models.inference import (
    Dtype,
    EncodeOptions,
    InferenceCopies,
    Progress,
    evaluating,
    feature_batches,
    native_dtype,
    run_codes,
)
from sparseir.models.towers.csr import CsrTower


class DenseCodes:
    """`encode(embed(texts), max_active_dims=k)` are the vectors that the encoder gives the texts.

    Parameters
    ----------
    encoder : of the kind csr.

    Raises
    ------
    ConfigError : another kind, which makes no codes of dense embeddings.
    """

    def __init__(self, encoder: SparseEncoder) -> None:
        tower = encoder.document_tower
        if not isinstance(tower, CsrTower):
            raise ConfigError(
                f"codes of dense embeddings are made by a csr encoder; this one is {encoder.kind}, which reads texts"
            )
        self._encoder, self._tower = encoder, tower
        self._copies = InferenceCopies()  # of the network alone: training changes the rest of the tower every step

    @property
    def dimensions(self) -> int:
        """Length of an embedding."""
        return self._tower.dense.context.hidden_size

    def terms(self) -> list[str]:
        """The name of every latent."""
        return self._encoder.terms()

    def embed(
        self,
        texts: Sequence[str],
        *,
        query: bool = False,
        max_length: int | None = None,
        dtype: Dtype = "float32",
        progress: Progress | None = None,
    ) -> NDArray[np.float32]:
        """The frozen network's embeddings, (N, d); a text without content is a row of zeros, which has no code.

        Parameters
        ----------
        texts : documents, or where query is true queries, cut at the encoder's length or `max_length` tokens.
        dtype : of the network, as for `SparseEncoder.encode_documents`. progress : called with (texts done, all of them).
        """
        encoder = self._encoder
        length = encoder.query_length(max_length) if query else encoder.document_length(max_length)
        rows = [r if t.strip() else [] for t, r in zip(texts, encoder.tokenizer.rows(texts, length), strict=True)]
        network = self._copies.of(self._tower.dense, native_dtype(dtype, encoder.device))
        out, done = np.zeros((len(rows), self.dimensions), np.float32), 0
        with torch.inference_mode(), evaluating(network):
            for places, features in feature_batches(
                network, rows, encoder.tokenizer.pad, EncodeOptions(max_length=length)
            ):
                out[places] = network(features).float().cpu().numpy()
                done += len(places)
                if progress is not None:
                    progress(done, len(rows))
        return out

    def encode(
        self,
        dense: NDArray[np.floating],
        *,
        max_active_dims: int | None = None,
        batch_size: int = 1024,
        progress: Progress | None = None,
    ) -> SparseVectors:
        """One row of codes per embedding, in order; an embedding of zeros is an empty row.

        Parameters
        ----------
        dense : (N, d) floats, made by the encoder's own base; brought to length 1 where the base does so.
        max_active_dims : latents a row may have; None for the k of training.
        batch_size : rows at a time. progress : called with (rows done, all of them).

        Raises
        ------
        DataError : rows of another length.
        """
        if dense.ndim != 2 or dense.shape[1] != self.dimensions:
            raise DataError(f"embeddings: expected rows of {self.dimensions} numbers, found shape {dense.shape}")
        options = EncodeOptions(batch_size=batch_size, max_active_dims=max_active_dims, progress=progress)
        return run_codes(self._tower, dense, options, self._encoder.device)
