"""Many queries, in batches that fit in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from indexer import SparseVectors
from indexer.interchange import BatchLimits, Vocabulary
from indexer.interchange.sources import open_vectors_of
from sparseir.data import read_queries

if TYPE_CHECKING:
    from sparseir.search.searcher import Searcher

BATCH = 512


def text_batches(searcher: Searcher, path: Path) -> Iterator[tuple[list[str], SparseVectors]]:
    """qids and encoded vectors of a file of query texts."""
    queries = read_queries(path)
    for start in range(0, len(queries), BATCH):
        part = queries[start : start + BATCH]
        yield [q.qid for q in part], searcher.encode_queries([q.text for q in part])


def vector_batches(searcher: Searcher, path: Path) -> Iterator[tuple[list[str], SparseVectors]]:
    """qids and vectors of a file of encoded queries; without names, a query's name is its row number.

    Term strings mean what they meant when the index was built; terms no document could hold are left out.

    Raises
    ------
    DataError : vectors that cannot be read, or whose term ids mean other terms than the index's.
    """

    def vocabulary() -> Vocabulary:
        return Vocabulary.of_index(searcher.index.query_side, searcher.num_terms, ignore_unknown=True)

    row = 0
    for batch in open_vectors_of(path, vocabulary, limits=BatchLimits(rows=BATCH)):
        yield batch.docnos or [str(i) for i in range(row, row + len(batch))], batch.vectors
        row += len(batch)
