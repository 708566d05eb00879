"""Does an export rank as the index it was made of? Its files are read back and ranked by the numbers the target will hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer import Index, SparseVectors
from indexer.interchange.live import LiveDocuments
from indexer.interchange.stores import Layout, Store
from indexer.interchange.stores.read import Batch, read_export
from indexer.interchange.stores.write import read_description
from indexer.interchange.vocabulary import Vocabulary
from indexer.native.queries import quantize_queries
from indexer.progress import Progress, silent
from sparseir.errors import DataError
from sparseir.search.cpu import CpuEngine, open_native

_SLACK = 1 - 1e-6
"""What a sum may lose when the target rounds it, with room."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreCheck:
    """Rankings of an export beside those of its index.

    Parameters
    ----------
    queries, k : checked.
    overlap : mean share of our k best that are the target's k best.
    equal : queries with the same documents in the same order, and scores equal to the bit.
    must_equal : queries for which this has to be so: whole numbers on both sides, sums that the target holds.
    failed : of those, the numbers of the queries that differ.
    """

    queries: int
    k: int
    overlap: float
    equal: int
    must_equal: int
    failed: tuple[int, ...]


def check_export(
    index: Index, path: Path, store: Store, queries: SparseVectors, *, k: int = 10, progress: Progress = silent
) -> StoreCheck:
    """Rank the documents of an export for some queries, equal scores by their order in the index.

    Every document is scored for every query, with weights rounded as the target rounds them (`Store.held`,
    `Store.held_query`) and sums as it takes them (`Store.added`). What an approximate search leaves out on top is not
    part of it. Memory: one batch of documents, 12 bytes a hit.

    Raises
    ------
    DataError : no export of this commit of this index; files that are not as they were written.
    """
    description = read_description(path)
    layout = Layout.from_json(description["layout"])
    if description["format"] != store.name or description["generation"] != index.generation:
        raise DataError(
            f"an export to {description['format']} of commit {description['generation']} stands here; expected one to "
            f"{store.name} of commit {index.generation}",
            path=path,
        )
    documents = LiveDocuments(index)
    ours = _Ours(index, documents, queries, k)
    theirs = _Theirs(store, layout, queries, k)
    vocabulary = Vocabulary.of_index(index.query_files, index.num_terms)
    used = np.unique(np.concatenate([np.zeros(0, np.uint32), *(s.section("TERM") for s in index.segments)]))
    written = 0
    for batch in read_export(path, store, layout, vocabulary, used):
        _check_names(batch, documents, path)
        theirs.add(batch)
        written += len(batch.rows)
        progress("checking", written, description["documents"])
    if written != description["documents"]:
        raise DataError(f"{written:,} documents in the files, {description['documents']:,} were written", path=path)
    return _compared(ours, theirs, store, layout, k)


def _compared(ours: _Ours, theirs: _Theirs, store: Store, layout: Layout, k: int) -> StoreCheck:
    shares, failed, equal, must = [], [], 0, 0
    for number, (rows, scores) in enumerate(zip(ours.rows, ours.scores, strict=True)):
        found, there = theirs.hits(number)
        if len(rows):
            shares.append(len(np.intersect1d(rows, found)) / len(rows))
        same = np.array_equal(rows, found) and np.array_equal(scores * store.unit(layout), there)
        equal += same
        if store.exact and layout.weights == "impact" and int(scores.max(initial=0)) <= store.exact_sums:
            must += 1
            if not same:
                failed.append(number)
    return StoreCheck(
        queries=len(ours.rows),
        k=k,
        overlap=float(np.mean(shares)) if shares else 1.0,
        equal=equal,
        must_equal=must,
        failed=tuple(failed),
    )


def _check_names(batch: Batch, documents: LiveDocuments, path: Path) -> None:
    if not len(batch.rows):
        return
    first, last = int(batch.rows[0]), int(batch.rows[-1]) + 1
    expected = documents.docnos(first, last) if last <= documents.count else []
    for row, name in zip(batch.rows.tolist(), batch.docnos, strict=True):
        if not first <= row < first + len(expected) or expected[row - first] != name:
            raise DataError(f"document {row} is called {name!r}, not as in the index; export again", path=path)


class _Ours:
    """The rankings of the index: rows and integer scores of each query."""

    def __init__(self, index: Index, documents: LiveDocuments, queries: SparseVectors, k: int) -> None:
        engine = CpuEngine(open_native(index))
        batch, _ = quantize_queries(queries)
        self.rows: list[NDArray[np.int64]] = []
        self.scores: list[NDArray[np.int64]] = []
        for i in range(len(queries)):
            one = batch.slice(i, i + 1)
            ordinals, scores = engine.search_integers(one.ids, one.weights.astype(np.uint32), k)
            found = ordinals >= 0
            self.rows.append(np.searchsorted(documents.ordinals, ordinals[found]))
            self.scores.append(scores[found])


class _Theirs:
    """The k best of the documents seen so far, for each query."""

    def __init__(self, store: Store, layout: Layout, queries: SparseVectors, k: int) -> None:
        self._store, self._layout, self._k = store, layout, k
        self._queries = [self._query(*queries.row(i)) for i in range(len(queries))]
        self._rows = [np.zeros(0, np.int64) for _ in self._queries]
        self._scores = [np.zeros(0) for _ in self._queries]

    def _query(
        self, terms: NDArray[np.uint32], weights: NDArray[np.float32]
    ) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
        terms, weights = terms[weights > 0], weights[weights > 0]
        if not len(terms):
            return terms, np.zeros(0)
        sent = self._store.query_weights(terms, weights, self._layout)
        held = self._store.held_query(sent, self._layout).astype(np.float64)
        folded, at = np.unique(self._store.folded(terms), return_inverse=True)
        largest = np.zeros(len(folded))
        np.maximum.at(largest, at, held)  # of terms with one id the larger weight stays
        return folded, largest

    def add(self, batch: Batch) -> None:
        """Score some documents."""
        places, terms, weights = self._held(batch)
        starts = np.flatnonzero(np.concatenate([[True], terms[1:] != terms[:-1]])) if len(terms) else np.zeros(0, int)
        table = dict(zip(terms[starts].tolist(), zip(starts, [*starts[1:], len(terms)], strict=True), strict=True))
        for number, (asked, values) in enumerate(self._queries):
            sums = np.zeros(len(batch.rows))
            for term, value in zip(asked.tolist(), values.tolist(), strict=True):
                if term in table:
                    lo, hi = table[term]
                    sums[places[lo:hi]] += value * weights[lo:hi]  # a document is once in a list
            self._merge(number, batch.rows, sums)

    def _held(self, batch: Batch) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.float64]]:
        """Postings by term, then document, one for each pair: place in the batch, term, weight as it is held."""
        terms = self._store.folded(batch.term_ids)
        held = self._store.held(batch.weights, self._layout).astype(np.float64)
        places = np.repeat(np.arange(len(batch.rows)), np.diff(batch.indptr))
        keys = terms.astype(np.uint64) << np.uint64(32) | places.astype(np.uint64)
        order = np.argsort(keys)
        keys, held = keys[order], held[order]
        first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else np.zeros(0, np.int64)
        if len(first) < len(keys):
            held, keys = np.maximum.reduceat(held, first), keys[first]
        return (keys & np.uint64(0xFFFFFFFF)).astype(np.int64), (keys >> np.uint64(32)).astype(np.uint32), held

    def _merge(self, number: int, rows: NDArray[np.int64], sums: NDArray[np.float64]) -> None:
        best = self._scores[number]
        least = float(best[-1]) * _SLACK if len(best) == self._k else 0.0
        found = np.flatnonzero(sums > least)
        if not len(found):
            return
        if len(found) > 64 * self._k:
            cut = np.partition(sums[found], len(found) - self._k)[len(found) - self._k]
            found = found[sums[found] >= cut * _SLACK]
        scores = np.concatenate([best, self._store.added(sums[found], self._layout)])
        all_rows = np.concatenate([self._rows[number], rows[found]])
        kept = np.lexsort((all_rows, -scores))[: self._k]
        self._rows[number], self._scores[number] = all_rows[kept], scores[kept]

    def hits(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Rows and scores of a query, best first."""
        return self._rows[number], self._scores[number]
