"""An encoder whose documents are encoded once, however many indexes are made of them. Imports torch."""

from __future__ import annotations

import pickle
import tempfile
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from indexer import SparseVectors
from sparseir.models.encoder import SparseEncoder


class EncodedOnce(SparseEncoder):
    """The first pass over a collection encodes and keeps its batches in a temporary file; later passes read them.

    A batch that comes with other texts or options than before is encoded. Use as a context manager, which drops the file.

    Attributes
    ----------
    seconds, cpu_seconds : wall-clock and processor time that encoding has taken.
    """

    def __init__(self, encoder: SparseEncoder) -> None:
        super().__init__(encoder)
        self._file = tempfile.TemporaryFile(prefix="sparseir-encoded-")  # noqa: SIM115 (closed by __exit__)
        self._places: dict[Any, int] = {}
        self.seconds = self.cpu_seconds = 0.0

    def encode_documents(self, texts: Sequence[str], **options: Any) -> SparseVectors:
        """As `SparseEncoder.encode_documents`."""
        key = (tuple(texts), repr(sorted(options.items())))
        digest = hash(key), len(texts), sum(map(len, texts))
        if (place := self._places.get(digest)) is not None:
            self._file.seek(place)
            kept_texts, vectors = pickle.load(self._file)
            if kept_texts == list(texts):
                return vectors
        start, cpu = time.perf_counter(), time.process_time()
        vectors = super().encode_documents(texts, **options)
        self.seconds += time.perf_counter() - start
        self.cpu_seconds += time.process_time() - cpu
        self._places[digest] = self._file.seek(0, 2)
        pickle.dump((list(texts), vectors), self._file, pickle.HIGHEST_PROTOCOL)
        return vectors

    def __enter__(self) -> EncodedOnce:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
