"""The tools of the MCP server, without the protocol: they answer as the searcher does, and say what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pydantic_core", reason="the extra 'mcp' is not installed")

from indexer import delete_documents
from sparseir import Feedback, Index, Searcher
from sparseir.errors import SparseIRError
from sparseir.integrations.mcp_tools import TEXT_CHARS, Tools, told
from sparseir.serve.faults import ApiError
from tests.served import DOCUMENTS, build


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    words = ["weather report " + "long " * TEXT_CHARS, "nothing of the kind", "what weather", "weather weather"]
    Index.build(tmp_path / "words", [{"_id": f"w{i}", "text": text} for i, text in enumerate(words)]).close()
    return {"docs": build(tmp_path), "words": tmp_path / "words"}


@pytest.fixture
def tools(folders: dict[str, Path]) -> Tools:
    return Tools(folders)


def test_the_hits_of_the_searcher(tools: Tools, folders: dict[str, Path]) -> None:
    for name, folder in folders.items():
        for snippet in (True, False):
            answer = tools.search("what weather", name, 3, snippet=snippet)
            hits = Searcher.open(folder).search("what weather", 3)
            assert [(h["docno"], h["score"]) for h in answer["hits"]] == [(h.docno, h.score) for h in hits]
            assert [h["rank"] for h in answer["hits"]] == list(range(1, len(hits) + 1))
            assert answer["index"] == name
    assert tools.search("what weather")["index"] == "docs"
    assert {h["docno"] for h in tools.search("weather", filter="year>=2004")["hits"]} == {"é?", "<b>"}


def test_passages_are_plain_and_long_fields_are_cut(tools: Tools) -> None:
    (first,) = tools.search("report", "words")["hits"]
    assert first["snippet"].startswith("weather report long")
    assert len(first["snippet"]) < TEXT_CHARS
    (first,) = tools.search("report", "words", snippet=False)["hits"]
    assert len(first["fields"]["text"]) == TEXT_CHARS + 1
    assert len(tools.get_document("w0", "words")["fields"]["text"]) > TEXT_CHARS


def test_documents_and_indexes(tools: Tools) -> None:
    assert tools.get_document("b/1")["fields"]["text"] == DOCUMENTS["b/1"]
    listed = tools.list_indexes()["indexes"]
    assert [(i["name"], i["documents"]) for i in listed] == [("docs", 6), ("words", 4)]
    assert set(listed[0]["fields"]) == {"lang", "year"}


def test_an_explanation_adds_up(tools: Tools, folders: dict[str, Path]) -> None:
    answer = tools.explain("what is the weather", "<b>")
    wanted = Searcher.open(folders["docs"]).explain("what is the weather", "<b>")
    assert answer["integer_score"] == sum(t["product"] for t in answer["terms"]) == wanted.integer_score
    assert answer["score"] == wanted.score


def test_feedback_is_the_searchers(tools: Tools, folders: dict[str, Path]) -> None:
    searcher, feedback = Searcher.open(folders["words"]), Feedback(documents=2)
    answer = tools.search("what", "words", 3, feedback=2)
    hits = searcher.search("what", 3, feedback=feedback)
    assert [(h["docno"], h["score"]) for h in answer["hits"]] == [(h.docno, h.score) for h in hits]
    assert len(hits) > len(searcher.search("what", 3))
    assert tools.explain("what", hits[0].docno, "words", feedback=2)["score"] == hits[0].score
    with pytest.raises(ApiError, match="words of 11 hits; ask for 0 to 10"):
        tools.search("what", "words", feedback=11)
    with pytest.raises(SparseIRError, match="index 'docs' has learned terms alone"):
        tools.search("what", "docs", feedback=2)


def test_fusion_by_hand(tools: Tools) -> None:
    queries, names = ["weather", "what"], ["docs", "words"]
    answer = tools.fuse_search_results(queries, names, k=3, depth=5)
    scores: dict[str, float] = {}
    places: dict[str, list[str]] = {}
    for name in names:
        for query in queries:
            for hit in tools.search(query, name, 5)["hits"]:
                scores[hit["docno"]] = scores.get(hit["docno"], 0.0) + 1 / (60 + hit["rank"])
                places.setdefault(hit["docno"], []).append(name)
    best = sorted(scores, key=lambda docno: (-scores[docno], docno))[:3]
    assert answer["lists"] == 4
    assert [h["docno"] for h in answer["hits"]] == best
    assert [h["score"] for h in answer["hits"]] == pytest.approx([scores[d] for d in best], rel=1e-6)
    assert [h["indexes"] for h in answer["hits"]] == [sorted(set(places[d])) for d in best]
    assert [h["rank"] for h in answer["hits"]] == [1, 2, 3]


def test_a_commit_is_seen_and_a_broken_one_is_not(
    tools: Tools, folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    delete_documents(folders["docs"], ["a"])
    assert "a" not in {h["docno"] for h in tools.search("weather")["hits"]}
    manifest = folders["docs"] / "manifest.json"
    manifest.write_text("{")
    assert tools.search("weather")["hits"]
    assert "index 'docs': its newest commit cannot be opened" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("search", {"query": " "}, "query: empty"),
        ("search", {"query": "a", "index": "no"}, "no index is named 'no'; there are: docs, words"),
        ("search", {"query": "a", "k": 0}, "k: 0 hits"),
        ("search", {"query": "a", "k": 101}, "k: 101 hits with explanations or snippets"),
        ("search", {"query": "a", "k": 1001, "snippet": False}, "k: 1001 hits"),
        ("search", {"query": "a" * 4001}, "query: 4001 characters"),
        ("search", {"query": "a", "filter": "colour=red"}, "colour"),
        ("get_document", {"docno": "z"}, "holds no document 'z'"),
        ("explain", {"query": "a", "docno": "z"}, "holds no document 'z'"),
        ("fuse_search_results", {"queries": []}, "queries: 0 queries to 1 indexes"),
        ("fuse_search_results", {"queries": ["a"] * 17, "indexes": ["docs", "words"]}, "queries: 17 queries to 2"),
        ("fuse_search_results", {"queries": ["a"], "k": 0}, "k: 0 documents"),
        ("fuse_search_results", {"queries": ["a"], "depth": 1001}, "k: 1001 hits"),
    ],
)
def test_what_is_wrong_is_said(tools: Tools, name: str, arguments: dict[str, object], said: str) -> None:
    with pytest.raises((ApiError, SparseIRError)) as caught:
        getattr(tools, name)(**arguments)
    assert said in (told(caught.value) or "")


def test_what_broke_here_is_not_told() -> None:
    assert told(RuntimeError("/secret/place")) is None
    assert told(ApiError(500, "internal", "x")) is None
