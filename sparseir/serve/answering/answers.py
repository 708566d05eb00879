"""Requests to answers: plain values for JSON, whatever route they came by."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer import SparseVectors
from sparseir.data.passages import document_of, windows_of
from sparseir.search.feedback.options import Feedback
from sparseir.search.remote.client import StaleShardError
from sparseir.search.searcher import Searcher
from sparseir.serve.answering.evidence import WeightedQuery, content, describe_terms, document_vector, explain_hits
from sparseir.serve.answering.queries import SearchRequest
from sparseir.serve.answering.snippets import marked, snippet
from sparseir.serve.faults import ApiError, bad_request, busy
from sparseir.serve.indexes import ATTEMPTS, ServedIndex, Snapshot, StaleSnapshotError


def search(served: ServedIndex, request: SearchRequest) -> dict[str, Any]:
    """The answer of a search.

    Raises
    ------
    ApiError, DataError : what in the request cannot be used.
    """
    for _ in range(ATTEMPTS):
        try:
            return _search(served.current, request, served.engine)
        except (
            StaleSnapshotError,
            StaleShardError,
        ):  # a commit came between opening the snapshot and opening this engine
            served.refresh()
    raise busy(f"index {served.name!r} is being committed to all the time")


def _search(snapshot: Snapshot, request: SearchRequest, default: str) -> dict[str, Any]:
    start, work = time.perf_counter(), time.thread_time()
    engine = request.engine or default
    answer: dict[str, Any] = {
        "index": snapshot.name,
        "generation": snapshot.generation,
        "engine": engine,
        "took_ms": 0.0,
    }
    searcher = snapshot.searcher(engine)
    if request.many:
        answer["results"] = [{"hits": hits} for hits in _batch(snapshot, searcher, request)]
    else:
        answer.update(_one(snapshot, searcher, request, engine))
    if searcher.share < 1:
        answer["share"] = round(searcher.share, 6)
    if request.plain:
        snapshot.took(time.thread_time() - work)
    answer["took_ms"] = round((time.perf_counter() - start) * 1000, 3)
    return answer


def _one(snapshot: Snapshot, searcher: Searcher, request: SearchRequest, engine: str) -> dict[str, Any]:
    query = _weighted(snapshot, searcher, request)
    answer: dict[str, Any] = {}
    if request.stats:
        measured, lock = snapshot.measured(engine)
        with lock:
            before, start = measured.stats(), time.perf_counter()
            ranking = measured.search_terms(query.term_ids, query.weights, request.k, filter=request.filter)
            seconds, after = time.perf_counter() - start, measured.stats()
        answer["stats"] = {name: after[name] - before.get(name, 0) for name in after}
        answer["stats"]["search_ms"] = round(seconds * 1000, 4)
    else:
        ranking = searcher.search_terms(query.term_ids, query.weights, request.k, filter=request.filter)
    number = int(np.count_nonzero(ranking.ordinals >= 0))  # the padding is at the end
    ordinals, scores = ranking.ordinals[:number], ranking.scores[:number]
    hits = _hits(searcher, ordinals, scores)
    if request.fields is not None or request.evidence:
        stored = searcher.fields(ordinals)
        if request.fields is not None:
            for hit, fields in zip(hits, stored, strict=True):
                hit["fields"] = _chosen(fields, request.fields)
        if request.evidence:
            answer["query_terms"] = describe_terms(snapshot, query)
            _add_evidence(snapshot, query, request, ordinals, list(zip(hits, stored, strict=True)))
    answer["hits"] = hits
    return answer


def _hits(searcher: Searcher, ordinals: NDArray[np.int64], scores: NDArray[Any]) -> list[dict[str, Any]]:
    """Rank, name and score of each; of a passage its name, by which it is explained and fetched, and its document's."""
    named = zip(searcher.index.docnos(ordinals), scores.tolist(), strict=True)
    hits: list[dict[str, Any]] = [
        {"rank": rank, "docno": name, "score": score} for rank, (name, score) in enumerate(named, 1)
    ]
    if windows_of(searcher.index) is not None:
        for hit in hits:
            hit["document"] = document_of(hit["docno"])
    return hits


def _add_evidence(
    snapshot: Snapshot,
    query: WeightedQuery,
    request: SearchRequest,
    ordinals: NDArray[np.int64],
    hits: list[tuple[dict[str, Any], dict[str, Any]]],
) -> None:
    explained = explain_hits(snapshot, query, ordinals, [content(fields) for _, fields in hits])
    for (hit, fields), explanation in zip(hits, explained, strict=True):
        if request.explain:
            hit["explanation"] = explanation
        if request.snippet:
            shares = {term["term_id"]: term["share"] for term in explanation["terms"]}
            title, text = fields.get("title"), fields.get("text")
            words = snapshot.terms.texts.words
            hit["title"] = marked(words, title, shares) if isinstance(title, str) and title else []
            hit["snippet"] = snippet(words, content({"text": text}), shares)


def _batch(snapshot: Snapshot, searcher: Searcher, request: SearchRequest) -> list[list[dict[str, Any]]]:
    if request.texts:
        vectors = _encoder(snapshot).encode_batch(request.texts)
    else:
        vectors = _rows(request.vectors, searcher.index.num_terms)
    if request.feedback:
        vectors = _told(snapshot, searcher, request, vectors)
    ranking = searcher.search_vectors(vectors, request.k, filter=request.filter)
    answers = [
        _hits(searcher, ordinals[ordinals >= 0], scores[ordinals >= 0])
        for ordinals, scores in zip(ranking.ordinals, ranking.scores, strict=True)
    ]
    if request.fields is not None:
        for row, hits in enumerate(answers):
            stored = searcher.fields(ranking.ordinals[row, : len(hits)])
            for hit, fields in zip(hits, stored, strict=True):
                hit["fields"] = _chosen(fields, request.fields)
    return answers


def _rows(vectors: list[tuple[list[int], list[float]]], num_terms: int) -> SparseVectors:
    for row, (term_ids, _) in enumerate(vectors):
        largest = max(term_ids, default=0)
        if largest >= num_terms:
            raise bad_request("vectors", f"row {row} holds term id {largest}; the vocabulary is 0..{num_terms - 1}")
    indptr = np.concatenate([[0], np.cumsum([len(term_ids) for term_ids, _ in vectors])])
    flat_ids = [t for term_ids, _ in vectors for t in term_ids]
    flat_weights = [w for _, weights in vectors for w in weights]
    return SparseVectors.from_arrays(
        indptr, np.array(flat_ids, np.uint32), np.array(flat_weights, np.float32), num_terms, source="vectors"
    )


def _weighted(snapshot: Snapshot, searcher: Searcher, request: SearchRequest) -> WeightedQuery:
    if request.texts:
        encoded: tuple[NDArray[np.uint32], NDArray[np.float32]] = _encoder(snapshot).encode(request.texts[0])
    elif request.terms is not None:
        encoded = _arrays(_by_id(snapshot, request.terms, "terms"))
    else:
        row = _rows(request.vectors, snapshot.main.index.num_terms)
        encoded = row.term_ids, row.weights
    if request.feedback:
        indptr = np.array([0, len(encoded[0])])
        row = SparseVectors.from_arrays(indptr, *encoded, searcher.index.num_terms, source="query")
        encoded = _told(snapshot, searcher, request, row).row(0)
    text, weights = request.texts[0] if request.texts else "", _by_id(snapshot, request.weights or {}, "weights")
    if not weights:
        return WeightedQuery(text, *encoded, encoded)
    changed = {**dict(zip(encoded[0].tolist(), encoded[1].tolist(), strict=True)), **weights}
    return WeightedQuery(text, *_arrays(changed), encoded)


def _told(snapshot: Snapshot, searcher: Searcher, request: SearchRequest, queries: SparseVectors) -> SparseVectors:
    """Queries with words of what they find."""
    if snapshot.encoder is None:
        raise ApiError(
            400,
            "no_query_side",
            f"feedback: index {snapshot.name!r} cannot weigh words; start the service with the model that it was made with (--model)",
            field="feedback",
        )
    feedback = Feedback(documents=request.feedback)
    found = searcher.search_vectors(queries, feedback.documents, filter=request.filter)
    return snapshot.feedback.expanded(queries, found, feedback)


def _arrays(weights: dict[int, float]) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    kept = sorted((t, w) for t, w in weights.items() if w > 0)
    return np.array([t for t, _ in kept], np.uint32), np.array([w for _, w in kept], np.float32)


def _by_id(snapshot: Snapshot, weights: dict[str, float], field: str) -> dict[int, float]:
    by_id = {}
    for name, weight in weights.items():
        term_id = snapshot.terms.id(name)
        if term_id < 0:
            raise bad_request(field, f"the vocabulary has no term {name[:60]!r}")
        by_id[term_id] = weight
    return by_id


def _encoder(snapshot: Snapshot) -> Any:
    if snapshot.encoder is None:
        raise ApiError(
            400,
            "no_query_side",
            f"query: index {snapshot.name!r} cannot encode texts; send 'vector' or 'terms', or start the service with "
            "the model the index was made with (--model)",
            field="query",
        )
    return snapshot.encoder


def _chosen(fields: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return fields if not names else {name: fields[name] for name in names if name in fields}


def explain(served: ServedIndex, request: SearchRequest, docno: str) -> dict[str, Any]:
    """Why one document has its score for a query, also when it is no hit."""
    snapshot = served.current
    ordinal = _ordinal(snapshot, docno)
    query = _weighted(snapshot, snapshot.main, request)
    fields = snapshot.main.fields(np.array([ordinal]))[0]
    explanation = explain_hits(snapshot, query, np.array([ordinal]), [content(fields)])[0]
    head = {"index": snapshot.name, "generation": snapshot.generation, "docno": docno}
    return {**head, **explanation, "query_terms": describe_terms(snapshot, query)}


def document(served: ServedIndex, docno: str, *, vector: bool) -> dict[str, Any]:
    """One document as it is stored."""
    snapshot = served.current
    ordinal = _ordinal(snapshot, docno)
    fields = snapshot.main.fields(np.array([ordinal]))[0]
    answer = {"index": snapshot.name, "generation": snapshot.generation, "docno": docno, "fields": fields}
    if vector:
        answer["vector"] = document_vector(snapshot, ordinal, content(fields))
    return answer


def _ordinal(snapshot: Snapshot, docno: str) -> int:
    ordinal = int(snapshot.main.index.ordinals([docno])[0])
    if ordinal < 0:
        raise ApiError(
            404, "unknown_document", f"docno: index {snapshot.name!r} holds no document {docno[:200]!r}", field="docno"
        )
    return ordinal


def anserini_candidates(served: ServedIndex, text: str, hits: int) -> dict[str, Any]:
    """A search as Anserini's REST service answers it."""
    request = SearchRequest(texts=[text], k=hits, fields=())
    found = search(served, request)["hits"]
    return {
        "api": "v1",
        "index": served.name,
        "query": {"text": text},
        "candidates": [
            {"docid": h["docno"], "score": h["score"], "rank": h["rank"], "doc": h["fields"]} for h in found
        ],
    }
