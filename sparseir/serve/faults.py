"""Errors of the service: all have one form, which reveals nothing internal."""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json

from sparseir.errors import ConfigError, DataError, LockedError
from sparseir.search.remote.client import ShardError, StaleShardError


class ApiError(Exception):
    """A request that is refused.

    Parameters
    ----------
    status : of HTTP.
    code : for programs, in snake_case.
    message : for people; what was given, what was expected.
    field : the part of the request at fault, where there is one.
    headers : to send beside it.
    """

    def __init__(
        self, status: int, code: str, message: str, *, field: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.field = field
        self.headers = headers or {}

    def body(self, request_id: str) -> bytes:
        """The JSON of the answer."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.field is not None:
            error["field"] = self.field
        return to_json({"error": {**error, "request_id": request_id}}, inf_nan_mode="null")


def bad_request(field: str, message: str) -> ApiError:
    """The field holds what cannot be used."""
    return ApiError(400, "invalid_request", f"{field}: {message}", field=field)


def busy(message: str) -> ApiError:
    """Too much at once."""
    return ApiError(429, "busy", f"{message}; try again later", headers={"retry-after": "1"})


def internal() -> ApiError:
    """Something of ours broke; the server's own log says what."""
    return ApiError(500, "internal", "the server failed at this request; its log tells why under the request id")


def from_error(error: Exception) -> ApiError:
    """What a client is told about an error of the library.

    Only messages about what the client sent pass through: those about files of the index name places on this machine.
    """
    if isinstance(error, ApiError):
        return error
    if isinstance(error, LockedError):
        return ApiError(
            503, "locked", "another process writes this index; try again later", headers={"retry-after": "1"}
        )
    if isinstance(error, ShardError | StaleShardError):
        message = "a shard does not answer, or is being committed to; try again later"
        return ApiError(503, "shard_unavailable", message, headers={"retry-after": "1"})
    if isinstance(error, (DataError, ConfigError)) and getattr(error, "path", None) is None:
        return ApiError(400, "invalid_request", str(error))
    if isinstance(error, MemoryError):
        return ApiError(503, "out_of_memory", "not enough memory for this request")
    return internal()
