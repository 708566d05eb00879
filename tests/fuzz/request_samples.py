"""Requests made of the OpenAPI document of a service and changed, and bytes that are hardly requests; by number and seed."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**32, 2**63, 2**64, -(2**70), 10**400, 1e308, -0.0, 5e-324, "", " ", "a", "weather",
    "\0", "\ud800", "é" * 300, "x" * 5000, "../../etc/passwd", "%00", "' or 1=1", "<script>", "lang=en", "year>", "((((", "docs",
    [], {}, [[]], [{}], {"": ""}, {"a": {"b": {}}}, [0] * 3000, ["a"] * 300, {"term_ids": [6], "weights": [1.0]},
)  # fmt: skip
RAW_JSON = (
    b"NaN",
    b"Infinity",
    b"1e999",
    b"[" * 3000,
    b'{"a":' * 3000,
    b"\xff\xfe",
    b"tru",
    b'"\\ud800"',
    b"1" * 5000,
    b",",
)
METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "TRACE", "get", "BREW", "G\0T", "")
PATHS = (
    "/",
    "//",
    "/..",
    "/%2e%2e/",
    "/%",
    "/%zz",
    "/é",
    "/search/",
    "/v1//search",
    "/v1/%00/search",
    "/page/../app.js",
    "*",
    "x:1",
)


@dataclass(frozen=True, slots=True)
class Request:
    """One to send: over the library's client where it is HTTP at all, else as bytes."""

    method: str = ""
    target: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    raw: bytes | None = None


class Generator:
    """Makes request N of a seed.

    Parameters
    ----------
    openapi : the document of the service.
    """

    def __init__(self, openapi: dict[str, Any], seed: int) -> None:
        self._schemas = openapi["components"]["schemas"]
        self._operations = [
            (method.upper(), path, operation)
            for path, methods in sorted(openapi["paths"].items())
            for method, operation in sorted(methods.items())
        ]
        self._seed = seed

    def request(self, number: int) -> Request:
        rng = random.Random(f"{self._seed}:{number}")
        made = self._described(rng)
        kind = rng.random()
        if kind < 0.75:
            return made
        raw = as_bytes(made)
        return Request(raw=_lying(rng, made) if kind < 0.85 else _flipped(rng, raw))

    def _described(self, rng: random.Random) -> Request:
        method, path, operation = rng.choice(self._operations)
        parameters = operation.get("parameters", [])
        target, query = path, []
        for parameter in parameters:
            value = self._value(rng, parameter["schema"], 0) if rng.random() < 0.6 else rng.choice(HOSTILE)
            text = _text(value)
            if parameter["in"] == "path":
                target = target.replace("{" + parameter["name"] + "}", quote(text, safe="", errors="replace"))
            elif parameter["required"] or rng.random() < 0.5:
                query.append((parameter["name"], text))
        if rng.random() < 0.2 and query:
            query.append(rng.choice(query))
        if rng.random() < 0.1:
            query.append((_text(rng.choice(HOSTILE)), "1"))
        target = rng.choice(PATHS) if rng.random() < 0.03 else target.replace("{", "%7B").replace("}", "%7D")
        if query:
            target += "?" + "&".join(f"{quote(n, errors='replace')}={quote(v, errors='replace')}" for n, v in query)
        method = rng.choice(METHODS[:8]) if rng.random() < 0.05 else method
        body, headers = None, {}
        if "requestBody" in operation:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            body = self._body(rng, schema)
            headers["content-type"] = (
                "application/json" if rng.random() < 0.95 else rng.choice(["text/plain", "a/b", ""])
            )
        if rng.random() < 0.1:
            headers[rng.choice(["x-request-id", "host", "origin", "accept", "authorization", "x-api-key"])] = (
                rng.choice(["", "a" * 200, "../..", "Bearer x", "é".encode().decode("latin-1"), "null"])
            )
        return Request(method, target[:9000], headers, body)

    def _body(self, rng: random.Random, schema: dict[str, Any]) -> bytes:
        value = self._value(rng, schema, 0)
        for _ in range(rng.randint(1, 3)):
            value = _changed(rng, value)
        body = json.dumps(value).encode()
        if rng.random() < 0.15:
            at = rng.randrange(len(body) + 1)
            body = body[:at] + rng.choice(RAW_JSON) + body[at + rng.randint(0, 3) :]
        return body

    def _value(self, rng: random.Random, schema: dict[str, Any], depth: int) -> Any:
        """Something that the schema allows, about."""
        if "$ref" in schema:
            schema = self._schemas[schema["$ref"].rpartition("/")[2]]
        if "anyOf" in schema:
            return self._value(rng, rng.choice(schema["anyOf"]), depth)
        kind = schema.get("type")
        if kind == "object" or "properties" in schema:
            required = schema.get("required", [])
            names = [n for n in schema.get("properties", {}) if n in required or rng.random() < 0.4]
            made = {n: self._value(rng, schema["properties"][n], depth + 1) for n in names}
            if isinstance(schema.get("additionalProperties"), dict):
                made |= {w: self._value(rng, schema["additionalProperties"], depth + 1) for w in ("what", "weather")}
            return made
        if kind == "array":
            return [self._value(rng, schema.get("items", {}), depth + 1) for _ in range(rng.randint(0, 3))]
        if kind == "integer":
            return rng.randint(0, 9)
        if kind == "number":
            return rng.choice([0, 0.5, 1.0, 4])
        if kind == "boolean":
            return rng.random() < 0.5
        return (
            None
            if kind == "null"
            else rng.choice(["weather", "what is", "a", "d", "docs", "auto", "lang=en", f"n{rng.randint(0, 30)}"])
        )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _changed(rng: random.Random, value: Any) -> Any:
    """The value with one place changed: replaced, removed, doubled or renamed."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        name = rng.choice(list(value))
        others = {n: v for n, v in value.items() if n != name}
        how = rng.random()
        if how < 0.1:
            return others
        if how < 0.2:
            return {**others, _text(rng.choice(HOSTILE))[:60]: value[name]}
        return {**others, name: _changed(rng, value[name])}
    if isinstance(value, list) and value and rng.random() < 0.7:
        at = rng.randrange(len(value))
        how = rng.random()
        if how < 0.2:
            return [*value, *value]
        return [*value[:at], _changed(rng, value[at]), *value[at + 1 :]]
    return rng.choice(HOSTILE)


def as_bytes(made: Request) -> bytes:
    """The request as it goes over the wire."""
    lines = [f"{made.method} {made.target} HTTP/1.1", "host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in made.headers.items()]
    body = made.body or b""
    return "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode("latin-1", "replace") + body


def _lying(rng: random.Random, made: Request) -> bytes:
    """Heads that do not fit their bodies, or that no client sends."""
    body, target = made.body or b"{}", made.target
    heads = [
        f"POST {target} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {len(body) + 7}",
        f"POST {target} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {2**70}",
        f"POST {target} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: -1",
        f"POST {target} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 2\r\ncontent-length: 3",
        f"POST {target} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ntransfer-encoding: chunked",
        f"POST {target} HTTP/1.1\r\nhost: 127.0.0.1\r\ntransfer-encoding: gzip, chunked\r\ncontent-length: 5",
        f"{rng.choice(METHODS)} {target} HTTP/{rng.choice(['0.9', '1.0', '1.1', '2.0', '9.9', ''])}\r\nhost: 127.0.0.1",
        f"GET {target} HTTP/1.1\r\n" + "x: y\r\n" * rng.randint(0, 4000) + "host: 127.0.0.1",
        f"GET {target}{'a' * rng.randint(0, 20000)} HTTP/1.1\r\nhost: 127.0.0.1",
        f"GET {target} HTTP/1.1\r\nhost: {rng.choice(['', 'evil.example', '127.0.0.1:1:1', chr(255) * 9])}",
        f"GET {target} HTTP/1.1\r\nhost: 127.0.0.1\r\nupgrade: websocket\r\nconnection: upgrade",
    ]
    return rng.choice(heads).encode("latin-1", "replace") + b"\r\n\r\n" + body[: rng.randint(0, len(body))]


def _flipped(rng: random.Random, raw: bytes) -> bytes:
    made = bytearray(raw)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(made))
        how = rng.random()
        if how < 0.6:
            made[at] ^= 1 << rng.randrange(8)
        elif how < 0.8:
            del made[at : at + rng.randint(1, 9)]
        else:
            made[at:at] = rng.randbytes(rng.randint(1, 9))
        if not made:
            return b"\0"
    return bytes(made)
