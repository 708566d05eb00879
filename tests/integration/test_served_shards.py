"""Shards behind HTTP give the hits of one index; and what happens when one is slow, gone, changed, or no shard."""

from __future__ import annotations

import threading
import urllib.request
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")
pytest.importorskip("uvicorn", reason="needs the extra serve")
pytest.importorskip("httpx", reason="needs httpx")

from indexer import IndexConfig, delete_documents
from sparseir.config.lexical import LexicalConfig
from sparseir.data.passages import Windows
from sparseir.encode.indexing import index_documents
from sparseir.encode.options import IndexingOptions
from sparseir.errors import ConfigError, DataError
from sparseir.search.feedback.options import Feedback
from sparseir.search.remote.client import KEY_VARIABLE, SECONDS_VARIABLE, ShardError, StaleShardError
from sparseir.search.searcher import Searcher
from sparseir.serve.settings import ServeSettings
from tests.lexical_cases import TableEncoder
from tests.served import running
from tests.unit.test_shard_folders import QUERIES, documents

KEY = "0123456789abcdef0123"


def build(folder, windows=None):
    """One index, and the same documents in three shards."""
    for name, shards in (("whole", None), ("parts", 3)):
        chosen = IndexingOptions(
            config=IndexConfig(metadata=("part",)), lexical=LexicalConfig(), windows=windows, batch=7, shards=shards
        )
        index_documents(folder / name, TableEncoder(), documents(), options=chosen)
        if windows is None:
            delete_documents(folder / name, ["d7", "d41"])
    return folder / "whole", sorted((folder / "parts").glob("shard-*"))


def serving(stack, folder, **more):
    return stack.enter_context(running(ServeSettings(indexes={"docs": folder}, reload_seconds=0.05, **more)))


@pytest.fixture(scope="module", params=[None, Windows(8, 4)], ids=["documents", "passages"])
def built(request, tmp_path_factory):
    whole, shards = build(tmp_path_factory.mktemp("shards"), request.param)
    with ExitStack() as stack:
        leaves = [serving(stack, shard) for shard in shards]
        yield whole, [leaves[1].url, leaves[2].url + "/docs", leaves[0].url]


def test_words_of_first_hits_come_from_whichever_shard_holds_them(built):
    whole, addresses = built
    with Searcher.open(whole) as one, Searcher.open(addresses) as many:
        for text, expected in zip(QUERIES, one.search(QUERIES, 9, feedback=Feedback()), strict=True):
            hits = many.search(text, 9, feedback=Feedback())
            assert (hits.docnos, hits.scores.tolist()) == (expected.docnos, expected.scores.tolist())


@pytest.mark.parametrize("engine", ["auto", "exhaustive", "wand"])
@pytest.mark.parametrize("k", [1, 10, 200])
def test_they_find_what_one_index_finds(built, engine, k):
    whole, addresses = built
    one, many = Searcher.open(whole, engine=engine), Searcher.open(addresses, engine=engine)
    assert (many.index.num_docs, many.share) == (one.index.num_docs, 1.0)
    for condition in (None, "part=1 or part=2", ["d3", "d50", "nobody"], np.arange(0, 60, 2)):
        vectors = one.encode_queries(QUERIES)
        assert many.encode_queries(QUERIES).weights.tolist() == vectors.weights.tolist()
        want, got = (s.search_vectors(vectors, k, filter=condition) for s in (one, many))
        np.testing.assert_array_equal(got.ordinals, want.ordinals)
        np.testing.assert_array_equal(got.scores, want.scores)
        assert many.named(got) == one.named(want)
        found = many.search(QUERIES[0], k, filter=condition)
        assert (found.docnos, found.fields()) == (
            (hits := one.search(QUERIES[0], k, filter=condition)).docnos,
            hits.fields(),
        )
    for query in QUERIES:
        assert many.explain(query, "d33").as_json() == one.explain(query, "d33").as_json()


def test_a_service_over_services_answers_as_one_over_the_index(built):
    whole, addresses = built
    with ExitStack() as stack:
        one, many = serving(stack, whole), serving(stack, addresses)
        asks = {
            "query": QUERIES[1],
            "k": 5,
            "fields": "part",
            "snippet": "true",
            "explain": "true",
            "filter": "part!=0",
        }
        for parameters in ({"query": QUERIES[1]}, asks):
            answers = [server.get("/search", params=parameters).json() for server in (one, many)]
            assert answers[0]["hits"]
            assert "share" not in answers[1]
            for name in ("hits", "query_terms"):
                assert answers[0].get(name) == answers[1].get(name)
        assert many.get("/search", params={"query": "dogs", "engine": "exact_float"}).status_code == 400


def test_what_the_shards_refuse_is_the_callers_fault(built):
    searcher = Searcher.open(built[1])
    with pytest.raises(DataError, match="cannot filter by 'nothing'"):
        searcher.search("dogs", filter="nothing=1")
    with pytest.raises(DataError, match="no document named 'nobody'"):
        searcher.explain("dogs", "nobody")
    with pytest.raises(ConfigError, match="engine 'exact_float' does not search shards on other machines"):
        Searcher.open(built[1], engine="exact_float")
    with pytest.raises(ConfigError, match="1 of 3 shards are missing"):
        Searcher.open(built[1][:2])
    with pytest.raises(ConfigError, match="as folders and as addresses"):
        Searcher.open([built[1][0], built[0]])


def test_a_shard_that_goes_is_an_error_or_its_share_is_said(tmp_path):
    whole, shards = build(tmp_path)
    with ExitStack() as stack:
        with ExitStack() as other:
            leaves = [serving(stack, shards[0]), serving(stack, shards[2]), serving(other, shards[1])]
            addresses = [leaf.url for leaf in leaves]
            strict, partial = Searcher.open(addresses), Searcher.open(addresses, partial=True)
            everywhere = partial.search("dogs", 60).docnos
            assert partial.share == 1
            assert everywhere == Searcher.open(whole).search("dogs", 60).docnos
            front = serving(stack, addresses, partial=True)
            assert "share" not in front.get("/search", params={"query": "cats"}).json()
        with pytest.raises(ShardError, match=f"shard {addresses[2]} does not answer"):
            strict.search("dogs", 60)
        left = partial.search("dogs", 60).docnos
        assert left == [name for name in everywhere if not 20 <= int(name[1:]) < 40]
        assert partial.share == pytest.approx(2 / 3)
        assert front.get("/search", params={"query": "dogs"}).json()["share"] == 0.666667
        with pytest.raises(ShardError, match="does not answer"):
            Searcher.open(addresses)
        assert Searcher.open(addresses, partial=True).share == pytest.approx(2 / 3)


class _Slow(BaseHTTPRequestHandler):
    """Says at once what the shard behind it is, and takes its time with searches: silent, or a byte at a time."""

    behind = ""
    manner = "silent"
    gone = threading.Event()

    def do_GET(self) -> None:
        with urllib.request.urlopen(self.behind + self.path) as answer:
            content = answer.read()
        self._head(len(content))
        self.wfile.write(content)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        if self.manner == "drips":
            self._head(1000)
        while not self.gone.wait(0.02):
            if self.manner == "drips":
                self.wfile.write(b"\0")

    def _head(self, length: int) -> None:
        self.send_response(200)
        self.send_header("content-length", str(length))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing on standard error."""


@pytest.mark.parametrize("manner", ["silent", "drips"])
def test_a_slow_shard_has_a_deadline(tmp_path, monkeypatch, manner):
    whole, shards = build(tmp_path)
    monkeypatch.setenv(SECONDS_VARIABLE, "0.5")
    with ExitStack() as stack:
        leaves = [serving(stack, shard) for shard in shards]
        gone = threading.Event()
        handler = type("Slow", (_Slow,), {"behind": leaves[1].url, "manner": manner, "gone": gone})
        slow = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        slow.daemon_threads = True
        thread = threading.Thread(target=slow.serve_forever)
        thread.start()
        try:
            addresses = [leaves[0].url, f"http://127.0.0.1:{slow.server_port}", leaves[2].url]
            with pytest.raises(ShardError, match=rf"shard {addresses[1]} .*no answer within 0\.5 s"):
                Searcher.open(addresses).search("dogs", 60)
            partial = Searcher.open(addresses, partial=True)
            everywhere = Searcher.open(whole).search("dogs", 60).docnos
            found = partial.search("dogs", 60).docnos
            assert found == [name for name in everywhere if not 20 <= int(name[1:]) < 40]
            assert partial.share == pytest.approx(2 / 3)
        finally:
            gone.set()
            slow.shutdown()
            thread.join()
            slow.server_close()
    monkeypatch.setenv(SECONDS_VARIABLE, "soon")
    with pytest.raises(ConfigError, match="SPARSEIR_SHARD_SECONDS is 'soon'; expected seconds"):
        Searcher.open(addresses)


def test_a_shard_that_changed_is_noticed(tmp_path):
    _, shards = build(tmp_path)
    with ExitStack() as stack:
        leaves = [serving(stack, shard) for shard in shards]
        searcher = Searcher.open([leaf.url for leaf in leaves])
        delete_documents(shards[1], ["d25"])
        leaves[1].service.catalogue.get(None).refresh()
        with pytest.raises(StaleShardError, match="has changed since it was opened"):
            searcher.search("dogs")
        assert searcher.index.refresh().num_docs == 57


def test_keys_are_sent_and_strangers_are_named(tmp_path, monkeypatch):
    whole, shards = build(tmp_path)
    with ExitStack() as stack:
        addresses = [serving(stack, shard, keys=(KEY,)).url for shard in shards]
        with pytest.raises(ConfigError, match=f"needs an API key.*{KEY_VARIABLE}"):
            Searcher.open(addresses)
        monkeypatch.setenv(KEY_VARIABLE, KEY)
        assert Searcher.open(addresses).search("dogs").docnos == Searcher.open(whole).search("dogs").docnos
        with pytest.raises(ConfigError, match="serves an index of its own, no shard"):
            Searcher.open([serving(stack, whole).url])
    with pytest.raises(ConfigError, match="is no address of a shard"):
        Searcher.open(["http://host:port/x"])
