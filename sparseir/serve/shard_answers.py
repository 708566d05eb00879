"""What a service answers to those that search its index as a shard of a collection; see `search.remote`."""

from __future__ import annotations

import itertools
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
from fastapi import FastAPI
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json

from indexer.native.engine import ENGINES
from sparseir.search.cpu import CpuEngine
from sparseir.search.engines import Allowed
from sparseir.search.filters.filters import Filter
from sparseir.search.passages import ungrouped
from sparseir.search.remote.client import PROTOCOL
from sparseir.search.remote.lists import write_lists
from sparseir.search.results import Ranking
from sparseir.serve.faults import ApiError, bad_request
from sparseir.serve.indexes import Snapshot
from sparseir.serve.state import Service

_MOST_HITS = 1 << 24
"""Hits of all queries of one request, at most: 12 bytes each."""


class _Question(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    index: str | None = None
    generation: int


class _Search(_Question):
    engine: str
    k: int = Field(ge=1, lt=2**30)
    indptr: list[int]
    term_ids: list[int]
    weights: list[int]
    filter: str | list[int] | None = None


class _Terms(_Question):
    terms: list[int]


class _Names(_Question):
    docnos: list[str]


class _Ordinals(_Question):
    ordinals: list[int]
    what: Literal["docnos", "fields", "vectors"]


def _json(value: Any) -> Response:
    return Response(to_json(value, inf_nan_mode="null"), media_type="application/json")


def add_shard_routes(app: FastAPI, service: Service) -> None:
    """The routes below /shard."""
    catalogue, searches = service.catalogue, service.searches

    def asked(question: _Question) -> Snapshot:
        snapshot = catalogue.get(question.index).current
        if snapshot.generation != question.generation:
            raise ApiError(409, "other_commit", f"the index has commit {snapshot.generation}; ask for that")
        return snapshot

    @app.get("/shard", summary="What the index is as a shard", tags=["shards"])
    async def describe(index: str | None = None) -> Response:
        snapshot = catalogue.get(index).current
        return _json(await searches.run(lambda: _description(snapshot)))

    @app.get("/shard/query-side/{name}", summary="A file of its query side", tags=["shards"])
    async def query_side(name: str, index: str | None = None) -> Response:
        files = catalogue.get(index).current.main.index.query_files
        if files is None or name not in files:
            raise ApiError(404, "unknown_file", f"the query side has no file {name[:80]!r}")
        return Response(await searches.run(lambda: files.read(name)), media_type="application/octet-stream")

    @app.post("/shard/search", summary="Ordinals and integer scores", tags=["shards"])
    async def search(body: _Search) -> Response:
        snapshot = asked(body)
        return Response(await searches.run(lambda: _search(snapshot, body)), media_type="application/octet-stream")

    @app.post("/shard/frequencies", summary="Document frequencies of terms", tags=["shards"])
    async def frequencies(body: _Terms) -> Response:
        index = asked(body).main.index
        _check("terms", body.terms)
        return _json({"frequencies": await searches.run(lambda: index.document_frequencies(body.terms))})

    @app.post("/shard/ordinals", summary="Ordinals of names", tags=["shards"])
    async def ordinals(body: _Names) -> Response:
        index = asked(body).main.index
        return _json({"ordinals": await searches.run(lambda: index.ordinals(body.docnos).tolist())})

    @app.post("/shard/documents", summary="Names, fields or vectors of ordinals", tags=["shards"])
    async def documents(body: _Ordinals) -> Response:
        snapshot = asked(body)
        _check("ordinals", body.ordinals, 2**62)
        return _json({"values": await searches.run(lambda: _values(snapshot, body))})


def _check(field: str, numbers: list[int], end: int = 2**32) -> None:
    if numbers and not (min(numbers) >= 0 and max(numbers) < end):
        raise bad_request(field, f"they reach from {min(numbers)} to {max(numbers)}; expected 0 to {end - 1}")


def _description(snapshot: Snapshot) -> dict[str, Any]:
    index = snapshot.main.index
    manifest, side = index.manifest, index.query_side
    return {
        "protocol": PROTOCOL,
        "generation": index.generation,
        "created": manifest.created,
        "shard": None if manifest.shard is None else asdict(manifest.shard),
        "documents": index.num_docs,
        "stored": index.num_stored,
        "postings": index.num_postings,
        "terms": index.num_terms,
        "doc_scale": index.doc_scale,
        "encoder": None if index.encoder is None else asdict(index.encoder),
        "fields": dict(index.field_kinds),
        "query_side": [] if side is None else sorted(file.name for file in side.iterdir() if file.is_file()),
    }


def _search(snapshot: Snapshot, body: _Search) -> bytes:
    rows = len(body.indptr) - 1
    ends = body.indptr
    if rows < 0 or ends[0] != 0 or ends[-1] != len(body.term_ids) or any(a > b for a, b in itertools.pairwise(ends)):
        raise bad_request("indptr", f"it does not divide {len(body.term_ids)} terms")
    if len(body.term_ids) != len(body.weights):
        raise bad_request("weights", f"{len(body.weights)} of them beside {len(body.term_ids)} term ids")
    _check("term_ids", body.term_ids)
    _check("weights", body.weights)
    if body.engine not in ENGINES:
        raise bad_request("engine", f"{body.engine[:40]!r} has no integer scores; there are: {', '.join(ENGINES)}")
    searcher = snapshot.searcher(body.engine)
    k = max(1, min(body.k, searcher.index.num_docs))
    if rows * k > _MOST_HITS:
        raise bad_request("k", f"{rows} queries with {k} hits; ask for at most {_MOST_HITS} hits in one request")
    engine = ungrouped(searcher.engine)
    if not isinstance(engine, CpuEngine):
        raise bad_request("index", "shards of shards are not searched; ask the services of these")
    terms, weights = np.array(body.term_ids, np.uint32), np.array(body.weights, np.uint32)
    lists = []

    def run(allowed: Allowed) -> Ranking:
        for start, end in itertools.pairwise(ends):
            ordinals, scores = engine.search_integers(terms[start:end], weights[start:end], k, allowed)
            found = ordinals >= 0
            lists.append((ordinals[found], scores[found]))
        return Ranking(np.zeros(0, np.int64), np.zeros(0, np.float32))

    if body.filter is None:
        run(None)
    else:
        chosen: Filter = body.filter if isinstance(body.filter, str) else np.array(body.filter, np.int64)
        searcher.filters.search(run, chosen, views=engine.takes_views)
    return write_lists(lists)


def _values(snapshot: Snapshot, body: _Ordinals) -> list[Any]:
    index = snapshot.main.index
    if body.what == "docnos":
        return list(index.docnos(body.ordinals))
    if body.what == "fields":
        return index.fields(body.ordinals)
    vectors = snapshot.rows.of(np.array(body.ordinals, np.int64))
    return [{"terms": terms.tolist(), "impacts": impacts.tolist()} for terms, impacts in vectors]
