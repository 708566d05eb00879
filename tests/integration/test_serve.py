"""The service over a real socket: every route, what is refused and how, keys, limits, writes, reloads."""

from __future__ import annotations

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")
pytest.importorskip("uvicorn", reason="needs the extra serve")
pytest.importorskip("httpx", reason="needs httpx")

from indexer import SparseVectors, add_documents, build_index
from indexer.format.manifest import EncoderEntry
from sparseir.errors import SparseIRError
from sparseir.search.searcher import Searcher
from sparseir.serve.server import listen
from sparseir.serve.settings import Limits, ServeSettings
from sparseir.serve.state import Service
from tests.served import DOCUMENTS, build, running, table

KEY = "0123456789abcdef0123"
QUERY = "what is the weather"


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return build(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def server(index, tmp_path_factory):
    bare = build(tmp_path_factory.mktemp("bare"), query_side=False)
    limits = Limits(k=50, queries=4, query_chars=100, terms=5, filter_chars=60, filter_docnos=3, body=2000, header=4096)
    with running(ServeSettings(indexes={"docs": index, "bare": bare}, limits=limits)) as found:
        yield found


@pytest.fixture
def writable(tmp_path):
    path = build(tmp_path)
    with running(ServeSettings(indexes={"docs": path}, writable=True, reload_seconds=0.05)) as found:
        yield found, path


def test_a_search_is_the_searchers(server, index):
    hits = Searcher.open(index).search(QUERY, 3)
    answer = server.get("/search", params={"query": QUERY, "k": 3}).json()
    assert [h["docno"] for h in answer["hits"]] == hits.docnos
    assert [h["rank"] for h in answer["hits"]] == [1, 2, 3]
    assert [np.float32(h["score"]) for h in answer["hits"]] == hits.scores.tolist()
    assert (answer["index"], answer["generation"], answer["engine"]) == ("docs", 1, "auto")


@pytest.mark.parametrize("engine", ["auto", "exhaustive", "maxscore", "wand", "block_max_wand", "block_filter"])
def test_every_engine_and_form_of_a_query_gives_the_same_hits(server, engine):
    plain = server.get("/search", params={"query": QUERY}).json()["hits"]
    term_ids, weights = table().encode(QUERY)
    vector = {"term_ids": term_ids.tolist(), "weights": weights.tolist()}
    terms = {table().token(t): w for t, w in zip(term_ids.tolist(), weights.tolist(), strict=True)}
    for form in ({"query": QUERY}, {"vector": vector}, {"terms": terms}):
        assert server.post("/search", {**form, "engine": engine}).json()["hits"] == plain
    for form in ({"queries": [QUERY, "", QUERY]}, {"vectors": [vector, {"term_ids": [], "weights": []}, vector]}):
        results = server.post("/search", {**form, "engine": engine}).json()["results"]
        assert [r["hits"] for r in results] == [plain, [], plain]


def test_fields_filters_and_counters(server):
    asked = {"query": QUERY, "filter": "lang=en and year>=2001", "fields": "year,lang,none", "stats": "true"}
    answer = server.get("/search", params=asked).json()
    assert {h["docno"]: h["fields"] for h in answer["hits"]} == {
        "b/1": {"lang": "en", "year": 2001},
        "d": {"lang": "en", "year": 2003},
        "<b>": {"lang": "en", "year": 2005},
    }
    assert 0 < answer["stats"]["postings_scored"] < 100
    answer = server.post("/search", {"query": QUERY, "filter": ["d", "a", "zz"], "fields": True}).json()
    assert [h["docno"] for h in answer["hits"]] == ["a", "d"]
    assert answer["hits"][0]["fields"] == {"title": "what", "text": "what the weather", "lang": "de", "year": 2000}
    assert server.post("/search", {"query": QUERY, "filter": []}).json()["hits"] == []


def test_explanations_add_up_and_are_the_searchers(server, index):
    answer = server.get("/search", params={"query": QUERY, "explain": "true", "snippet": "true"}).json()
    searcher = Searcher.open(index)
    for hit in answer["hits"]:
        own = searcher.explain(QUERY, hit["docno"])
        explanation = hit["explanation"]
        assert explanation["integer_score"] == own.integer_score == sum(t["product"] for t in explanation["terms"])
        assert explanation["score"] == own.score == hit["score"]
        for theirs, ours in zip(explanation["terms"], own.terms, strict=True):
            assert (theirs["term"], theirs["query_weight"], theirs["impact"], theirs["product"], theirs["share"]) == (
                ours.token,
                ours.query_weight,
                ours.impact,
                ours.product,
                ours.share,
            )
        assert sorted(explanation["unmatched"]) == sorted(own.unmatched)
        assert "".join(part["text"] for part in hit["snippet"]) == DOCUMENTS[hit["docno"]]
        head = {"index": "docs", "generation": 1, "docno": hit["docno"]}
        alone = server.get("/explain", params={"query": QUERY, "docno": hit["docno"]}).json()
        assert alone == {**head, **explanation, "query_terms": answer["query_terms"]}
    nothing = server.get("/explain", params={"query": QUERY, "docno": "c"}).json()
    assert (nothing["score"], nothing["terms"]) == (0.0, [])


def test_literal_matches_are_told_from_expansion(tmp_path):
    """The document says 'the'; its vector holds 'weather' as well, which only the query says."""
    side = table()
    side.save(tmp_path / "query")
    from indexer import build_index

    vectors = SparseVectors.from_arrays([0, 2], [5, 6], [1.0, 2.0], 8)
    build_index(tmp_path / "docs", vectors, docnos=["a"], fields=[{"text": "the"}], query_side=tmp_path / "query")
    with running(ServeSettings(indexes={"docs": tmp_path / "docs"})) as server:
        found = server.get("/explain", params={"query": "the weather", "docno": "a"}).json()["terms"]
        vector = server.get("/documents/a", params={"vector": True}).json()["vector"]
    assert [(t["term"], t["kind"], t["in_query"], t["in_document"]) for t in found] == [
        ("weather", "expansion", True, False),
        ("the", "literal", True, True),
    ]
    assert [(t["term"], t["impact"], t["in_document"]) for t in vector] == [("weather", 255, False), ("the", 128, True)]
    assert vector[0]["weight"] == pytest.approx(2.0)


def test_weights_of_terms_are_changed_and_switched_off(server):
    asked = {"query": "what the weathers", "explain": True}
    changed = server.post("/search", {**asked, "weights": {"weather": 0, "what": 9.0}}).json()
    weights = {t["term"]: (t["weight"], t["encoded"]) for t in changed["query_terms"]}
    assert weights == {"weather": (0.0, 4.0), "##s": (2.0, 2.0), "what": (9.0, 1.0), "the": (0.25, 0.25)}
    assert changed["hits"][0]["docno"] in ("a", "é?", "<b>")
    assert all(t["term"] != "weather" for h in changed["hits"] for t in h["explanation"]["terms"])
    for hit in changed["hits"]:
        assert hit["score"] == hit["explanation"]["score"]


def test_documents_are_given_back(server):
    for docno, text in DOCUMENTS.items():
        from urllib.parse import quote

        found = server.get(f"/documents/{quote(docno)}").json()
        assert (found["docno"], found["fields"]["text"]) == (docno, text)
    assert server.error(server.get("/documents/zz"), 404)["code"] == "unknown_document"


def test_anserinis_routes(server):
    answer = server.get("/v1/docs/search", params={"query": "weathers", "hits": 1}).json()
    assert {k: v for k, v in answer.items() if k != "candidates"} == {
        "api": "v1",
        "index": "docs",
        "query": {"text": "weathers"},
    }
    (candidate,) = answer["candidates"]
    assert set(candidate) == {"docid", "score", "rank", "doc"}
    assert (candidate["docid"], candidate["rank"], candidate["doc"]["text"]) == ("d", 1, "weathers")
    assert server.get("/v1/docs/doc/b/1").json()["doc"]["text"] == "the the the"
    for path in ("/v1/zz/search?query=x", "/v1/zz/doc/a"):
        assert server.error(server.get(path), 404)["code"] == "unknown_index"
    assert server.error(server.get("/v1/docs/doc/zz"), 404)["field"] == "docno"


def test_operations(server):
    for path in ("/healthz", "/livez", "/readyz"):
        assert server.get(path).json() == {"status": "ok"}
    docs, bare = server.get("/indexes").json()["indexes"]
    assert (docs["name"], docs["documents"], docs["queries"], docs["fields"]) == (
        "docs",
        6,
        "table",
        {"lang": "str", "year": "int"},
    )
    assert (bare["name"], bare["queries"]) == ("bare", None)
    server.get("/search", params={"query": QUERY})
    assert server.get("/stats").json()["work_of_current_commits"]["docs"]["postings_scored"] > 0
    text = server.get("/metrics").text
    assert 'sparseir_index_documents{index="docs"} 6' in text
    assert 'sparseir_requests_total{route="/healthz",method="GET",status="200"}' in text
    for line in text.splitlines():
        assert line.startswith("#") or float(line.rpartition(" ")[2]) >= 0


def test_the_openapi_document_lists_the_routes(server):
    document = server.get("/openapi.json").json()
    assert {"/search", "/explain", "/documents", "/documents/{docno}", "/indexes", "/v1/{index}/search"} <= set(
        document["paths"]
    )
    parameters = {p["name"] for p in document["paths"]["/search"]["get"]["parameters"]}
    assert parameters == {
        "query",
        "k",
        "index",
        "engine",
        "filter",
        "feedback",
        "fields",
        "snippet",
        "explain",
        "stats",
    }


def test_the_page_loads_nothing_from_elsewhere(server):
    page = server.get("/")
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for name in ("app.js", "api.js", "dom.js", "hits.js", "kinds.js", "panel.js", "terms.js", "style.css", "icon.svg"):
        part = server.get(f"/page/{name}")
        assert part.status_code == 200
        assert "http://" not in part.text.replace("http://www.w3.org/", "")
        assert "https://" not in part.text
    assert (
        server.get("/page/app.js", headers={"if-none-match": server.get("/page/app.js").headers["etag"]}).status_code
        == 304
    )
    server.error(server.get("/page/../server.py"), 404)
    server.error(server.get("/page/..%2Fserver.py"), 404)


@pytest.mark.parametrize(
    ("query", "field", "message"),
    [
        ("", "query", "query: missing"),
        ("query=a&query=b", "query", "query: given twice"),
        ("query=a&k=0", "k", "k: 0 hits; ask for 1 to 50"),
        ("query=a&k=51", "k", "k: 51 hits; ask for 1 to 50"),
        ("query=a&k=ten", "k", "k: 'ten'; expected a whole number of 1 or more"),
        ("query=a&k=-1", "k", "k: '-1'; expected a whole number of 1 or more"),
        ("query=a&k=99999999999999999999", "k", "expected a whole number"),
        ("query=a&kk=1", "kk", "kk: no such parameter; did you mean 'k'?"),
        ("query=a&explain=yes", "explain", "explain: 'yes'; expected true or false"),
        ("query=a&engine=fast", "engine", "engine: 'fast' does not exist; there are: auto"),
        ("query=" + "a" * 101, "query", "query: 101 characters; send at most 100"),
        ("query=a&filter=" + "a" * 61, "filter", "filter: 61 characters; send at most 60"),
        ("query=a&filter=lang", None, "filter: expected one of = !="),
        ("query=a&filter=", None, "filter"),
        ("query=a&filter=size%3D1", None, "cannot filter by 'size' (it can by: lang, year)"),
        ("query=a&index=bare", "query", "index 'bare' cannot encode texts"),
        ("query=a&engine=exact_float", None, "float"),
        ("query=%FF", None, "not percent-encoded UTF-8"),
        ("&".join(f"a{i}=1" for i in range(70)), None, "more than 64 parameters"),
    ],
)
def test_a_wrong_parameter_is_named(server, query, field, message):
    error = server.error(server.get(f"/search?{query}"), 400)
    assert message in error["message"]
    assert error.get("field") == field


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        ({}, "query", "query: missing; send one of query, queries, terms, vector, vectors"),
        ({"query": "a", "queries": ["a"]}, "query", "query and queries given"),
        ({"query": 1}, "query", "valid string"),
        ({"query": "a", "k": "1"}, "k", "valid integer"),
        ({"query": "a", "k": True}, "k", "valid integer"),
        ({"query": "a", "k": 0}, "k", "greater than or equal to 1"),
        ({"query": "a", "size": 3}, "size", "Extra inputs are not permitted"),
        ({"queries": ["a"] * 5}, "queries", "5 queries; send at most 4"),
        ({"queries": ["a"], "explain": True}, "queries", "explain, snippet and stats are for one query"),
        ({"vector": {"term_ids": [1], "weights": []}}, "vector", "1 term_ids beside 0 weights"),
        ({"vector": {"term_ids": [1, 1], "weights": [1, 2]}}, "vector", "a term id comes twice"),
        ({"vector": {"term_ids": [8], "weights": [1]}}, "vectors", "row 0 holds term id 8; the vocabulary is 0..7"),
        ({"vector": {"term_ids": [1], "weights": [-1]}}, "vector.weights.0", "greater than or equal to 0"),
        ({"vector": {"term_ids": list(range(6)), "weights": [1] * 6}}, "vector", "6 terms; send at most 5"),
        ({"terms": {"sun": 1}}, "terms", "the vocabulary has no term 'sun'"),
        ({"query": "a", "weights": {"sun": 1}}, "weights", "the vocabulary has no term 'sun'"),
        ({"terms": {"the": 1}, "weights": {"the": 1}}, "weights", "send 'query' with them"),
        ({"query": "a", "filter": ["a"] * 4}, "filter", "4 documents; name at most 3"),
        ({"query": "a", "index": "none"}, "index", "no index is named 'none'; there are: docs, bare"),
        ([], "body", "valid dictionary"),
    ],
)
def test_a_wrong_body_is_named(server, body, field, message):
    answer = server.post("/search", body)
    error = server.error(answer, 404 if field == "index" else 400)
    assert message in error["message"]
    assert error["field"] == field


def test_bodies_that_are_no_json(server):
    kind = {"content-type": "application/json"}
    for content in (b"", b"{", b"\xff\xfe", b"[" * 1500, b'{"query": ' + b"9" * 1000 + b"}", b'{"query": "\\ud800"}'):
        server.error(server.client.post("/search", content=content, headers=kind), 400)
    weights = b'{"vector": {"term_ids": [1], "weights": [NaN]}}'
    server.error(server.client.post("/search", content=weights, headers=kind), 400)
    error = server.error(server.client.post("/search", content=b"query=a"), 415)
    assert error["code"] == "unsupported_media_type"
    assert server.error(server.post("/search", {"query": "a" * 3000}), 413)["code"] == "too_large"


def test_addresses_and_methods_there_are_not(server):
    assert server.error(server.get("/nothing"), 404)["code"] == "not_found"
    assert server.error(server.client.delete("/search"), 405)["code"] == "method_not_allowed"
    assert server.error(server.get("/search/"), 404)["code"] == "not_found"


def test_request_ids_come_back(server):
    assert server.get("/healthz", headers={"x-request-id": "job-17.a"}).headers["x-request-id"] == "job-17.a"
    for strange in ("a b", "x" * 65, "<script>"):
        assert server.get("/healthz", headers={"x-request-id": strange}).headers["x-request-id"] != strange
    error = server.get("/nothing", headers={"x-request-id": "job-18"}).json()["error"]
    assert error["request_id"] == "job-18"


def test_a_read_only_service_writes_nothing(server):
    for answer in (
        server.post("/documents", {"documents": [{"docno": "n", "text": "x"}]}),
        server.post("/documents", {"documents": []}),  # said before the body is judged
        server.client.put("/documents/n", json={"text": "x"}),
        server.client.delete("/documents/a"),
        server.post("/documents/delete", {"docnos": ["a"]}),
    ):
        assert server.error(answer, 403)["code"] == "read_only"


def test_a_service_without_keys_answers_to_its_own_address_alone(server):
    assert server.error(server.get("/search?query=a", headers={"host": "evil.example"}), 403)["code"] == "unknown_host"
    assert server.get("/search?query=a", headers={"host": "localhost:1"}).status_code == 200


def raw(url: str, data: bytes, *, then: float = 0.0) -> bytes:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(data)
        if then:
            time.sleep(then)
        connection.shutdown(socket.SHUT_WR) if not then else None
        parts = []
        while part := connection.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"x: y\r\n" * 2000 + b"\r\n", b"431"),
        (b"POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n", b"400"),
        (b"POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3000\r\nConnection: close\r\n\r\n", b"413"),
    ],
)
def test_what_is_refused_before_the_routes_has_the_same_shape(server, data, status):
    answer = raw(server.url, data, then=0.2)
    assert answer.startswith(b"HTTP/1.1 " + status), answer
    assert set(json.loads(answer.partition(b"\r\n\r\n")[2])["error"]) >= {"code", "message"}


def test_slow_clients_are_let_go(index):
    settings = ServeSettings(indexes={"docs": index}, limits=Limits(receive_seconds=0.3))
    with running(settings) as server:
        for data in (b"GET /search HT", b"POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{"):
            answer = raw(server.url, data, then=0.8)
            assert answer.startswith(b"HTTP/1.1 408"), answer
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "slow_request"
        assert server.get("/search?query=a").status_code == 200


def test_too_much_at_once_is_shed_and_too_long_is_cut(index, monkeypatch):
    from sparseir.serve.answering import answers

    let_go = threading.Event()
    monkeypatch.setattr(answers, "explain", lambda *_: let_go.wait(20))
    settings = ServeSettings(indexes={"docs": index}, limits=Limits(in_flight=2, seconds=0.3))
    with running(settings) as server:
        seen = []
        threads = [
            threading.Thread(target=lambda: seen.append(server.get("/explain?query=a&docno=a").status_code))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen == [503, 503]
        refused = server.get("/explain?query=a&docno=a")  # the two run on: nothing stops them
        assert server.error(refused, 429)["code"] == "busy"
        assert refused.headers["retry-after"] == "1"
        assert server.get("/search?query=weather").status_code == 200
        let_go.set()
        deadline = time.monotonic() + 10
        while server.get("/explain?query=a&docno=a").status_code == 429:
            assert time.monotonic() < deadline


def test_a_fault_of_ours_tells_nothing(index, monkeypatch, caplog):
    from sparseir.serve.answering import answers

    def fail(*_: object) -> None:
        raise RuntimeError("secret /etc/place")

    monkeypatch.setattr(answers, "explain", fail)
    monkeypatch.setattr(answers, "search", fail)
    with running(ServeSettings(indexes={"docs": index})) as server:
        for path in ("/explain?query=a&docno=a", "/search?query=a"):
            answer = server.get(path)
            assert server.error(answer, 500)["code"] == "internal"
            assert "secret" not in answer.text
    assert "secret" in caplog.text


def test_keys_open_the_service(index, tmp_path):
    log = tmp_path / "requests.jsonl"
    settings = ServeSettings(indexes={"docs": index}, keys=(KEY, KEY + "2"), request_log=str(log), log_queries=True)
    with running(settings) as server:
        for path in ("/search?query=a", "/indexes", "/metrics", "/stats", "/openapi.json", "/v1/docs/search?query=a"):
            assert server.error(server.get(path), 401)["code"] == "unauthorized"
        for headers in ({"x-api-key": KEY + "3"}, {"authorization": f"Basic {KEY}"}, {"authorization": "Bearer"}):
            assert server.error(server.get("/indexes", headers=headers), 401)
        for headers in ({"x-api-key": KEY}, {"authorization": f"Bearer {KEY}2"}, {"authorization": f"bearer {KEY}"}):
            assert server.get("/search?query=weather", headers=headers).status_code == 200
        for path in ("/", "/page/app.js", "/livez", "/readyz", "/healthz"):
            assert server.get(path).status_code == 200
        assert server.get("/livez", headers={"host": "anything"}).status_code == 200
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {"time", "request_id", "method", "path", "status", "ms", "bytes", "client"} <= set(lines[0])
    assert [line["query"] for line in lines if "query" in line] == ["weather"] * 3
    assert KEY not in log.read_text()


def test_other_origins_are_let_in_by_name_alone(index):
    with running(ServeSettings(indexes={"docs": index}, origins=("https://a.example",))) as server:
        given = server.get("/search?query=a", headers={"origin": "https://a.example"})
        assert given.headers["access-control-allow-origin"] == "https://a.example"
        assert "access-control-allow-origin" not in server.get("/healthz", headers={"origin": "https://b"}).headers


def vector(*term_ids: int) -> dict[str, object]:
    return {"term_ids": list(term_ids), "weights": [1.0] * len(term_ids)}


def test_documents_are_added_replaced_and_deleted(writable):
    server, path = writable
    new = {"docno": "n", "text": "new weather", "year": 2024, "vector": vector(6)}
    assert server.post("/documents", {"documents": [new]}).json() == {"index": "docs", "generation": 2, "written": 1}
    assert server.get("/documents/n").json()["fields"] == {"text": "new weather", "year": 2024}
    assert "n" in [h["docno"] for h in server.get("/search?query=weather").json()["hits"]]
    error = server.error(server.post("/documents", {"documents": [new, {"docno": "m", "vector": vector(5)}]}), 409)
    assert "'n' is in the index already" in error["message"]
    server.error(server.get("/documents/m"), 404)
    answer = server.client.put("/documents/n", json={"text": "newer", "vector": vector(3)})
    assert (answer.status_code, answer.json()["generation"]) == (201, 3)
    assert server.get("/documents/n").json()["fields"] == {"text": "newer"}
    assert server.client.delete("/documents/n").json()["deleted"] == 1
    assert server.error(server.client.delete("/documents/n"), 404)["code"] == "unknown_document"
    answer = server.post("/documents/delete", {"docnos": ["a", "zz"]}).json()
    assert (answer["deleted"], answer["missing"]) == (1, ["zz"])
    assert Searcher.open(path).index.num_docs == len(DOCUMENTS) - 1


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ([], "documents: List should have at least 1 item"),
        ([{"text": "x"}], "documents.0.docno: Field required"),
        ([{"docno": "", "text": "x"}], "documents.0.docno"),
        ([{"docno": "n", "vector": vector(5)}] * 2, "0 and 1 are both named 'n'"),
        ([{"docno": "n", "vector": vector(5)}, {"docno": "m", "text": "x"}], "some have vectors and some do not"),
        ([{"docno": "n", "vector": vector(8)}], "0: term id 8; the vocabulary is 0..7"),
        ([{"docno": "n", "text": "x"}], "started without --model"),
        ([{"docno": "n", "year": "x", "vector": vector(5)}], "year"),
    ],
)
def test_documents_that_cannot_be_written(writable, documents, message):
    server, _ = writable
    assert message in server.error(server.post("/documents", {"documents": documents}), 400)["message"]
    assert server.get("/indexes").json()["indexes"][0]["generation"] == 1


def test_weights_that_are_cut_and_new_term_ids_are_as_on_the_command_line(tmp_path):
    """The scale is fixed by the first weights, so 40.0 is cut; numbers that no list fixed may grow, to the last id."""
    build_index(tmp_path / "i", SparseVectors.from_rows([{0: 1.0, 2: 2.0}], 3), docnos=["a"])
    build_index(tmp_path / "same", SparseVectors.from_rows([{0: 1.0, 2: 2.0}], 3), docnos=["a"])
    with running(ServeSettings(indexes={"i": tmp_path / "i"}, writable=True)) as server:
        heavy = {"docno": "n", "vector": {"term_ids": [2, 7], "weights": [40.0, 1.0]}}
        answer = server.post("/documents", {"documents": [heavy]})
        added = add_documents(tmp_path / "same", SparseVectors.from_rows([{2: 40.0, 7: 1.0}], 8), docnos=["n"])
        assert answer.status_code == 201
        assert answer.json()["notes"] == list(added.notes)
        assert "were cut" in answer.json()["notes"][0]
        for form in ({"vector": vector(7)}, {"terms": {"7": 1.0}}):
            assert [h["docno"] for h in server.post("/search", form).json()["hits"]] == ["n"]
        server.error(server.post("/search", {"terms": {"8": 1.0}}), 400)
        last = {"docno": "m", "vector": vector(2**32 - 2)}
        assert server.post("/documents", {"documents": [last]}).status_code == 201
        assert server.post("/search", {"terms": {str(2**32 - 2): 1.0}}).json()["hits"][0]["docno"] == "m"
        beyond = {"docno": "o", "vector": vector(2**32 - 1)}
        server.error(server.post("/documents", {"documents": [beyond]}), 400)
        assert server.get("/search?query=x").status_code == 400  # it has no query side, and lives


@pytest.fixture
def hurried(tmp_path):
    """A service that waits for locks for a fifth of a second."""
    path = build(tmp_path)
    settings = ServeSettings(indexes={"docs": path}, writable=True, limits=Limits(lock_seconds=0.2))
    with running(settings) as found:
        yield found, path


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_an_index_that_another_process_writes_all_the_time_is_locked(hurried, method):
    from indexer.format.lock import write_lock

    server, path = hurried
    body = {"documents": [{"docno": "n", "vector": vector(5)}]} if method == "POST" else None
    with write_lock(path):
        answer = server.client.request(method, "/documents" if body else "/documents/a", json=body)
    error = server.error(answer, 503)
    assert error["code"] == "locked"
    assert int(answer.headers["retry-after"]) >= 1
    assert str(path) not in error["message"]
    assert server.get("/indexes").json()["indexes"][0]["generation"] == 1


def test_a_write_waits_for_another_process_that_is_soon_done(writable):
    from indexer.format.lock import write_lock

    server, path = writable
    with ThreadPoolExecutor() as pool:
        with write_lock(path):
            waiting = pool.submit(server.post, "/documents", {"documents": [{"docno": "n", "vector": vector(5)}]})
            while server.get("/stats").json()["in_flight"] < 2:  # the write, and this question
                pass
        assert waiting.result().status_code == 201
    assert server.get("/documents/n").status_code == 200


def test_vectors_for_the_index_of_a_model_say_whose_they_are(tmp_path):
    """As 'sparseir index add --vectors', which wants --model then."""
    vectors = SparseVectors.from_rows([{0: 1.0}], 3)
    build_index(tmp_path / "made", vectors, docnos=["a"], encoder=EncoderEntry(fingerprint="f" * 16, kind="siamese"))
    build_index(tmp_path / "own", vectors, docnos=["a"])
    with running(ServeSettings(indexes={n: tmp_path / n for n in ("made", "own")}, writable=True)) as server:
        assert [i["model"] for i in server.get("/indexes").json()["indexes"]] == ["f" * 16, None]
        body = {"documents": [{"docno": "n", "vector": vector(2)}]}
        error = server.error(server.post("/documents", body), 400)
        assert (error["code"], error["field"]) == ("unknown_model", "model")
        assert server.error(server.post("/documents", {**body, "model": "e"}), 400)["code"] == "other_model"
        own = {**body, "index": "own"}
        assert server.error(server.post("/documents", {**own, "model": "f" * 16}), 400)["code"] == "other_model"
        assert server.post("/documents", {**body, "model": "f" * 16}).status_code == 201
        assert server.post("/documents", own).status_code == 201
        one = {"text": "x", "vector": vector(1)}
        assert server.error(server.client.put("/documents/m", json=one), 400)["code"] == "unknown_model"
        assert server.client.put(f"/documents/m?model={'f' * 16}", json=one).status_code == 201


def test_a_model_encodes_queries_and_new_documents(tmp_path):
    """A siamese encoder: its index carries no query side."""
    pytest.importorskip("torch", reason="needs the extra train")
    from sparseir import SparseEncoder
    from sparseir.data.records import Document
    from sparseir.encode.indexing import index_documents
    from tests.tiny_models import TEXTS, save_masked_lm

    model = save_masked_lm(tmp_path / "model")
    encoder = SparseEncoder.load(model)
    index_documents(tmp_path / "docs", encoder, [Document(f"d{i}", text) for i, text in enumerate(TEXTS)])
    settings = ServeSettings(indexes={"docs": tmp_path / "docs"}, model=str(model), writable=True)
    with running(settings) as server:
        assert server.get("/indexes").json()["indexes"][0]["queries"] == "model"
        answer = server.post("/documents", {"documents": [{"docno": "n", "title": "cats", "text": "and dogs"}]})
        assert answer.json() == {"index": "docs", "generation": 2, "written": 1}
        found = server.post("/search", {"query": "cats and dogs", "explain": True, "snippet": True}).json()
        own = Searcher.open(tmp_path / "docs", model=model).search("cats and dogs", 10)
        assert [h["docno"] for h in found["hits"]] == own.docnos
        assert "n" in own.docnos
        for hit in found["hits"]:
            assert sum(t["product"] for t in hit["explanation"]["terms"]) == hit["explanation"]["integer_score"]
            assert hit["explanation"]["score"] == hit["score"]


def test_commits_of_another_process_are_taken_without_dropping_a_request(writable):
    """One thread adds documents, three ask: no error, and never a document less than the commit before had."""
    server, path = writable
    stop, counts, faults = threading.Event(), [], []

    def ask() -> None:
        import httpx

        with httpx.Client(base_url=server.url, timeout=30) as client:
            last = 0
            while not stop.is_set():
                answer = client.get("/search", params={"query": "the", "k": 50})
                if answer.status_code != 200 or len(answer.json()["hits"]) < last:
                    faults.append(answer.text)
                last = len(answer.json()["hits"])
                counts.append(last)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(6):
        add_documents(path, SparseVectors.from_arrays([0, 1], [5], [1.0], 8), docnos=[f"new{number}"])
        time.sleep(0.1)
    deadline = time.monotonic() + 20
    while server.get("/indexes").json()["indexes"][0]["generation"] < 7 and time.monotonic() < deadline:
        time.sleep(0.02)
    stop.set()
    for thread in threads:
        thread.join()
    assert not faults
    assert len(server.get("/search?query=the&k=50").json()["hits"]) == 3 + 6


def test_a_snapshot_closes_when_the_last_request_is_done_with_it(writable):
    import gc
    import weakref

    server, path = writable
    served = server.service.catalogue.get("docs")
    held = served.current
    gone = weakref.ref(held)
    add_documents(path, SparseVectors.from_arrays([0, 1], [5], [1.0], 8), docnos=["new"])
    while served.current is held:
        time.sleep(0.02)
    assert held.main.search("the", 10).docnos == ["a", "b/1", "<b>"]
    del held
    gc.collect()
    assert gone() is None


def test_a_commit_that_cannot_be_opened_leaves_the_last_one_answering(writable):
    server, path = writable
    manifest = path / "manifest.json"
    text = manifest.read_text()
    manifest.write_text(text.replace('"generation": 1', '"generation": 2')[:-20])
    time.sleep(0.3)
    assert server.get("/search?query=weather").status_code == 200
    manifest.write_text(text)


def test_what_cannot_be_served_says_so(tmp_path, index):
    with pytest.raises(SparseIRError, match="does not exist"):
        Service.open(ServeSettings(indexes={"a": tmp_path / "nothing"}))
    with pytest.raises(SparseIRError, match="engine 'fast'"):
        Service.open(ServeSettings(indexes={"a": index}, engine="fast"))
    with pytest.raises(SparseIRError, match="request log"):
        Service.open(ServeSettings(indexes={"a": index}, request_log=str(tmp_path / "no" / "log")))
    taken = listen("127.0.0.1", 0)
    with pytest.raises(SparseIRError, match=r"cannot listen on 127\.0\.0\.1:.* in use; choose another with --port"):
        listen("127.0.0.1", taken.getsockname()[1])
    taken.close()
    with pytest.raises(SparseIRError, match=r"cannot listen on 203\.0\.113\.7:0: .*; choose another with --host"):
        listen("203.0.113.7", 0)  # an address of no machine


def test_an_index_that_is_being_built_says_so(tmp_path):
    from indexer.format.lock import write_lock

    (tmp_path / "i").mkdir()
    with write_lock(tmp_path / "i"), pytest.raises(SparseIRError, match=r"process \d+ .* is writing there: wait"):
        Service.open(ServeSettings(indexes={"i": tmp_path / "i"}))
    with pytest.raises(SparseIRError, match="build one with"):
        Service.open(ServeSettings(indexes={"i": tmp_path / "i"}))
