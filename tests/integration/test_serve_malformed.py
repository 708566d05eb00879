"""Requests that are wrong at random: every answer is below 500, or 503, and JSON of the one shape."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")
pytest.importorskip("uvicorn", reason="needs the extra serve")
pytest.importorskip("httpx", reason="needs httpx")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparseir.serve.settings import ServeSettings
from tests.served import build, running

SETTINGS = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
PATHS = st.sampled_from(
    [
        "/search",
        "/explain",
        "/documents",
        "/documents/a",
        "/documents/delete",
        "/indexes",
        "/stats",
        "/metrics",
        "/v1/docs/search",
        "/v1/docs/doc/a",
        "/v1/%00/search",
        "/page/app.js",
        "/",
        "/openapi.json",
        "/livez",
        "//",
        "/é",
    ]
)
METHODS = st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"])
WORDS = st.text(max_size=20) | st.sampled_from(
    ["query", "k", "docs", "weather", "true", "lang=en", "1e999", "-1", "auto"]
)
NAMES = st.sampled_from(
    [
        "query",
        "queries",
        "vector",
        "vectors",
        "terms",
        "weights",
        "k",
        "hits",
        "engine",
        "filter",
        "fields",
        "index",
        "snippet",
        "explain",
        "stats",
        "docno",
        "docnos",
        "documents",
        "replace",
        "term_ids",
        "text",
        "title",
    ]
)
NUMBERS = st.integers(-(2**70), 2**70) | st.floats() | st.sampled_from([0, 1, 7, 8, 1000, 1001])
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | WORDS, inner, max_size=5),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(ServeSettings(indexes={"docs": build(tmp_path_factory.mktemp("fuzz"))}, writable=True)) as found:
        yield found


def check(answer) -> None:
    assert answer.status_code < 500 or answer.status_code == 503, answer.text
    if answer.status_code >= 400 and answer.request.method != "HEAD":
        error = answer.json()["error"]
        assert set(error) <= {"code", "message", "request_id", "field"}
        assert "Traceback" not in answer.text


@SETTINGS
@given(METHODS, PATHS, st.lists(st.tuples(NAMES | WORDS, WORDS), max_size=5))
def test_parameters_at_random(server, method, path, parameters):
    encodable = [(n, v) for n, v in parameters if n.isprintable() and v.isprintable()]
    check(server.client.request(method, path, params=encodable))


@SETTINGS
@given(st.sampled_from(["POST", "PUT"]), PATHS, st.dictionaries(NAMES, JSON, max_size=5) | JSON)
def test_bodies_at_random(server, method, path, body):
    content = json.dumps(body).encode("utf-8", "surrogatepass")
    check(server.client.request(method, path, content=content, headers={"content-type": "application/json"}))


@SETTINGS
@given(st.binary(max_size=300), PATHS)
def test_bytes_at_random(server, content, path):
    check(server.client.post(path, content=content, headers={"content-type": "application/json"}))


def test_it_still_answers(server):
    assert server.get("/search?query=weather").status_code == 200
