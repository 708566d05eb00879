"""A table of pairs: for each query some documents in ascending order, with a number for each where the table has numbers.

    table.json       what is below: numbers of queries, documents and pairs, sizes, checksums
    starts.bin       int64 (Q + 1): where each query's pairs begin
    documents.bin    uint32 (P,): rows of documents, ascending within a query
    values.bin       float32 (P,): grades or scores; absent from a table of documents alone

4 to 8 bytes a pair and 8 a query, mapped by every process that opens it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparseir.data.stores.files import mapped, read_description, stated_files, verify_files
from sparseir.errors import DataError

FORM, VERSION = "sparseir pairs", 1
DESCRIPTION = "table.json"
STARTS, DOCUMENTS, VALUES = "starts.bin", "documents.bin", "values.bin"


class PairTable:
    """The pairs of a folder, by query row.

    Parameters
    ----------
    path : the folder.

    Attributes
    ----------
    described : what table.json says. num_queries, num_documents, num_pairs : Q, documents of the store, P.
    has_values : whether each pair has a number.

    Raises
    ------
    DataError : no table, a damaged description, files of other sizes than it states.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.described = read_description(self.path / DESCRIPTION, FORM, VERSION)
        counts = [self.described.get(name) for name in ("queries", "documents", "pairs")]
        if not all(type(count) is int and 0 <= count < 2**48 for count in counts):
            raise DataError(f"states {counts} as numbers of queries, documents, pairs", path=self.path / DESCRIPTION)
        self.num_queries, self.num_documents, self.num_pairs = (int(count) for count in counts if count is not None)
        self.has_values = bool(self.described.get("values"))
        names = (STARTS, DOCUMENTS, *((VALUES,) if self.has_values else ()))
        self._files = stated_files(self.described, names, self.path / DESCRIPTION)
        self.starts: NDArray[np.int64] = mapped(self.path / STARTS, np.int64, self.num_queries + 1)
        self._documents = mapped(self.path / DOCUMENTS, np.uint32, self.num_pairs)
        self._values = mapped(self.path / VALUES, np.float32, self.num_pairs) if self.has_values else None

    def __reduce__(self) -> tuple[type[PairTable], tuple[Path]]:
        return PairTable, (self.path,)

    def documents(self, query: int) -> NDArray[np.int64]:
        """Rows of a query's documents, int64, ascending."""
        return self._checked(self._documents[self._span(query, query + 1)])

    def values(self, query: int) -> NDArray[np.float32]:
        """Numbers of a query's pairs, in the order of `documents`."""
        return np.array(self._numbers()[self._span(query, query + 1)])

    def values_of(self, first: int, end: int) -> NDArray[np.float32]:
        """Numbers of the pairs of queries first..end, in the order of `keys`."""
        return np.array(self._numbers()[self._span(first, end)])

    def find(self, query: int, documents: NDArray[np.int64]) -> NDArray[np.float32]:
        """Numbers of some documents of a query, NaN for one that has no pair with it."""
        span = self._span(query, query + 1)
        known = np.array(self._documents[span], np.int64)
        place = np.minimum(np.searchsorted(known, documents), max(0, len(known) - 1))
        out = np.full(len(documents), np.nan, np.float32)
        if len(known):
            there = known[place] == documents
            out[there] = self._numbers()[span][place[there]]
        return out

    def counts(self) -> NDArray[np.int64]:
        """Pairs of each query, int64 (Q,)."""
        counts = np.diff(self.starts)
        if len(counts) and (counts < 0).any():
            raise self._damaged()
        return counts

    def keys(self, first: int, end: int) -> NDArray[np.uint64]:
        """query · 2³² + document of the pairs of queries first..end, uint64, ascending."""
        counts = np.diff(self.starts[first : end + 1])
        span = self._span(first, end)
        if (counts < 0).any() or counts.sum() != span.stop - span.start:
            raise self._damaged()
        rows = np.repeat(np.arange(first, end, dtype=np.uint64), counts)
        return rows << np.uint64(32) | self._checked(self._documents[span]).astype(np.uint64)

    def verify(self) -> None:
        """Read everything: checksums, ends, order, documents that are there.

        Raises
        ------
        DataError : the first fault.
        """
        verify_files(self.path, self._files)
        counts = self.counts()
        if int(self.starts[0]) != 0 or int(counts.sum()) != self.num_pairs:
            raise self._damaged()
        for first in range(0, self.num_queries, 8192):
            keys = self.keys(first, min(first + 8192, self.num_queries))
            if (keys[1:] <= keys[:-1]).any():
                raise DataError(f"pairs of queries from {first} on are not in order", path=self.path)

    def _numbers(self) -> NDArray[np.float32]:
        if self._values is None:
            raise DataError("holds documents without numbers", path=self.path)
        return self._values

    def _span(self, first: int, end: int) -> slice:
        start, stop = int(self.starts[first]), int(self.starts[end])
        if not 0 <= start <= stop <= self.num_pairs:
            raise self._damaged()
        return slice(start, stop)

    def _checked(self, documents: NDArray[Any]) -> NDArray[np.int64]:
        rows = documents.astype(np.int64)
        if len(rows) and int(rows.max()) >= self.num_documents:
            raise DataError(
                f"names document {rows.max()} of {self.num_documents}; it is damaged: prepare it again", path=self.path
            )
        return rows

    def _damaged(self) -> DataError:
        return DataError("its starts are damaged; prepare it again", path=self.path)
