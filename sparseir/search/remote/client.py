"""Asking services that hold shards: one service a shard, HTTP between them, connections kept."""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
from typing import Any
from urllib.parse import quote, urlsplit

from sparseir.errors import ConfigError, DataError, SparseIRError

KEY_VARIABLE = "SPARSEIR_SHARD_KEY"
"""Environment variable with the API key that services of shards ask for."""
SECONDS_VARIABLE = "SPARSEIR_SHARD_SECONDS"
"""Environment variable with the seconds that a shard may take to answer."""
SECONDS = 30.0
"""Without it."""
PROTOCOL = 1
"""Version of what services of shards are asked; both sides must have the same."""


class ShardError(SparseIRError):
    """A shard does not answer, or not as a shard of this version does."""


class StaleShardError(SparseIRError):
    """A shard was committed to since it was opened; open the shards again."""


class ShardClient:
    """One shard behind HTTP; may be used by several threads.

    Parameters
    ----------
    address : http://HOST:PORT, or http://HOST:PORT/NAME for an index that is not the first of its service.
    seconds : from a question to the whole answer; left out, what the environment says.

    Raises
    ------
    ConfigError : no such address; an environment that says no number of seconds.
    """

    def __init__(self, address: str, *, seconds: float | None = None) -> None:
        parts = urlsplit(address)
        try:
            self._host, self._port = parts.hostname, parts.port
        except ValueError:
            self._host = None
        if not self._host or parts.query or parts.path.count("/") > 1:
            raise ConfigError(
                f"{address!r} is no address of a shard; expected http://HOST:PORT or http://HOST:PORT/NAME"
            )
        self.address, self._seconds = address, _seconds() if seconds is None else seconds
        self._name = parts.path.strip("/") or None
        self._connection = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()

    def get(self, path: str) -> bytes:
        """What is at an address below /shard.

        Raises
        ------
        ShardError, DataError, ConfigError : as `post`.
        """
        query = "" if self._name is None else f"?index={quote(self._name)}"
        return self._ask("GET", f"/shard{path}{query}", None)

    def post(self, path: str, **body: Any) -> bytes:
        """The answer to a question.

        Raises
        ------
        ShardError : no answer, or none that this version understands.
        StaleShardError : the shard has another commit than the question is about.
        DataError : what was asked cannot be answered. ConfigError : the service wants a key.
        """
        if self._name is not None:
            body["index"] = self._name
        return self._ask("POST", f"/shard{path}", json.dumps(body).encode())

    def _ask(self, method: str, path: str, body: bytes | None) -> bytes:
        headers = {} if body is None else {"content-type": "application/json"}
        if key := os.environ.get(KEY_VARIABLE):
            headers["x-api-key"] = key
        end = time.monotonic() + self._seconds
        for attempt in (True, False):
            with self._lock:
                kept = self._idle.pop() if self._idle and attempt else None
            connection = kept or self._connection(str(self._host), self._port, timeout=self._seconds)
            try:
                status, content = _exchange(connection, end, method, path, body, headers)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if kept is not None and not isinstance(error, TimeoutError):
                    continue  # a service may close a connection that waits; a new one is tried once
                said = f"no answer within {self._seconds:g} s" if isinstance(error, TimeoutError) else error
                raise self._silent(str(said)) from None
            with self._lock:
                self._idle.append(connection)
            if status == 200:
                return content
            raise self._refusal(status, content)
        raise AssertionError("the second attempt returns or raises")

    def _silent(self, said: str) -> ShardError:
        return ShardError(
            f"shard {self.address} does not answer ({said}); start it ('sparseir serve'), or search without it (--partial)"
        )

    def _refusal(self, status: int, content: bytes) -> SparseIRError:
        try:
            error = json.loads(content)["error"]
            code, message = str(error["code"]), str(error["message"])
        except (ValueError, KeyError, TypeError):
            code, message = "", f"HTTP {status}"
        if code == "other_commit":
            return StaleShardError(f"shard {self.address} has changed since it was opened; open the shards again")
        if status == 401:
            return ConfigError(f"shard {self.address}: {message}; give it in the environment variable {KEY_VARIABLE}")
        if status in (404, 405) and code in ("not_found", "method_not_allowed"):
            return ConfigError(
                f"{self.address} is no sparseir service that answers for shards; start one of this version"
            )
        if status in (400, 404, 413):
            return DataError(f"shard {self.address}: {message}")
        return self._silent(message)

    def close(self) -> None:
        """Close the connections that wait."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def __del__(self) -> None:
        if hasattr(self, "_idle"):
            self.close()


def _seconds() -> float:
    said = os.environ.get(SECONDS_VARIABLE, str(SECONDS))
    try:
        seconds = float(said)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 86_400:
        raise ConfigError(f"{SECONDS_VARIABLE} is {said!r}; expected seconds above 0, at most a day: {SECONDS:g}, say")
    return seconds


def _left(end: float) -> float:
    """Seconds until then.

    Raises
    ------
    TimeoutError : none is left.
    """
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _exchange(
    connection: http.client.HTTPConnection,
    end: float,
    method: str,
    path: str,
    body: bytes | None,
    headers: dict[str, str],
) -> tuple[int, bytes]:
    """Status and content of the answer. One that comes byte by byte has no more time than one that does not come.

    Raises
    ------
    TimeoutError : the time is over. OSError, HTTPException : no answer.
    """
    connection.timeout = _left(end)
    if connection.sock is None:
        connection.connect()
    socket = connection.sock  # a service that closes takes it from the connection, but it is still read from
    socket.settimeout(_left(end))
    connection.request(method, path, body, headers)
    socket.settimeout(_left(end))
    answer, content = connection.getresponse(), b""
    expected = answer.length  # None: until it ends
    while (expected is None or len(content) < expected) and (part := answer.read1(1 << 20)):
        content += part
        socket.settimeout(_left(end))
    answer.close()  # the connection may be asked again
    if expected is not None and len(content) < expected:
        raise http.client.IncompleteRead(content, expected - len(content))
    return answer.status, content
