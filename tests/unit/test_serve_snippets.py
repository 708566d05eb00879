from __future__ import annotations

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")

from sparseir.serve.answering.snippets import marked, snippet
from sparseir.serve.answering.terms import TextTerms
from tests.unit.test_query_table import make_tokenizer

WHAT, THE, WEATHER, PIECE = 3, 5, 6, 7


def words():
    made = make_tokenizer()
    made.no_truncation()
    made.no_padding()
    return TextTerms(made).words


def text(parts):
    return "".join(part["text"] for part in parts)


def test_the_parts_are_the_text_and_words_carry_the_sum_of_their_pieces():
    """'weathers' is weather + ##s: .5 + .25."""
    shares = {WEATHER: 0.5, PIECE: 0.25, WHAT: 0.25}
    parts = marked(words(), "what? the weathers", shares)
    assert text(parts) == "what? the weathers"
    found = {part["text"]: part["share"] for part in parts if "share" in part}
    assert found["what"] == 0.25
    assert found["weathers"] == 0.75


def test_a_text_without_matches_is_one_part():
    assert marked(words(), "the the", {WEATHER: 1.0}) == [{"text": "the the"}]
    assert marked(words(), "", {WEATHER: 1.0}) == [{"text": ""}]
    assert marked(TextTerms().words, "weather", {WEATHER: 1.0}) == [{"text": "weather"}]


def test_the_passage_is_the_one_that_holds_most_of_the_score():
    long = "the " * 300 + "what the weather is. " + "the " * 300
    parts = snippet(words(), long, {WEATHER: 0.7, WHAT: 0.3})
    assert [part["text"] for part in parts if "share" in part] == ["what", "weather"]
    assert text(parts).startswith("… the")
    assert text(parts).endswith(" …")
    assert len(text(parts)) < 300


def test_without_a_match_the_passage_is_the_beginning():
    parts = snippet(words(), "is " * 200, {WEATHER: 1.0})
    assert text(parts).startswith("is is")
    assert text(parts).endswith(" …")
