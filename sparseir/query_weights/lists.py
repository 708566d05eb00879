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
    docnos : names of the candidates. ordinals : int64 (C,), theirs in the index.
    queries : float32 (L, terms) by rows: the weights of each query.
    """

    qids: tuple[str, ...]
    starts: NDArray[np.int64]
    parts: csr_matrix
    relevance: NDArray[np.float64]
    docnos: tuple[str, ...]
    ordinals: NDArray[np.int64]
    queries: csr_matrix

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
            self.ordinals[rows],
            self.queries[which],
        )

    def within(self, most_documents: int, *, seed: int) -> CandidateLists:
        """Lists drawn by `seed`, in their order, as many as have no more than so many documents together."""
        drawn = np.random.default_rng(seed).permutation(len(self))
        spans = [self.ordinals[self.starts[i] : self.starts[i + 1]] for i in drawn.tolist()]
        _, first = np.unique(np.concatenate([np.zeros(0, np.int64), *spans]), return_index=True)
        seen = np.searchsorted(np.sort(first), np.cumsum([len(span) for span in spans]))
        return self.only(np.sort(drawn[seen <= most_documents]))


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

    names: list[str] = list(queries)
    lists: list[_List] = []
    for start in range(0, len(names), _CHUNK):
        chunk = names[start : start + _CHUNK]
        lists += _lists(searcher, chunk, [queries[qid] for qid in chunk], qrels, depth)
        progress("searching", min(start + _CHUNK, len(names)), len(names))
    none = csr_matrix((0, searcher.index.num_terms), dtype=np.float32)
    return CandidateLists(
        tuple(found.qid for found in lists),
        np.concatenate([[0], np.cumsum([len(found.docnos) for found in lists])]).astype(np.int64),
        vstack([none, *(found.parts for found in lists)], format="csr", dtype=np.float32),
        np.concatenate([np.zeros(0), *(found.relevance for found in lists)]),
        tuple(docno for found in lists for docno in found.docnos),
        np.concatenate([np.zeros(0, np.int64), *(found.ordinals for found in lists)]),
        vstack([none, *(found.query for found in lists)], format="csr", dtype=np.float32),
    )


def candidate_words(searcher: Searcher, lists: CandidateLists, first_term: int) -> DocumentRows:
    """What all candidates hold of the terms from `first_term` on."""
    words = np.arange(first_term, searcher.index.num_terms, dtype=np.uint32)
    return _document_rows(searcher, np.unique(lists.ordinals), words)


def relevant_documents(searcher: Searcher, lists: CandidateLists) -> csr_matrix:
    """(L, terms) by rows: the most relevant candidate of each list, the first of several, as the index holds it."""
    firsts = [
        a + int(np.argmax(lists.relevance[a:b])) for a, b in zip(lists.starts[:-1], lists.starts[1:], strict=True)
    ]
    ordinals = lists.ordinals[np.array(firsts, np.int64)]
    terms = np.arange(searcher.index.num_terms, dtype=np.uint32)
    return _document_rows(searcher, np.unique(ordinals), terms).of(ordinals)


@dataclass(frozen=True, slots=True)
class _List:
    qid: str
    docnos: list[str]
    parts: csr_matrix
    relevance: NDArray[np.float64]
    ordinals: NDArray[np.int64]
    query: csr_matrix


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
        query = _one_row(vectors.row(number), index.num_terms)
        parts = documents.of(ordinals).multiply(query).tocsr()
        if not parts.nnz:
            continue
        lists.append(_List(qid, docnos, parts.astype(np.float32), gains / gains.sum(), ordinals, query))
    return lists


def _one_row(row: tuple[NDArray[np.uint32], NDArray[np.float32]], num_terms: int) -> csr_matrix:
    from scipy.sparse import csr_matrix

    terms, weights = row
    return csr_matrix((weights, terms.astype(np.int64), [0, len(terms)]), shape=(1, num_terms))


@dataclass(frozen=True, slots=True)
class DocumentRows:
    """Documents by ascending ordinal, int64 (D,), and their weights, float32 (D, terms) by rows."""

    ordinals: NDArray[np.int64]
    weights: csr_matrix

    def rows(self, ordinals: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where documents stand."""
        return np.searchsorted(self.ordinals, ordinals)

    def of(self, ordinals: NDArray[np.int64]) -> csr_matrix:
        """Their weights."""
        return self.weights[self.rows(ordinals)]


def _document_rows(searcher: Searcher, ordinals: NDArray[np.int64], term_ids: NDArray[np.uint32]) -> DocumentRows:
    """What documents hold of some terms, which ascend."""
    from scipy.sparse import csr_matrix

    index, engine = searcher.index, searcher.engine
    assert isinstance(engine, CpuEngine)
    segments, doc_ids = index.locate(ordinals)
    allowed = allowed_documents(index, ordinals)
    rows, terms, impacts = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)], [np.zeros(0, np.uint8)]
    for number in np.unique(segments).tolist():
        segment = index.segments[number]
        here = np.flatnonzero(segments == number)
        places: NDArray[np.int32] = here[np.argsort(doc_ids[here])].astype(np.int32)
        df, known = segment.section("TREC")["df"], segment.section("TERM").astype(np.int32)
        slots = np.flatnonzero(np.isin(known, term_ids))
        for run in np.split(slots, np.flatnonzero(np.diff(slots) != 1) + 1) if len(slots) else ():
            first, end = int(run[0]), int(run[-1]) + 1
            for counts, found, weights in engine.native.subset_postings(number, allowed[number], 0, df, (first, end)):
                rows.append(places[found])
                terms.append(np.repeat(known[first : first + len(counts)], counts))
                impacts.append(weights)
                first += len(counts)
    values = np.concatenate(impacts).astype(np.float32) * np.float32(index.doc_scale)
    placed = values, (np.concatenate(rows), np.concatenate(terms))
    return DocumentRows(ordinals, csr_matrix(placed, shape=(len(ordinals), index.num_terms), dtype=np.float32))
