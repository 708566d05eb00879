"""Many queries, in batches that fit in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from indexer import SparseVectors
from indexer.interchange import BatchLimits, Vocabulary
from indexer.interchange.sources import open_vectors_of
from sparseir.data import Query, read_queries

if TYPE_CHECKING:
    from sparseir.search.searcher import Searcher

BATCH = 512
_HITS_BYTES = 256 << 20


def rows_for(k: int) -> int:
    """Queries a batch: BATCH, or fewer where their hits, an ordinal and a score each, would take more than 256 MB."""
    return max(1, min(BATCH, _HITS_BYTES // (12 * k)))


def text_batches(
    searcher: Searcher, source: Path | Sequence[Query], rows: int = BATCH
) -> Iterator[tuple[list[str], SparseVectors]]:
    """qids and encoded vectors of query texts, or of a file of them."""
    queries = read_queries(source) if isinstance(source, Path) else source
    for start in range(0, len(queries), rows):
        part = queries[start : start + rows]
        yield [q.qid for q in part], searcher.encode_queries([q.text for q in part])


def vector_batches(searcher: Searcher, path: Path, rows: int = BATCH) -> Iterator[tuple[list[str], SparseVectors]]:
    """qids and vectors of a file of encoded queries; without names, a query's name is its row number.

    Term strings mean what they meant when the index was built; terms no document could hold are left out.

    Raises
    ------
    DataError : vectors that cannot be read, or whose term ids mean other terms than the index's.
    """

    def vocabulary() -> Vocabulary:
        return Vocabulary.of_index(searcher.index.query_files, searcher.index.num_terms, ignore_unknown=True)

    row = 0
    for batch in open_vectors_of(path, vocabulary, limits=BatchLimits(rows=rows)):
        yield list(batch.docnos or map(str, range(row, row + len(batch)))), batch.vectors
        row += len(batch)
