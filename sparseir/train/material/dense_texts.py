"""Dense embeddings of the texts of batches: each computed once, or read from a file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sparseir.config.data import DataConfig
from sparseir.data.embeddings import Embeddings
from sparseir.data.prepared.embeddings import StoredEmbeddings
from sparseir.data.prepared.folder import Prepared
from sparseir.data.stores.texts import TextStore
from sparseir.errors import DataError
from sparseir.models.codes import DenseCodes
from sparseir.models.encoder import SparseEncoder
from sparseir.train.loop.parallel import gather_rows, own_share
from sparseir.train.material.collection import Training
from sparseir.train.material.prepared import PreparedTraining
from sparseir.train.tasks.ranking_batches import RankingBatch

_MOST = 1 << 18
"""Embeddings that are kept: 400 MB of 384 dimensions. A collection of more texts is embedded in the loop where it is met."""


class DenseTexts:
    """x(text) of a csr encoder's frozen network, float32 (B, d) on its device; rows of every process, in order.

    Parameters
    ----------
    encoder : of the kind csr.
    config : `embeddings` and `query_embeddings` are taken in place of the network's. training : whose texts they are of.
    bf16 : the network runs in bfloat16 where the device has it.

    Raises
    ------
    DataError : files that cannot be read, of another length than the network's, without one of the texts.
    """

    def __init__(self, encoder: SparseEncoder, config: DataConfig, training: Training, *, bf16: bool) -> None:
        self._encoder = encoder
        self._codes, self._bf16 = DenseCodes(encoder), bf16
        self._kept: dict[bytes, Tensor] = {}
        self._stored: dict[bool, StoredEmbeddings] = {}
        self._queries: TextStore | None = None
        if isinstance(training, PreparedTraining):
            self._open(training.prepared)
        if config.embeddings is not None or config.query_embeddings is not None:
            self._read(config, training)

    def _open(self, prepared: Prepared) -> None:
        """Embeddings that the folder of the training data holds, which stay on disk."""
        self._queries = prepared.queries
        for query, side in ((False, prepared.embeddings("documents")), (True, prepared.embeddings("queries"))):
            if side is None:
                continue
            if side.dimensions != self._codes.dimensions:
                raise DataError(
                    f"its embeddings have {side.dimensions} dimensions, and the model takes {self._codes.dimensions}; "
                    "give those of the model's own base",
                    path=side.path,
                )
            self._stored[query] = side

    def of_batch(self, batch: RankingBatch, lengths: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """The embeddings of a batch's queries and of its documents, of texts that are cut at so many tokens."""
        queries, documents = self._stored.get(True), self._stored.get(False)
        out = []
        for query, side in ((True, queries), (False, documents)):
            if side is None:
                texts = batch.queries if query else batch.documents
                out.append(self(texts, query=query, max_length=lengths[0] if query else lengths[1]))
                continue
            assert self._queries is not None
            rows = self._queries.rows(batch.qids) if query else np.asarray(batch.places, np.int64)
            out.append(torch.from_numpy(side[rows]).to(self._encoder.device))
        return out[0], out[1]

    def _read(self, config: DataConfig, training: Training) -> None:
        named: list[tuple[str | None, list[tuple[str, str]]]] = [
            (config.embeddings, list(zip(training.docnos, training.texts, strict=True))),
            (config.query_embeddings, [(query.qid, query.text) for query in training.queries]),
        ]
        for query, (path, texts) in enumerate(named):
            if path is None:
                continue
            given = Embeddings.open(path)
            given.check(self._codes.dimensions)
            for name, text in texts:
                row = given.at.get(name)
                if row is None:
                    raise DataError(
                        f"holds no embedding of {('document', 'query')[query]} '{name}', which training reads",
                        path=path,
                    )
                self._kept[_key(text, query=bool(query))] = torch.tensor(given.rows[row], dtype=torch.float32)

    def __call__(self, texts: Sequence[str], *, query: bool, max_length: int) -> Tensor:
        """The embeddings of texts that are cut at `max_length` tokens."""
        keys = [_key(text, query=query) for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._kept}
        fresh = (
            dict(zip(new, self._embed(list(new.values()), query=query, max_length=max_length), strict=True))
            if new
            else {}
        )
        found = torch.stack([fresh[key] if key in fresh else self._kept[key] for key in keys])
        # Every process has met the same texts, and keeps the same of them: what is new is new to all.
        room = max(0, _MOST - len(self._kept))
        self._kept |= dict(list(fresh.items())[:room])
        return found.to(self._encoder.device)

    def _embed(self, texts: list[str], *, query: bool, max_length: int) -> Tensor:
        mine = self._codes.embed(
            texts[own_share(len(texts))],
            query=query,
            max_length=max_length,
            dtype="native" if self._bf16 else "float32",
        )
        return gather_rows(torch.from_numpy(mine).to(self._encoder.device), len(texts)).cpu()


def _key(text: str, *, query: bool) -> bytes:
    side = b"query" if query else b"document"
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16, person=side).digest()
