"""The server: a socket, a protocol that bounds what comes before a body, a stop that finishes what was accepted."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sparseir.errors import SparseIRError
from sparseir.serve.app import make_app
from sparseir.serve.faults import ApiError
from sparseir.serve.front import Front, GetSearch
from sparseir.serve.settings import Limits, ServeSettings
from sparseir.serve.state import Service

_STOP_SECONDS = 30
_IDLE_SECONDS = 60
_BACKLOG = 1024


def build(service: Service) -> ASGIApp:
    """The whole application."""
    get_search = GetSearch(service)
    front: ASGIApp = Front(service, make_app(service, get_search), get_search)
    if service.settings.origins:
        from starlette.middleware.cors import CORSMiddleware

        front = CORSMiddleware(
            front,
            allow_origins=list(service.settings.origins),
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["authorization", "x-api-key", "content-type", "x-request-id"],
            expose_headers=["x-request-id"],
        )
    return front


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises
    ------
    SparseIRError : the port is in use, or the address is not this machine's.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, socket.SOCK_STREAM)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(address)
            found.listen(_BACKLOG)
        except OSError:
            found.close()
            raise
    except OSError as error:
        elsewhere = isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL
        option = "--host" if elsewhere else "--port"
        raise SparseIRError(f"cannot listen on {host}:{port}: {error.strerror}; choose another with {option}") from None
    return found


class BoundedProtocol(HttpToolsProtocol):
    """HTTP with a limit on the bytes of a request's line and headers, and on the time they take.

    Errors found here have the same form as all others.
    """

    limits = Limits()

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head_timer is not None:
            self._head_bytes += len(data)
            # One read may contain the head and part of the body, so the bound is first checked loosely.
            if self._head_bytes > self.limits.header + (1 << 18):
                self._refuse(431, "too_large", f"more than {self.limits.header} bytes of headers")
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head = 0
        if self._head_timer is None:
            self._wait_for_head()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._bound(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._bound(len(name) + len(value) + 4)

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        if not self.transport.is_closing():
            super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, "invalid_http", "the request is not HTTP/1.1")

    def _bound(self, size: int) -> None:
        self._head += size
        if self._head > self.limits.header and not self.transport.is_closing():
            self._refuse(431, "too_large", f"more than {self.limits.header} bytes of address and headers")

    def _wait_for_head(self) -> None:
        self._head_bytes = 0
        self._head_timer = self.loop.call_later(self.limits.receive_seconds, self._head_too_slow)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_too_slow(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self._refuse(408, "slow_request", f"no whole request within {self.limits.receive_seconds:g} s")

    def _refuse(self, status: int, code: str, message: str) -> None:
        body = ApiError(status, code, message).body("")
        head = f"HTTP/1.1 {status} Refused\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        self.transport.write(f"{head}connection: close\r\n\r\n".encode() + body)
        self.transport.close()


def config(app: ASGIApp, limits: Limits) -> uvicorn.Config:
    """How uvicorn runs the application."""
    protocol = type("Protocol", (BoundedProtocol,), {"limits": limits})
    return uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=_STOP_SECONDS,
    )


def serve(settings: ServeSettings, announce: Any = None) -> None:
    """Serve until told to stop; SIGTERM and SIGINT end it once what was accepted is done.

    Parameters
    ----------
    announce : called with the address once the socket listens.

    Raises
    ------
    SparseIRError : nothing could be served; why.
    """
    service = Service.open(settings)
    listening = listen(settings.host, settings.port)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    host, port = listening.getsockname()[:2]
    if announce is not None:
        announce(f"http://{f'[{host}]' if ':' in host else host}:{port}")
    server = uvicorn.Server(config(build(service), settings.limits))
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:  # uvicorn raises the signal again after it stopped in good order
        if not server.should_exit:
            raise
    finally:
        listening.close()
