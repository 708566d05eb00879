"""Judged queries with the documents that an index finds for them, and what each term adds to their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from indexer.progress import Progress, silent
from sparseir.data.records import Qrels
from sparseir.search.cpu import CpuEngine
from sparseir.search.filters.expressions import allowed_documents
from sparseir.search.searcher import Searcher

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_CHUNK = 256
"""Queries whose candidates are read together."""


@dataclass(frozen=True, slots=True)
class CandidateLists:
    """The lists of L queries, one after the other, C candidates in all.

    Parameters
    ----------
    qids : names of the queries.
    starts : int64 (L + 1,), where each list begins and the last ends; none is empty.
    parts : float32 (C, terms) by rows: query weight × document weight of each term. A row's sum is the document's score.
    relevance : float64 (C,): the judged relevant ones share 1 in each list, by their grades; 0 for others.
    docnos : names of the candidates.
    """

    qids: tuple[str, ...]
    starts: NDArray[np.int64]
    parts: csr_matrix
    relevance: NDArray[np.float64]
    docnos: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.qids)

    def only(self, which: NDArray[np.int64]) -> CandidateLists:
        """Some of the lists."""
        spans = [np.arange(self.starts[i], self.starts[i + 1]) for i in which.tolist()]
        rows = np.concatenate([np.zeros(0, np.int64), *spans])
        return CandidateLists(
            tuple(self.qids[i] for i in which.tolist()),
            np.concatenate([[0], np.cumsum([len(span) for span in spans])]).astype(np.int64),
            self.parts[rows],
            self.relevance[rows],
            tuple(self.docnos[i] for i in rows.tolist()),
        )


def candidate_lists(
    searcher: Searcher, queries: Mapping[str, str], qrels: Qrels, *, depth: int, progress: Progress = silent
) -> CandidateLists:
    """The best `depth` documents of each query as the index finds them, and its relevant ones where none is among them.

    Left out are queries that no document answers or that match nothing, and a query's own document, where one has its name and is not judged
    relevant: queries and documents may be numbered alike.

    Parameters
    ----------
    searcher : over an index on this machine, with the query weights to start from.
    queries : text by name. qrels : grades by query and document.
    """
    from scipy.sparse import csr_matrix, vstack

    names, lists = list(queries), []
    for start in range(0, len(names), _CHUNK):
        chunk = names[start : start + _CHUNK]
        lists += _lists(searcher, chunk, [queries[qid] for qid in chunk], qrels, depth)
        progress("searching", min(start + _CHUNK, len(names)), len(names))
    blocks = [found.parts for found in lists] or [csr_matrix((0, searcher.index.num_terms), dtype=np.float32)]
    return CandidateLists(
        tuple(found.qid for found in lists),
        np.concatenate([[0], np.cumsum([len(found.docnos) for found in lists])]).astype(np.int64),
        vstack(blocks, format="csr", dtype=np.float32),
        np.concatenate([np.zeros(0), *(found.relevance for found in lists)]),
        tuple(docno for found in lists for docno in found.docnos),
    )


@dataclass(frozen=True, slots=True)
class _List:
    qid: str
    docnos: list[str]
    parts: csr_matrix
    relevance: NDArray[np.float64]


def _lists(searcher: Searcher, qids: Sequence[str], texts: Sequence[str], qrels: Qrels, depth: int) -> list[_List]:
    index = searcher.index
    vectors = searcher.encode_queries(texts)
    found = searcher.search_vectors(vectors, min(depth, max(1, index.num_docs))).ordinals
    relevant = [{docno: grade for docno, grade in qrels.get(qid, {}).items() if grade > 0} for qid in qids]
    candidates = []
    for qid, row, grades in zip(qids, found, relevant, strict=True):
        wanted = index.ordinals([*grades, qid])
        own = -1 if qid in grades else wanted[-1]
        kept = row[(row >= 0) & (row != own)]
        judged = wanted[:-1][wanted[:-1] >= 0]
        candidates.append(kept if len(np.intersect1d(kept, judged)) else np.concatenate([kept, judged]))
    documents = _document_rows(
        searcher, np.unique(np.concatenate([np.zeros(0, np.int64), *candidates])), np.unique(vectors.term_ids)
    )
    lists = []
    for number, (qid, ordinals, grades) in enumerate(zip(qids, candidates, relevant, strict=True)):
        docnos = [str(name) for name in index.docnos(ordinals)]
        gains = np.array([float(grades.get(name, 0)) for name in docnos])
        if not gains.any():
            continue
        parts = documents.of(ordinals).multiply(_one_row(vectors.row(number), index.num_terms)).tocsr()
        if not parts.nnz:
            continue
        lists.append(_List(qid, docnos, parts.astype(np.float32), gains / gains.sum()))
    return lists


def _one_row(row: tuple[NDArray[np.uint32], NDArray[np.float32]], num_terms: int) -> csr_matrix:
    from scipy.sparse import csr_matrix

    terms, weights = row
    return csr_matrix((weights, terms.astype(np.int64), [0, len(terms)]), shape=(1, num_terms))


@dataclass(frozen=True, slots=True)
class _Rows:
    """Documents by ascending ordinal, their weights by rows."""

    ordinals: NDArray[np.int64]
    weights: csr_matrix

    def of(self, ordinals: NDArray[np.int64]) -> csr_matrix:
        return self.weights[np.searchsorted(self.ordinals, ordinals)]


def _document_rows(searcher: Searcher, ordinals: NDArray[np.int64], term_ids: NDArray[np.uint32]) -> _Rows:
    """What documents hold of some terms."""
    from scipy.sparse import csr_matrix

    index, engine = searcher.index, searcher.engine
    assert isinstance(engine, CpuEngine)
    segments, doc_ids = index.locate(ordinals)
    allowed = allowed_documents(index, ordinals)
    rows, terms, values = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
    for number in np.unique(segments).tolist():
        segment = index.segments[number]
        here = np.flatnonzero(segments == number)
        here = here[np.argsort(doc_ids[here])]
        df, known = segment.section("TREC")["df"], segment.section("TERM")
        for slot in np.flatnonzero(np.isin(known, term_ids)).tolist():
            for _, found, impacts in engine.native.subset_postings(number, allowed[number], 0, df, (slot, slot + 1)):
                rows.append(here[found])
                terms.append(np.full(len(found), known[slot], np.int64))
                values.append((impacts * np.float32(index.doc_scale)).astype(np.float32))
    placed = np.concatenate(values), (np.concatenate(rows), np.concatenate(terms))
    return _Rows(ordinals, csr_matrix(placed, shape=(len(ordinals), index.num_terms), dtype=np.float32))
