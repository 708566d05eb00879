"""sparseir.Index, and the hits it gives: built from lists, searched, changed."""

from __future__ import annotations

import numpy as np
import pytest

from indexer import SparseVectors, build_index, verify_index
from sparseir import Index, Searcher
from sparseir.errors import ConfigError, DataError, IndexFormatError, MissingExtraError, SparseIRError
from sparseir.search.results import Hit, Hits
from tests.lexical_cases import TableEncoder

TEXTS = ["the cat sat on the mat", "dogs bark at cats", "weather in the park"]
BOOKS = [
    {"_id": "x", "title": "Fish", "text": "a fish <swims>", "year": 1990},
    {"id": "y", "contents": "two fish and a cat", "year": 2001, "topic": ["sea", "art"]},
]


@pytest.fixture
def index(tmp_path):
    with Index.build(tmp_path / "index", [*TEXTS, *BOOKS], metadata=["year", "topic"]) as index:
        yield index


def test_a_list_of_texts_is_an_index_in_one_line(index):
    assert len(index) == 5
    assert set(index.search("cats").docnos) == {"0", "1", "y"}
    assert index["x"] == {"title": "Fish", "text": "a fish <swims>", "year": 1990}
    assert index["y"]["text"] == "two fish and a cat"
    assert index.search("fish", filter="year>2000 and topic=sea").docnos == ["y"]
    assert "x" in index
    assert "z" not in index
    assert 3 not in index
    with pytest.raises(KeyError):
        index["z"]
    assert "5 documents, bm25" in repr(index)


def test_what_is_added_and_deleted_is_seen_at_once(index):
    before = index.searcher
    assert index.add(["a zebra", {"docno": "z", "text": "zebra zebra"}]) is index
    assert set(index.search("zebra").docnos) == {"5", "z"}
    with pytest.raises(SparseIRError, match="closed"):
        before.search("zebra")
    with pytest.raises(DataError, match="'z'"):
        index.add([{"docno": "z", "text": "again"}])
    index.add([{"docno": "z", "text": "horse"}], replace=True)
    assert index.search("zebra").docnos == ["5"]
    assert index.delete("5") == 1
    assert index.delete(["5", "nobody"]) == 0
    assert index.delete(filter="year<2000") == 1
    assert "x" not in index
    assert index.search("zebra").docnos == []
    with pytest.raises(ConfigError, match="not both"):
        index.delete("z", filter="year=1")
    verify_index(index.path)
    with Index.open(index.path) as again:
        assert len(again) == len(index) == 5


def test_hits_are_a_sequence_of_records(index):
    hits = index.search("cat fish", 4)
    assert isinstance(hits[0], Hit)
    assert [(h.docno, h.score, h.ordinal) for h in hits] == list(
        zip(hits.docnos, hits.scores.tolist(), hits.ordinals.tolist(), strict=True)
    )
    assert hits[0].docno == "y"
    assert hits[0].text == hits[0].fields["text"] == "two fish and a cat"
    assert hits[-1].docno == hits.docnos[-1]
    assert isinstance(hits[1:3], Hits)
    assert [h.docno for h in hits[1:3]] == hits.docnos[1:3]
    assert hits.fields() == [h.fields for h in hits]
    with pytest.raises(IndexError):
        hits[len(hits)]
    assert repr(hits).startswith(f"<{len(hits)} hits: 'y' ")
    assert repr(hits[0]).startswith("Hit(docno='y', score=")
    assert "a fish &lt;swims&gt;" in hits._repr_html_()
    assert not index.search("nothing like it")
    assert repr(index.search("nothing like it")) == "<0 hits>"


def test_a_hit_without_stored_text_has_none(tmp_path):
    build_index(tmp_path / "i", SparseVectors.from_rows([{0: 1.0}], 1))
    searcher = Searcher.open(tmp_path / "i", query_encoder=_One())
    (hit,) = searcher.search("anything")
    assert (hit.docno, hit.text, hit.fields) == ("0", "", {})


class _One:
    """Every query is term 0."""

    num_terms = 1

    def encode(self, text):
        return np.zeros(1, np.uint32), np.ones(1, np.float32)


def test_a_list_of_queries_is_answered_like_each_of_them(index):
    queries = ["cats", "fish", "nothing like it"]
    for filter in (None, "year>2000"):
        together = index.search(queries, 3, filter=filter)
        assert [h.docnos for h in together] == [index.search(q, 3, filter=filter).docnos for q in queries]
        alone = [index.search(q, 3, filter=filter).scores.tolist() for q in queries]
        assert [h.scores.tolist() for h in together] == alone
    assert index.search([]) == []


def test_to_pandas(index):
    pandas = pytest.importorskip("pandas")
    frame = index.search("cat fish").to_pandas()
    assert list(frame.columns[:3]) == ["rank", "docno", "score"]
    assert frame["docno"][0] == "y"
    assert frame["year"][0] == 2001
    assert len(index.search("nothing like it").to_pandas()) == 0
    assert isinstance(frame, pandas.DataFrame)


def test_without_pandas_the_way_to_it_is_named(index, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"sparseir\[pandas\]"):
        index.search("cat").to_pandas()


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ("one text", "a list of texts or of mappings, not one str"),
        ({"text": "a"}, "not one dict"),
        (3, "not one int"),
        (["a", 3], "document 1: expected a text or a mapping, not int"),
        ([{"_id": "a", "body": "b"}], "document 0 has no text or contents; its keys are _id, body"),
        ([{"_id": 1.5, "text": "b"}], "document 0: expected strings"),
        (["a", {"_id": "0", "text": "b"}], "'0'"),
    ],
)
def test_what_is_no_list_of_documents_is_refused_and_leaves_nothing(tmp_path, documents, message):
    with pytest.raises(DataError, match=message):
        Index.build(tmp_path / "index", documents)
    with pytest.raises(IndexFormatError):
        Index.open(tmp_path / "index")


def test_an_index_that_stands_there_is_kept(index):
    with pytest.raises(SparseIRError, match="overwrite"):
        Index.build(index.path, ["a"])
    assert len(Index.open(index.path)) == 5
    with Index.build(index.path, ["a"], overwrite=True) as fresh:
        assert len(fresh) == 1
    with pytest.raises(ConfigError, match="klingon"):
        Index.build(index.path, ["a"], language="klingon", overwrite=True)


def test_a_learned_index_adds_with_its_model(tmp_path):
    encoder = TableEncoder()
    with Index.build(tmp_path / "i", ["cats and dogs", "the weather"], model=encoder, lexical=True) as index:
        index.add(["dose of cats"])
        assert "2" in index.search("dose").docnos
    with Index.open(tmp_path / "i") as without, pytest.raises(SparseIRError, match="name the model"):
        without.add(["more"])


def test_a_closed_searcher_refuses(index):
    with Searcher.open(index.path) as searcher:
        assert repr(searcher) == f"Searcher({str(index.path)!r}, engine='auto', num_docs=5)"
        assert searcher.search("cats")
    for ask in (
        lambda: searcher.search("cats"),
        lambda: searcher.search(["cats"]),
        lambda: searcher.explain("cats", "0"),
    ):
        with pytest.raises(SparseIRError, match="was closed; open another"):
            ask()


def test_a_field_that_no_document_of_a_list_has_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no document has the field 'yaer' to filter by; did you mean 'year'\?"):
        Index.build(tmp_path / "index", [*TEXTS, {"text": "x", "year": 2000}], metadata=["yaer"])
    assert not (tmp_path / "index").exists()
