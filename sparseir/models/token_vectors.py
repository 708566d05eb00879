"""The vectors that COIL gives texts, as arrays: what is stored beside an index, and what a query asks it for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from indexer import SparseVectors
from sparseir.errors import ConfigError, DataError

if TYPE_CHECKING:
    from sparseir.models.encoder import SparseEncoder
    from sparseir.models.inference import Dtype


@dataclass(frozen=True, slots=True, eq=False)
class TokenVectors:
    """A vector for each counted token of some texts, and for each text where the encoder gives it one.

    Parameters
    ----------
    starts : int64 (N + 1,), where each text's tokens begin; a text without tokens is legal.
    terms : uint32 (T,). vectors : (T, D) floats. whole : (N, C) floats; C is 0 in COIL-tok.
    """

    starts: NDArray[np.int64]
    terms: NDArray[np.uint32]
    vectors: NDArray[np.floating]
    whole: NDArray[np.floating]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def text(self, row: int) -> tuple[NDArray[np.uint32], NDArray[np.float32], NDArray[np.float32]]:
        """Terms (T,), vectors (T, D) and the own vector (C,) of one text."""
        span = slice(int(self.starts[row]), int(self.starts[row + 1]))
        return self.terms[span], self.vectors[span].astype(np.float32), self.whole[row].astype(np.float32)

    def norms(self, num_terms: int, *, summed: bool = False) -> SparseVectors:
        """What the index holds of the texts: for each term the largest norm of its tokens; of queries, summed, the sum.

        Of the very numbers that are stored, so that the product of two such rows bounds what their tokens score.
        """
        lengths = np.linalg.norm(self.vectors.astype(np.float32), axis=1)
        rows = np.repeat(np.arange(len(self), dtype=np.uint64), np.diff(self.starts))
        keys = rows << np.uint64(32) | self.terms
        order = np.argsort(keys, kind="stable")
        found, first = np.unique(keys[order], return_index=True)
        join = np.add if summed else np.maximum
        weights = join.reduceat(lengths[order], first) if len(first) else lengths
        kept = weights > 0
        found, weights = found[kept], weights[kept]
        indptr = np.searchsorted(found >> np.uint64(32), np.arange(len(self) + 1, dtype=np.uint64)).astype(np.int64)
        return SparseVectors(indptr, found.astype(np.uint32), weights.astype(np.float32), num_terms)


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
