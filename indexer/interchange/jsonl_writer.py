"""Writing Anserini's JSON vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO

from indexer.interchange.batches import VectorBatch
from indexer.interchange.vocabulary import Vocabulary


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

    def add(self, batch: VectorBatch, docnos: list[str]) -> None:
        """Write the rows of a batch under these names."""
        vectors = batch.vectors
        keys = map(self._keys.__getitem__, vectors.term_ids.tolist())
        weights = map("%.9g".__mod__, vectors.weights.tolist())
        pairs = [key + weight for key, weight in zip(keys, weights, strict=True)]
        bounds = (vectors.indptr - vectors.indptr[0]).tolist()
        lines = []
        for name, lo, hi in zip(docnos, bounds[:-1], bounds[1:], strict=True):
            encoded = json.dumps(name, ensure_ascii=False)
            lines.append(f'{{"id": {encoded}, "contents": "", "vector": {{{", ".join(pairs[lo:hi])}}}}}\n')
        self._file.write("".join(lines).encode())

    def finish(self, path: Path) -> None:
        """Nothing is left to write."""
