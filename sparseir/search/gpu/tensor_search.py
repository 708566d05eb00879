"""What the torch and triton backends share: spans of documents scored one after another, the k best kept as sort keys."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from indexer.native.queries import QueryBatch
from sparseir.search.gpu.batch import ORDINAL_MASK

BYTES_PER_SCORE = 32
"""Working memory of one (query, document) cell: the score, its key, masks, and what topk copies."""


class TensorBackend(ABC):
    """Exact top-k over one segment with tensors.

    Sort keys are distinct, so topk's unspecified order of ties cannot show.

    Parameters
    ----------
    num_docs : documents. unit : a span of documents is a multiple of it.
    ordinals : uint32 (N,) or None for position = ordinal.
    device : a torch device. memory : bytes for the scores of one step.
    """

    def __init__(
        self, num_docs: int, unit: int, ordinals: NDArray[np.uint32] | None, *, device: str, memory: int
    ) -> None:
        self._num_docs, self._unit, self._memory = num_docs, unit, memory
        self._device = torch.device(device)
        self._padded_docs = -(-num_docs // unit) * unit
        complement = np.zeros(self._padded_docs, np.int64)
        own = np.arange(num_docs) if ordinals is None else ordinals.astype(np.int64)
        complement[:num_docs] = ORDINAL_MASK - own
        self._complement = self._put(complement)

    def _put(self, array: NDArray[np.generic]) -> torch.Tensor:
        writable = np.require(array, requirements=["C", "W"])  # torch shares no memory it may not write
        return torch.from_numpy(writable).to(self._device)

    def search(
        self, rows: QueryBatch, k: int, thresholds: NDArray[np.int32], live: NDArray[np.bool_] | None
    ) -> NDArray[np.uint64]:
        """Sort keys (Q, k) of the best documents, best first, 0 where there are no more.

        Parameters
        ----------
        rows : queries over term rows. thresholds : int32 (Q,) ≥ 1, scores below are of no interest.
        live : bool (N,), the documents that may be found; None for all.
        """
        cells = max(self._unit, self._memory // BYTES_PER_SCORE)
        keys = np.zeros((len(rows), k), np.uint64)
        alive = None
        if live is not None:
            padded = np.zeros(self._padded_docs, np.bool_)
            padded[: len(live)] = live
            alive = self._put(padded)
        for start, stop in rows.chunks(max(1, min(cells // self._unit, self._max_queries()))):
            chunk = rows.slice(start, stop)
            self._load_queries(chunk)
            best = torch.zeros((len(chunk), k), dtype=torch.int64, device=self._device)
            threshold = self._put(thresholds[start:stop].astype(np.int64))[:, None]
            span = max(1, cells // len(chunk) // self._unit) * self._unit
            for first, end in self._spans(span):
                hit = (scores := self._scores(first, end)) >= threshold
                if alive is not None:
                    hit &= alive[first:end]
                found = torch.where(hit, (scores.long() << 32) | self._complement[first:end], 0)
                kept = torch.topk(found, min(k, end - first), dim=1).values
                best = torch.topk(torch.cat([best, kept], dim=1), k, dim=1).values
                threshold = torch.maximum(threshold, best[:, k - 1 :] >> 32)  # a tie with the k-th still enters
            keys[start:stop] = best.cpu().numpy().view(np.uint64)
        return keys

    def _spans(self, docs: int) -> Iterator[tuple[int, int]]:
        """(first, one above the last) document of each step of at most `docs`, with what `_scores` reads in place."""
        for first in range(0, self._padded_docs, docs):
            yield first, min(first + docs, self._padded_docs)

    def _max_queries(self) -> int:
        """How many queries one step may hold for reasons other than scores."""
        return 2**31

    @abstractmethod
    def _load_queries(self, rows: QueryBatch) -> None:
        """Put the queries of the next steps on the device."""

    @abstractmethod
    def _scores(self, first: int, end: int) -> torch.Tensor:
        """int32 scores (queries, end - first) of those documents, multiples of `unit`; 0 beyond the last."""
