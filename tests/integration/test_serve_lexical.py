"""The service over indexes with a lexical channel: its terms told apart, marked in texts, and grown by writes."""

from __future__ import annotations

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")
pytest.importorskip("uvicorn", reason="needs the extra serve")
pytest.importorskip("httpx", reason="needs httpx")

from sparseir.config.lexical import LexicalConfig
from sparseir.encode.indexing import index_documents
from sparseir.encode.options import IndexingOptions
from sparseir.search.feedback.options import Feedback
from sparseir.search.searcher import Searcher
from sparseir.serve.settings import ServeSettings
from tests.lexical_cases import TableEncoder, documents
from tests.served import running

TEXTS = ["cats running in the park", "Running, RUNS: ran", "dogs and weather in the park"]


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lexical")
    index_documents(folder / "words", None, documents(TEXTS))
    options = IndexingOptions(lexical=LexicalConfig())
    index_documents(folder / "both", TableEncoder(), documents(TEXTS), options=options)
    return {"both": folder / "both", "words": folder / "words"}


@pytest.fixture(scope="module")
def server(paths):
    with running(ServeSettings(indexes=paths)) as found:
        yield found


@pytest.fixture
def writable(tmp_path):
    index_documents(tmp_path / "words", None, documents(TEXTS))
    options = IndexingOptions(lexical=LexicalConfig())
    index_documents(tmp_path / "both", TableEncoder(), documents(TEXTS), options=options)
    settings = ServeSettings(indexes={n: tmp_path / n for n in ("words", "both")}, writable=True, reload_seconds=60)
    with running(settings) as found:
        yield found


@pytest.mark.parametrize("name", ["both", "words"])
def test_hits_are_the_searchers(server, paths, name):
    hits = Searcher.open(paths[name]).search("running park")
    answer = server.get("/search", params={"query": "running park", "index": name}).json()
    assert [h["docno"] for h in answer["hits"]] == hits.docnos
    assert [h["score"] for h in answer["hits"]] == pytest.approx(hits.scores.tolist())
    assert all(found.current.quick for found in server.service.catalogue.indexes.values())


@pytest.mark.parametrize("name", ["both", "words"])
def test_words_of_first_hits_are_added_where_that_is_asked_for(server, paths, name):
    hits = Searcher.open(paths[name]).search("weather", feedback=Feedback(documents=1))
    assert hits.docnos == ["d2", "d0"]
    asked = {"query": "weather", "index": name, "feedback": 1}
    answer = server.get("/search", params=asked).json()
    assert [h["docno"] for h in answer["hits"]] == hits.docnos
    assert [h["score"] for h in answer["hits"]] == pytest.approx(hits.scores.tolist())
    many = server.post("/search", {"queries": ["weather", "zebra"], "index": name, "feedback": 1}).json()["results"]
    assert [[h["docno"] for h in one["hits"]] for one in many] == [["d2", "d0"], []]
    told = server.post("/search", {**asked, "explain": True}).json()
    assert {t["channel"] for t in told["query_terms"] if t["in_query"] is False} == {"lexical"}
    if name == "words":
        told = server.post("/search", {**asked, "weights": {"park": 0}}).json()
        assert [h["docno"] for h in told["hits"]] == ["d2"]
    why = server.get("/explain", params={**asked, "docno": "d0"}).json()
    assert why["score"] == pytest.approx(hits.scores[1])
    faulty = server.get("/explain", params={**asked, "docno": "d0", "filter": "(("})
    assert faulty.status_code == 400
    under = {**asked, "docno": "d0", "filter": "year>1"}
    assert server.get("/explain", params=under).status_code == 400  # no such field
    refused = server.get("/search", params={**asked, "feedback": 11})
    assert (refused.status_code, refused.json()["error"]["field"]) == (400, "feedback")
    listed = server.get("/indexes").json()["indexes"]
    assert [index["words"] for index in listed] == [True, True]


def test_terms_of_the_channels_are_told_apart(server):
    answer = server.get("/explain", params={"query": "running park", "docno": "d0", "index": "both"}).json()
    assert {(t["term"], t["kind"]) for t in answer["terms"]} == {
        ("running", "literal"),
        ("park", "literal"),
        ("stem:run", "lexical"),
        ("stem:park", "lexical"),
    }
    assert {(t["in_query"], t["in_document"]) for t in answer["terms"]} == {(True, True)}
    assert sum(t["product"] for t in answer["terms"]) == answer["integer_score"]
    assert {t["channel"] for t in answer["query_terms"]} == {"learned", "lexical"}


def test_words_of_neighbours_are_told_from_a_documents_own(tmp_path):
    options = IndexingOptions(lexical=LexicalConfig(neighbours=1))
    index_documents(tmp_path / "i", None, documents(TEXTS), options=options)
    with running(ServeSettings(indexes={"i": tmp_path / "i"})) as server:
        answer = server.get("/explain", params={"query": "cats park", "docno": "d2", "index": "i"}).json()
    assert {(t["term"], t["kind"], t["in_document"]) for t in answer["terms"]} == {
        ("park", "lexical", True),
        ("cat", "related", False),
    }


def test_either_of_two_terms_of_one_string_can_be_switched_off(server):
    def asked(**weights):
        body = {"query": "park", "index": "both", "weights": weights}
        return server.post("/search", body).json()["hits"][0]["score"]

    learned, words, both = asked(**{"stem:park": 0}), asked(park=0), asked()
    assert both == pytest.approx(learned + words, rel=0.01)


def test_words_are_marked_by_their_stems(server):
    asked = {"query": "runs", "index": "words", "explain": True, "snippet": True}
    hits = server.post("/search", asked).json()["hits"]
    marked = {h["docno"]: [part["text"] for part in h["snippet"] if "share" in part] for h in hits}
    assert marked == {"d1": ["Running", "RUNS"], "d0": ["running"]}


def test_texts_are_added_without_a_model_and_their_words_found(writable):
    body = {"index": "words", "documents": [{"docno": "n", "text": "zebras running"}]}
    assert writable.post("/documents", body).json()["generation"] == 2
    found = writable.get("/search", params={"query": "zebra", "index": "words"}).json()["hits"]
    assert [h["docno"] for h in found] == ["n"]
    weights = writable.post("/search", {"query": "running", "index": "words", "explain": True}).json()["query_terms"]
    assert weights[0]["encoded"] == pytest.approx(
        Searcher.open(writable.service.catalogue.get("words").path).encode_queries(["running"]).weights[0]
    )


def test_what_a_channel_cannot_take_is_refused(writable):
    vector = {"docno": "n", "text": "x", "vector": {"term_ids": [1], "weights": [1.0]}}
    for name in ("words", "both"):
        error = writable.error(writable.post("/documents", {"index": name, "documents": [vector]}), 400)
        assert "has a lexical channel, which vectors cannot fill; send texts" in error["message"]
    text = {"index": "both", "documents": [{"docno": "n", "text": "x"}]}
    assert writable.error(writable.post("/documents", text), 400)["code"] == "no_encoder"
