"""The front of the service, as plain ASGI: what every request needs, and searches by GET, which are answered directly.

A GET /search of one text takes some tens of microseconds of work. The routes' framework would add several times that, so
such a request is answered here; its parameters are listed in one table, which reads them and documents them.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import logging
import os
import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from pydantic_core import to_json
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sparseir.serve.answering import answers
from sparseir.serve.answering.queries import ANSERINI, SearchRequest, from_parameters, read_parameters
from sparseir.serve.faults import ApiError, from_error, internal
from sparseir.serve.state import Service

logger = logging.getLogger(__name__)


_JSON = (b"content-type", b"application/json")
_GUARDS = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_OPEN = frozenset({"/", "/healthz", "/livez", "/readyz"})
"""Addresses that need no key: probes, and the page, which asks its reader for one."""
_ANSERINI = re.compile(r"/v1/([^/]+)/search")


class GetSearch:
    """Searches by GET, to the bytes of their answers."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def search(self, scope: Scope) -> bytes:
        """GET /search."""
        request = from_parameters(scope["query_string"], self._service.settings.limits)
        scope["sparseir.query"] = request.texts[0]
        served = self._service.catalogue.get(request.index)
        return await self._answer(request.plain and served.current.quick, lambda: answers.search(served, request))

    async def anserini(self, scope: Scope, name: str) -> bytes:
        """GET /v1/{index}/search."""
        values = read_parameters(scope["query_string"], ANSERINI)
        text, hits = values["query"], values.get("hits", 10)
        scope["sparseir.query"] = text
        SearchRequest(texts=[text], k=hits).checked(self._service.settings.limits)
        served = self._service.catalogue.get(name)
        return await self._answer(False, lambda: answers.anserini_candidates(served, text, hits))

    async def _answer(self, at_once: bool, call: Callable[[], Any]) -> bytes:
        """On the event loop if the search takes less time than handing it to a thread and back, else on a thread."""
        if at_once:
            return to_json(call(), inf_nan_mode="null")
        return await self._service.searches.run(lambda: to_json(call(), inf_nan_mode="null"))


class Front:
    """Handles request ids, keys, limits of bodies, counters and the log; then answers itself or calls the routes.

    Parameters
    ----------
    service : what answers.
    app : the routes.
    """

    def __init__(self, service: Service, app: ASGIApp, get_search: GetSearch) -> None:
        self._service = service
        self._app = app
        self._get_search = get_search
        self._keys = [hashlib.sha256(key.encode("ascii")).digest() for key in service.settings.keys]
        self._hosts = service.settings.hosts
        self._prefix = os.urandom(5).hex()
        self._numbers = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        start = time.perf_counter()
        metrics = self._service.metrics
        headers = dict(scope["headers"])
        asked = headers.get(b"x-request-id", b"")
        request_id = asked.decode() if _REQUEST_ID.fullmatch(asked) else f"{self._prefix}-{next(self._numbers)}"
        scope["sparseir.request_id"] = request_id
        answer = _Answer(send, request_id)
        metrics.in_flight += 1
        try:
            await self._respond(scope, headers, receive, answer)
        except Exception as error:
            fault = from_error(error)
            if fault.status == 500:
                logger.exception("request %s failed", request_id)
                fault = internal()
            if not answer.status:
                await answer.json(fault.status, fault.body(request_id), fault.headers)
        finally:
            metrics.in_flight -= 1
            seconds = time.perf_counter() - start
            metrics.count(_route(scope), scope["method"], answer.status, seconds)
            if self._service.journal.wanted:
                self._log(scope, answer, seconds)

    async def _respond(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, answer: _Answer) -> None:
        path, method = scope["path"], scope["method"]
        self._admit(path, headers)
        if method == "GET":
            if path == "/search":
                await answer.json(200, await self._get_search.search(scope))
                return
            if path.startswith("/v1/") and (match := _ANSERINI.fullmatch(path)):
                await answer.json(200, await self._get_search.anserini(scope, unquote(match[1])))
                return
        body = await self._body(scope, headers, receive)
        await self._app(scope, _replay(body, receive), answer.send)

    def _admit(self, path: str, headers: dict[bytes, bytes]) -> None:
        """Refuse requests that are not allowed.

        Raises
        ------
        ApiError : 401 without a key; 403 under a name that is not this machine's.
        """
        if self._hosts is not None:
            host = headers.get(b"host", b"").decode("latin-1")
            name = host if host.endswith("]") else host.rpartition(":")[0] or host
            if name not in self._hosts:
                raise ApiError(403, "unknown_host", "a service without keys answers to its own address alone")
        if not self._keys or path in _OPEN or path.startswith("/page/"):
            return
        given = headers.get(b"x-api-key")
        if given is None:
            scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
            given = token.strip() if scheme.lower() == b"bearer" else b""
        digest = hashlib.sha256(given).digest()
        # Digests are compared, and all of them, so that the time taken reveals nothing about a nearly right key.
        if not sum(hmac.compare_digest(digest, key) for key in self._keys):
            what = "the API key is not known" if given else "this service needs an API key"
            message = f"{what}; send it as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'"
            raise ApiError(401, "unauthorized", message, headers={"www-authenticate": "Bearer"})

    async def _body(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        """The whole body, within its limits.

        Raises
        ------
        ApiError : 413, 415, or 408 if it does not arrive.
        """
        limits = self._service.settings.limits
        writes = scope["path"].startswith("/documents") and scope["method"] != "GET"
        most = limits.write_body if writes else limits.body
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length[:20]) > most:
            raise self._too_large(most)
        parts, size = [], 0
        try:
            async with asyncio.timeout(limits.receive_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ApiError(400, "invalid_request", "the body was cut off")
                    part = message.get("body", b"")
                    size += len(part)
                    if size > most:
                        raise self._too_large(most)
                    parts.append(part)
                    if not message.get("more_body"):
                        break
        except TimeoutError:
            message_text = f"the body did not come within {limits.receive_seconds:g} s"
            raise ApiError(408, "slow_request", message_text, headers={"connection": "close"}) from None
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        # A page of another origin can send forms and plain text without the browser asking first, but not JSON.
        if size and kind != b"application/json":
            raise ApiError(415, "unsupported_media_type", "send the body as Content-Type: application/json")
        return b"".join(parts)

    @staticmethod
    def _too_large(most: int) -> ApiError:
        message = f"the body is larger than {most} bytes; send it in parts"
        return ApiError(413, "too_large", message, headers={"connection": "close"})

    def _log(self, scope: Scope, answer: _Answer, seconds: float) -> None:
        entry = {
            "request_id": answer.request_id,
            "method": scope["method"],
            "path": scope["path"],
            "status": answer.status,
            "ms": round(seconds * 1000, 3),
            "bytes": answer.size,
            "client": (scope.get("client") or ("",))[0],
        }
        if self._service.journal.queries and scope.get("sparseir.query") is not None:
            entry["query"] = scope["sparseir.query"]
        self._service.journal.write(entry)


class _Answer:
    """Sends an answer and remembers what was sent."""

    __slots__ = ("_send", "request_id", "size", "status")

    def __init__(self, send: Send, request_id: str) -> None:
        self._send, self.request_id = send, request_id
        self.status = self.size = 0

    async def json(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        """A whole answer."""
        extra = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in headers.items()] if headers else []
        length = (b"content-length", str(len(body)).encode())
        await self.send({"type": "http.response.start", "status": status, "headers": [_JSON, length, *extra]})
        await self.send({"type": "http.response.body", "body": body})

    async def send(self, message: Message) -> None:
        """One message of ASGI."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = (b"x-request-id", self.request_id.encode())
            message = {**message, "headers": [*message["headers"], own, *_GUARDS]}
        else:
            self.size += len(message.get("body", b""))
        await self._send(message)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that returns the body already read, then what follows it."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _route(scope: Scope) -> str:
    """The pattern of the address, so that each document's name does not get a counter of its own."""
    if scope["path"] == "/search":
        return "/search"
    route = scope.get("route")
    if route is not None:
        return str(route.path)
    return "/v1/{index}/search" if _ANSERINI.fullmatch(scope["path"]) else "other"
