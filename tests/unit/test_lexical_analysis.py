from __future__ import annotations

import pytest

from sparseir.config.lexical import LexicalConfig
from sparseir.errors import ConfigError
from sparseir.lexical.analysis import Analyzer
from sparseir.lexical.stems import StemTable


def analysed(text, **settings):
    analyzer = Analyzer(LexicalConfig(**settings))
    return [stem for word in analyzer.words(text) if (stem := analyzer.stem(word)) is not None]


def test_english_words_are_stopped_and_stemmed():
    assert analysed("The cats' RUNNING of x-rays, in 1998 (snake_case)!") == ["cat", "run", "ray", "1998", "snake_cas"]


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("german", "Häuser, Fußgänger STRASSEN", ["haus", "fussgang", "strass"]),
        ("french", "étaient arrivés", ["étaient", "arriv"]),
        ("russian", "Книги книгами", ["книг", "книг"]),
        ("porter", "the running cats", ["run", "cat"]),
        ("none", "the running cats", ["the", "running", "cats"]),
        ("none", "पढ़ना हिन्दी", ["पढ़ना", "हिन्दी"]),  # vowels are marks, which Python's \w leaves out
    ],
)
def test_languages(language, text, expected):
    assert analysed(text, language=language) == expected


def test_forms_of_one_character_are_one():
    assert analysed("e\u0301te\u0301 ＡＢＣ ﬁn", language="none") == ["été", "abc", "fin"]


def test_stop_words_are_a_setting():
    assert analysed("the cats of Rome", stop_words=()) == ["the", "cat", "of", "rome"]
    assert analysed("the cats of Rome", stop_words=("Rome",)) == ["the", "cat", "of"]
    assert analysed("the cats of Rome", stop_words=("_language_", "Rome")) == ["cat"]


def test_an_unknown_language_names_the_nearest():
    with pytest.raises(
        ConfigError, match=r"no stemmer for language 'englsh'; did you mean english\? there are: none, "
    ):
        Analyzer(LexicalConfig(language="englsh"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": -0.5}, "alpha: expected a number of at least 0, found -0.5"),
        ({"alpha": float("nan")}, "alpha: expected"),
        ({"k1": -1.0, "b": 1.5}, "k1: expected a number of at least 0, found -1.0\nb: expected a number from 0 to 1"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ConfigError, match=message):
        LexicalConfig(**settings)


def test_counts_by_hand():
    """Row 0: cat twice (cats, cat), run once; row 1 is empty; row 2: dog, cat. Numbers follow first sight."""
    table = StemTable(Analyzer(LexicalConfig()))
    words = table.count(["cats running, the cat", "the of", "dogs cat"])
    assert table.stems == ["cat", "run", "dog"]
    assert words.indptr.tolist() == [0, 2, 2, 4]
    assert words.stems.tolist() == [0, 1, 0, 2]
    assert words.counts.tolist() == [2, 1, 1, 1]
    assert words.lengths.tolist() == [3, 0, 2]
    assert table.count([]).indptr.tolist() == [0]
    assert (table.find("dog"), table.find("dogs")) == (2, -1)


def test_forgotten_words_keep_their_numbers(monkeypatch):
    monkeypatch.setattr("sparseir.lexical.stems._MOST_WORDS", 1)
    table = StemTable(Analyzer(LexicalConfig()))
    first = table.count(["cat dog bird"])
    assert table.count(["bird cat dog"]).stems.tolist() == first.stems.tolist() == [0, 1, 2]
