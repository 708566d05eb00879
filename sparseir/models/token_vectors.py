"""The vectors that COIL gives texts, as arrays: what is stored beside an index, and what a query asks it for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from sparseir.data.stores.tokens import TokenVectors
from sparseir.errors import ConfigError, DataError

if TYPE_CHECKING:
    from sparseir.models.encoder import SparseEncoder
    from sparseir.models.inference import Dtype


def check_has_tokens(encoder: SparseEncoder) -> None:
    """Refuse an encoder that gives tokens no vectors.

    Raises
    ------
    ConfigError
    """
    if not encoder.document_tower.needs_rerank:
        raise ConfigError(
            f"token vectors are those of a coil_tok or coil_full encoder; this one is {encoder.kind}, which gives none"
        )


def token_vectors(
    encoder: SparseEncoder,
    texts: Sequence[str],
    *,
    query: bool = False,
    dtype: Dtype = "float32",
    stored_as: Literal["float16", "float32"] = "float16",
    batch_size: int = 32,
) -> TokenVectors:
    """The token vectors of texts, in order; a text without content has none, and a vector of zeros of its own.

    Parameters
    ----------
    query : the texts are queries. dtype, batch_size : as for `SparseEncoder.encode_documents`.
    stored_as : the format of the numbers that come back.

    Raises
    ------
    ConfigError : an encoder of another kind. DataError : numbers that 16 bits do not hold.
    """
    import torch

    from sparseir.models.inference import EncodeOptions, evaluating, feature_batches
    from sparseir.models.towers.coil import CoilTower

    check_has_tokens(encoder)
    given = encoder.query_tower if query else encoder.document_tower
    tower = encoder.inference_tower(given, dtype)
    assert isinstance(tower, CoilTower)
    length = encoder.query_length() if query else encoder.document_length()
    rows = [r if t.strip() else [] for t, r in zip(texts, encoder.tokenizer.rows(texts, length), strict=True)]
    terms = [np.zeros(0, np.uint32)] * len(rows)
    vectors = [np.zeros((0, tower.token_dim), stored_as)] * len(rows)
    whole = np.zeros((len(rows), tower.cls_dim), stored_as)
    options = EncodeOptions(batch_size=batch_size, max_length=length)
    with torch.inference_mode(), evaluating(tower), np.errstate(over="ignore"):
        for places, features in feature_batches(tower, rows, encoder.tokenizer.pad, options):
            tokens = tower.counted(*tower.vectors(features), features)
            ends = np.searchsorted(tokens.text.cpu().numpy(), np.arange(len(places) + 1))
            ids, found = tokens.term_ids.cpu().numpy(), tokens.vectors.cpu().numpy()
            for i, place in enumerate(places):
                terms[place] = ids[ends[i] : ends[i + 1]].astype(np.uint32)
                vectors[place] = found[ends[i] : ends[i + 1]].astype(stored_as)
            if tokens.whole is not None:
                whole[places] = tokens.whole.cpu().numpy().astype(stored_as)
    starts = np.concatenate([[0], np.cumsum([len(t) for t in terms])]).astype(np.int64)
    joined = TokenVectors(
        starts,
        np.concatenate([np.zeros(0, np.uint32), *terms]),
        np.concatenate([np.zeros((0, tower.token_dim), stored_as), *vectors]),
        whole,
    )
    if not (np.isfinite(joined.vectors).all() and np.isfinite(whole).all()):
        raise DataError("a vector of the encoder is not finite, or too large for 16 bits; is the model trained?")
    return joined
