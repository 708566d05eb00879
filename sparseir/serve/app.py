"""The routes. Short searches by GET take a path of their own (`front`); everything else comes here."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic_core import to_json
from starlette.exceptions import HTTPException

from sparseir import __version__
from sparseir.errors import SparseIRError
from sparseir.serve.answering import answers
from sparseir.serve.answering.queries import ANSERINI, PARAMETERS, Parameter
from sparseir.serve.answering.schema import DeleteBody, DocumentBody, DocumentsBody, ExplainBody, SearchBody
from sparseir.serve.faults import ApiError, from_error
from sparseir.serve.front import GetSearch
from sparseir.serve.pages import add_page
from sparseir.serve.shard_answers import add_shard_routes
from sparseir.serve.snapshot_routes import add_snapshot_routes
from sparseir.serve.state import Service
from sparseir.serve.writing import NewDocument, Written

IndexName = Annotated[str | None, Query(max_length=200)]
Docno = Annotated[str, Path(max_length=512)]
QueryDocno = Annotated[str, Query(min_length=1, max_length=512)]


def make_app(service: Service, get_search: GetSearch) -> FastAPI:
    """Every route of a service."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    app = FastAPI(
        title="sparseir",
        version=__version__,
        description="Search with learned sparse vectors.",
        docs_url=None,  # these pages load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    _add_errors(app)
    _add_searches(app, service, get_search)
    _add_documents(app, service)
    _add_operations(app, service)
    add_shard_routes(app, service)
    add_snapshot_routes(app, service)
    add_page(app)
    return app


def json_response(value: Any, status: int = 200) -> Response:
    """Plain values as JSON."""
    return Response(to_json(value, inf_nan_mode="null"), status, media_type="application/json")


def error_response(request: Request, error: ApiError) -> Response:
    """The form that all errors have."""
    body = error.body(request.scope.get("sparseir.request_id", ""))
    return Response(body, error.status, error.headers, media_type="application/json")


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return error_response(request, _validation_error(error))

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        codes = {404: "not_found", 405: "method_not_allowed"}
        messages = {404: "no such address", 405: f"{request.method} is not for this address"}
        message = messages.get(error.status_code, "the body could not be read as JSON")
        code = codes.get(error.status_code, "invalid_request")
        return error_response(request, ApiError(error.status_code, code, message, headers=dict(error.headers or {})))

    @app.exception_handler(ApiError)
    @app.exception_handler(SparseIRError)
    async def named(request: Request, error: Exception) -> Response:
        fault = from_error(error)
        if fault.status == 500:
            raise error
        return error_response(request, fault)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        """Sent before the error is raised again for the front, which logs it."""
        return error_response(request, from_error(error))


def _validation_error(error: RequestValidationError) -> ApiError:
    """The first fault pydantic found, with its place."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return ApiError(400, "invalid_json", f"the body is not JSON: {first.get('ctx', {}).get('error', '')}")
    place = ".".join(str(part)[:80] for part in first["loc"][1:]) or "body"
    message = f"{first['msg'][:200]}"
    return ApiError(400, "invalid_request", f"{place}: {message}", field=place)


def _described(parameters: dict[str, Parameter]) -> dict[str, Any]:
    """Parameters of a raw route, for the OpenAPI document."""
    listed = [
        {"name": name, "in": "query", "required": p.required, "schema": p.schema, "description": p.description}
        for name, p in parameters.items()
    ]
    return {"parameters": listed}


def _add_searches(app: FastAPI, service: Service, get_search: GetSearch) -> None:
    limits, catalogue = service.settings.limits, service.catalogue

    async def run(call: Callable[[], Any]) -> Response:
        return json_response(await service.searches.run(call))

    @app.get("/search", summary="Search with a text", openapi_extra=_described(PARAMETERS), tags=["search"])
    async def get_route(request: Request) -> Response:
        return Response(await get_search.search(request.scope), media_type="application/json")

    @app.post("/search", summary="Search with texts or vectors", tags=["search"])
    async def post_search(request: Request, body: SearchBody) -> Response:
        asked = body.request(limits)
        request.scope["sparseir.query"] = body.query
        served = catalogue.get(asked.index)
        return await run(lambda: answers.search(served, asked))

    @app.get("/explain", summary="Why a document has its score", tags=["search"])
    async def get_explain(
        query: str,
        docno: QueryDocno,
        index: IndexName = None,
        feedback: Annotated[int, Query(ge=0)] = 0,
        filter: str | None = None,
    ) -> Response:
        asked = ExplainBody(query=query, docno=docno, index=index, feedback=feedback, filter=filter).request(limits)
        served = catalogue.get(index)
        return await run(lambda: answers.explain(served, asked, docno))

    @app.post("/explain", summary="Why a document has its score, for a query in any form", tags=["search"])
    async def post_explain(body: ExplainBody) -> Response:
        asked = body.request(limits)
        served = catalogue.get(asked.index)
        return await run(lambda: answers.explain(served, asked, body.docno))

    @app.get("/documents/{docno:path}", summary="A document as it is stored", tags=["documents"])
    async def get_document(docno: Docno, index: IndexName = None, vector: bool = False) -> Response:
        served = catalogue.get(index)
        return await run(lambda: answers.document(served, docno, vector=vector))

    @app.get(
        "/v1/{index}/search", summary="As Anserini searches", openapi_extra=_described(ANSERINI), tags=["anserini"]
    )
    async def anserini_search(request: Request, index: str) -> Response:
        return Response(await get_search.anserini(request.scope, index), media_type="application/json")

    @app.get("/v1/{index}/doc/{docid:path}", summary="As Anserini gives documents", tags=["anserini"])
    async def anserini_document(index: str, docid: Docno) -> Response:
        served = catalogue.get(index)

        def answer() -> dict[str, Any]:
            found = answers.document(served, docid, vector=False)
            return {"api": "v1", "index": served.name, "docid": docid, "doc": found["fields"]}

        return await run(answer)


def _add_documents(app: FastAPI, service: Service) -> None:
    limits, catalogue = service.settings.limits, service.catalogue

    def writable() -> None:
        if not service.settings.writable:
            raise ApiError(403, "read_only", "this service is read-only; start it with --writable")

    # A dependency is asked before the body is looked at: what the body says is beside the point here.
    only_writable = [Depends(writable)]

    async def write(call: Callable[[], Written]) -> Written:
        done = await service.writes.run(call)
        service.metrics.writes += 1
        return done

    async def put(index: str | None, documents: list[NewDocument], model: str | None, *, replace: bool) -> Response:
        served = catalogue.get(index)
        done = await write(lambda: service.writer.put(served, documents, replace=replace, model=model))
        answer = {"index": served.name, "generation": done.generation, "written": done.documents}
        return json_response({**answer, "notes": done.notes} if done.notes else answer, 201)

    @app.post(
        "/documents",
        status_code=201,
        summary="Add or replace documents",
        tags=["documents"],
        dependencies=only_writable,
    )
    async def post_documents(body: DocumentsBody) -> Response:
        if len(body.documents) > limits.documents:
            raise ApiError(
                400,
                "invalid_request",
                f"documents: {len(body.documents)} of them; send at most {limits.documents}",
                field="documents",
            )
        named = [d.named(f"documents.{i}.") for i, d in enumerate(body.documents)]
        return await put(body.index, named, body.model, replace=body.replace)

    @app.put(
        "/documents/{docno:path}",
        status_code=201,
        summary="Add or replace a document",
        tags=["documents"],
        dependencies=only_writable,
    )
    async def put_document(
        docno: Docno, body: DocumentBody, index: IndexName = None, model: IndexName = None
    ) -> Response:
        document = body.document(docno, "")
        return await put(index, [document], model, replace=True)

    @app.delete("/documents/{docno:path}", summary="Delete a document", tags=["documents"], dependencies=only_writable)
    async def delete_document(docno: Docno, index: IndexName = None) -> Response:
        served = catalogue.get(index)
        done = await write(lambda: service.writer.delete(served, [docno]))
        if not done.documents:
            raise ApiError(
                404, "unknown_document", f"docno: the index holds no document {docno[:200]!r}", field="docno"
            )
        return json_response({"index": served.name, "generation": done.generation, "deleted": 1})

    @app.post("/documents/delete", summary="Delete documents", tags=["documents"], dependencies=only_writable)
    async def delete_documents(body: DeleteBody) -> Response:
        served = catalogue.get(body.index)
        done = await write(lambda: service.writer.delete(served, body.docnos))
        return json_response(
            {"index": served.name, "generation": done.generation, "deleted": done.documents, "missing": done.missing}
        )


def _add_operations(app: FastAPI, service: Service) -> None:
    catalogue, settings = service.catalogue, service.settings

    @app.get("/indexes", summary="The indexes", tags=["operations"])
    async def indexes() -> Response:
        from sparseir.serve.indexes import OFFERED

        described = [served.current.describe() for served in catalogue.indexes.values()]
        return json_response({"indexes": described, "engines": OFFERED, "writable": settings.writable})

    @app.get("/stats", summary="Work done so far", tags=["operations"])
    async def stats() -> Response:
        work = {name: served.current.work() for name, served in catalogue.indexes.items()}
        metrics = service.metrics
        return json_response(
            {
                "version": __version__,
                "uptime_seconds": round(time.time() - metrics.started, 1),
                "requests": metrics.requests,
                "in_flight": metrics.in_flight,
                "writes": metrics.writes,
                "work_of_current_commits": work,
                "limits": {name: getattr(settings.limits, name) for name in settings.limits.__slots__},
            }
        )

    @app.get("/healthz", summary="The process answers", tags=["operations"])
    @app.get("/livez", summary="The process answers", tags=["operations"])
    async def live() -> Response:
        return json_response({"status": "ok"})

    @app.get("/readyz", summary="Requests are welcome", tags=["operations"])
    async def ready() -> Response:
        if not service.ready:
            raise ApiError(503, "not_ready", "the service starts or stops")
        return json_response({"status": "ok"})

    @app.get("/metrics", summary="Counters for Prometheus", tags=["operations"])
    async def metrics() -> Response:
        return Response(service.metrics.text(catalogue), media_type="text/plain; version=0.0.4; charset=utf-8")
