"""The Big-ANN benchmark's .csr: int64 rows, columns, weights; int64 indptr; int32 indices; float32 data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.documents import Documents
from indexer.errors import DataError
from indexer.interchange.batches import BatchLimits
from indexer.interchange.matrices.csr_stream import CsrStream, MatrixSource, sidecar_names, sidecar_vocabulary, wider

HEADER_BYTES = 24


class _FileColumn:
    """A range of a file as one array."""

    def __init__(self, path: Path, offset: int, count: int, dtype: str) -> None:
        self.count = count
        self._path, self._offset, self._dtype = path, offset, np.dtype(dtype)

    def take(self, count: int) -> NDArray[Any]:
        values = np.fromfile(self._path, self._dtype, count, offset=self._offset)
        if len(values) != count:
            raise DataError("the file became shorter while it was read", path=self._path)
        self._offset += count * self._dtype.itemsize
        return values

    def finish(self) -> None:
        """Nothing is left to check: the size was compared with the header before the first row."""


class BigAnnSource(MatrixSource):
    """A Big-ANN CSR file. Names of rows and terms come from PATH.docnos and PATH.terms where those lie beside it.

    Raises
    ------
    DataError : no such file, or a size other than its header says.
    """

    format = "bigann"

    def __init__(self, path: Path, num_terms: int | None, limits: BatchLimits) -> None:
        self.path = path
        self._limits = limits
        try:
            size = path.stat().st_size
            header = np.fromfile(path, "<i8", 3)
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}", path=path) from error
        if len(header) < 3:
            raise DataError(f"{size} bytes; expected a header of {HEADER_BYTES}", path=path)
        self._rows, columns, self._nnz = (int(n) for n in header)
        expected = HEADER_BYTES + 8 * (self._rows + 1) + 8 * self._nnz
        if self._rows < 0 or self._nnz < 0 or size != expected:
            raise DataError(
                f"{size} bytes; a header of {self._rows} rows and {self._nnz} weights needs {expected}", path=path
            )
        self._vocabulary = sidecar_vocabulary(path, columns)
        self._num_terms = wider(columns, num_terms, path)

    def __iter__(self) -> Iterator[Documents]:
        indices = HEADER_BYTES + 8 * (self._rows + 1)
        stream = CsrStream(
            path=self.path,
            rows=self._rows,
            num_terms=self._num_terms,
            indptr=_FileColumn(self.path, HEADER_BYTES, self._rows + 1, "<i8"),
            term_ids=_FileColumn(self.path, indices, self._nnz, "<i4"),
            weights=_FileColumn(self.path, indices + 4 * self._nnz, self._nnz, "<f4"),
        )
        yield from stream.batches(self._limits, sidecar_names(self.path))
