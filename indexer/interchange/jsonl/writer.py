"""Writing Anserini's JSON vectors."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from indexer.documents import Documents
from indexer.interchange.vocabulary import Vocabulary
from indexer.vectors import SparseVectors

_ROWS = 64
_WHOLE = [str(i) for i in range(4096)]  # impacts, mostly


class _Keys(dict[int, str]):
    """`"term": ` of a term id, made once."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__()
        self._vocabulary = vocabulary

    def __missing__(self, term_id: int) -> str:
        text = self[term_id] = json.dumps(self._vocabulary.term(term_id), ensure_ascii=False) + ": "
        return text


class JsonlWriter:
    """One object a line, rows in order.

    A weight that is a whole number is written as one; any other with the 9 digits that bring the float32 back
    bit-equal.
    """

    def __init__(self, file: IO[bytes], vocabulary: Vocabulary) -> None:
        self._file = file
        self._keys = _Keys(vocabulary)

    def add(self, batch: Documents, docnos: list[str]) -> None:
        """Write the rows of a batch under these names."""
        for first in range(0, len(batch), _ROWS):  # few rows at a time: their strings then stay in the cache
            last = min(first + _ROWS, len(batch))
            self._file.write(self._lines(batch.vectors.slice(first, last), docnos[first:last]).encode())

    def _lines(self, vectors: SparseVectors, docnos: list[str]) -> str:
        keys = map(self._keys.__getitem__, vectors.term_ids.tolist())
        pairs = list(map(str.__add__, keys, weight_texts(vectors.weights)))
        bounds = vectors.indptr.tolist()
        lines = []
        for name, lo, hi in zip(docnos, bounds[:-1], bounds[1:], strict=True):
            encoded = json.dumps(name, ensure_ascii=False)
            lines.append(f'{{"id": {encoded}, "contents": "", "vector": {{{", ".join(pairs[lo:hi])}}}}}\n')
        return "".join(lines)

    def finish(self, path: Path) -> None:
        """Nothing is left to write."""


def weight_texts(weights: NDArray[np.float32]) -> Iterable[str]:
    """Shortest decimal text that is a whole number, or nine digits."""
    whole = weights.astype(np.int64) if weights.max(initial=0) < len(_WHOLE) else None
    if whole is not None and np.array_equal(whole, weights):
        return map(_WHOLE.__getitem__, whole.tolist())
    return map("%.9g".__mod__, weights.tolist())
