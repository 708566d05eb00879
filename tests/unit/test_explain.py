from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from indexer import build_index
from sparseir.errors import DataError
from sparseir.models.query_table import QueryTable
from sparseir.search.searcher import Searcher
from tests.unit.test_query_table import make_tokenizer


@pytest.fixture
def searcher(tmp_path):
    table = QueryTable(make_tokenizer(), np.array([0, 0, 0, 1, 0.5, 0.25, 4, 2], np.float32))
    table.save(tmp_path / "query")
    vectors = table.encode_batch(["what the weather", "the the the", "", "weathers"])
    build_index(tmp_path / "index", vectors, docnos=["a", "b", "c", "d"], query_side=tmp_path / "query")
    return Searcher.open(tmp_path / "index")


def test_products_add_up_to_the_score(searcher):
    hits = searcher.search("what is the weather", 4)
    for docno, score in zip(hits.docnos, hits.scores, strict=True):
        explanation = searcher.explain("what is the weather", docno)
        assert sum(t.product for t in explanation.terms) == explanation.integer_score
        assert all(t.query_weight * t.impact == t.product for t in explanation.terms)
        assert np.float32(explanation.score) == score
        assert sum(t.share for t in explanation.terms) == pytest.approx(1.0)


def test_terms_are_named_heaviest_first(searcher):
    explanation = searcher.explain("what is the weather", "a")
    assert [t.token for t in explanation.terms] == ["weather", "what", "the"]
    assert explanation.unmatched == ("is",)


def test_a_notebook_shows_the_products_and_nothing_as_html(searcher):
    page = searcher.explain("what is the weather", "a")._repr_html_()
    explanation = searcher.explain("what is the weather", "a")
    assert [f"<td>{t.token}</td>" in page for t in explanation.terms] == [True, True, True]
    assert f"<th>{explanation.integer_score:,}</th>" in page
    assert "it does not hold is" in page
    marked = replace(explanation.terms[0], token="<b>")
    page = replace(explanation, docno="<i>", terms=(marked,), unmatched=("<u>",))._repr_html_()
    assert "<i>" not in page
    assert "<u>" not in page
    assert all(f"&lt;{tag}&gt;" in page for tag in "biu")


def test_a_document_that_matches_nothing_scores_zero(searcher):
    explanation = searcher.explain("the weather", "c")
    assert (explanation.integer_score, explanation.score, explanation.terms) == (0, 0.0, ())


def test_an_unknown_document_is_an_error(searcher):
    with pytest.raises(DataError, match="no document named 'zz'"):
        searcher.explain("weather", "zz")


def test_searching_after_explaining_is_not_restricted(searcher):
    before = searcher.search("weather", 4).docnos
    searcher.explain("weather", "d")
    assert searcher.search("weather", 4).docnos == before
