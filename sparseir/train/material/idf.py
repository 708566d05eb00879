"""idf of the training texts: the first query weights of an inference-free encoder, and what a penalty may weigh words by."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from indexer.interchange.matrices.npz import load_array
from indexer.progress import Progress, silent
from sparseir.config.recipe import Recipe
from sparseir.data.stores.files import write_atomically
from sparseir.data.stores.texts import TextStore
from sparseir.errors import ConfigError, DataError
from sparseir.losses.regularisers import PENALTIES
from sparseir.models.encoder import SparseEncoder
from sparseir.models.query_table import idf_weights
from sparseir.train.loop.parallel import wait_for_all, world


def corpus_idf(
    recipe: Recipe, encoder: SparseEncoder, texts: Sequence[str], progress: Progress = silent
) -> Tensor | None:
    """idf of the training texts, (V,), where the regulariser reads it; the query weights of a fresh inference-free encoder.

    Raises
    ------
    ConfigError : idf_flops for latents, which no text holds.
    """
    kind = recipe.regulariser.kind
    penalised = PENALTIES[kind].reads_idf
    if penalised and encoder.document_tower.latent:
        raise ConfigError(
            f"regulariser.kind: {kind} weighs words; the terms of {encoder.kind} are latents. Take flops, l1 or none"
        )
    asked = recipe.model.idf_queries and recipe.train.idf == "corpus"
    if not penalised and not asked:
        return None
    if isinstance(texts, TextStore):
        counted = _stored_frequencies(encoder, texts, progress)
    else:
        counted = encoder.document_frequency(texts)
    idf = idf_weights(counted, len(texts))
    if asked:
        encoder.set_query_weights(idf)
    out = torch.from_numpy(idf)
    out[list(encoder.tokenizer.silent_terms)] = 0.0
    return out


def _stored_frequencies(encoder: SparseEncoder, store: TextStore, progress: Progress) -> NDArray[np.int64]:
    """How many texts of a store hold each term; counted once for a tokenizer, by one process, and kept beside the store."""
    tokenizer = encoder.tokenizer.uncut().to_str().encode()
    digest = hashlib.sha256(tokenizer + str(store.described["files"]).encode()).hexdigest()[:16]
    path = store.path.parent / "indexes" / f"frequencies-{digest}.npy"
    if world()[0] == 0 and not path.is_file():
        counts = np.zeros(encoder.num_terms, np.int64)
        for first, texts in store.blocks():
            counts += encoder.document_frequency(texts)
            progress("counting words", first + len(texts), len(store))
        path.parent.mkdir(exist_ok=True)
        buffer = io.BytesIO()
        np.save(buffer, counts)
        write_atomically(path, buffer.getvalue())
    wait_for_all()
    return _counts_of(path, encoder.num_terms, len(store))


def _counts_of(path: Path, num_terms: int, most: int) -> NDArray[np.int64]:
    try:
        counts: NDArray[np.int64] = load_array(path)
        fits = counts.shape == (num_terms,) and counts.dtype == np.int64 and 0 <= counts.min() <= counts.max() <= most
    except (OSError, ValueError) as error:
        raise DataError(f"cannot be read ({error}); remove it, and it is counted again", path=path) from error
    if not fits:
        raise DataError(
            "holds no document frequencies of these texts; remove it, and they are counted again", path=path
        )
    return counts
