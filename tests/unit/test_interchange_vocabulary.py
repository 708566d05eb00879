"""Vocabularies: three rules, loading and saving."""

from __future__ import annotations

import json

import pytest

from indexer.errors import DataError
from indexer.format.query_side import QueryFiles
from indexer.interchange import Vocabulary
from indexer.interchange.vocabulary_files import AfterTokenizer


def test_saved_terms_come_back(tmp_path):
    terms = ["##a", "line\nbreak", '"', "ﬀ\u2028", ""]
    path = Vocabulary.fixed(terms).save(tmp_path / "query")
    assert Vocabulary.load(path).terms == Vocabulary.load(tmp_path / "query").terms == terms
    assert Vocabulary.load(path, num_terms=9).num_terms == 9
    with pytest.raises(DataError, match="5 terms in a vocabulary of size 3"):
        Vocabulary.load(path, num_terms=3)
    with pytest.raises(DataError, match="no strings"):
        Vocabulary.integers().save(tmp_path)


def test_vocabulary_files_of_models(tmp_path):
    (tmp_path / "vocab.txt").write_text("[PAD]\nthe\n##s\n")
    assert Vocabulary.load(tmp_path).terms == ["[PAD]", "the", "##s"]
    (tmp_path / "vocab.json").write_text(json.dumps({"b": 2, "a": 0}))
    assert Vocabulary.load(tmp_path / "vocab.json").terms == ["a", "[1]", "b"]


def test_tokenizer_file_is_read_with_its_added_tokens(tmp_path):
    from tokenizers import Tokenizer, models

    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a"))
    tokenizer.add_special_tokens(["[MASK]"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert Vocabulary.load(tmp_path).terms == ["a", "b", "[MASK]"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("terms.jsonl", '"a"\n1\n', r"terms\.jsonl:2"),
        ("terms.jsonl", '"a"\n"a"\n', "'a' has the ids 0 and 1"),
        ("terms.jsonl", '"a"\n"\\ud800"\n', r"terms\.jsonl:2: expected one JSON string a line: .*half a character"),
        ("vocab.json", "[1]", "expected a tokenizer"),
        ("vocab.json", '{"a": -1}', "expected a tokenizer"),
        ("vocab.json", '{"a": 4000000000}', "without large gaps"),
        ("vocab.json", "{", "not JSON"),
        ("tokenizer.json", '{"model": 1}', "tokenizer does not load"),
        ("notes", "", "no vocabulary here"),
    ],
)
def test_fault_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        Vocabulary.load(tmp_path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        Vocabulary.load(tmp_path / "none.txt")


@pytest.mark.parametrize(
    "lines", ['"a"\n"b","c"\n', '"a"\n3\n', '"a",\n"b"\n', '["a"\n"b"]\n', '"a\n"b"\n', '"a\nb"\n"c","d"\n']
)
def test_a_line_that_is_no_string_is_named(tmp_path, lines):
    (tmp_path / "terms.jsonl").write_text(lines)
    with pytest.raises(DataError, match=r"terms\.jsonl:[12]: expected one JSON string a line"):
        Vocabulary.load(tmp_path / "terms.jsonl")


def save_tokenizer(folder, terms):
    from tokenizers import Tokenizer, models

    folder.mkdir(exist_ok=True)
    Tokenizer(models.WordLevel(terms, unk_token=next(iter(terms)))).save(str(folder / "tokenizer.json"))


@pytest.mark.parametrize("ids", [{"a": 0, "b": 1, "##c": 2}, {"a": 0, "##c": 2}])
@pytest.mark.parametrize("padding", [0, 3])
def test_terms_after_those_of_a_tokenizer_are_listed_alone(tmp_path, ids, padding):
    save_tokenizer(tmp_path, ids)
    first = [{i: t for t, i in ids.items()}.get(i, f"[{i}]") for i in range(3 + padding)]
    terms = [*first, "stem:a", 'stem:say "a"', "stem:", "stem:line\nend"]
    after = AfterTokenizer.of(tmp_path, first, "stem:")
    assert after == AfterTokenizer(3 + padding, "stem:")
    path = Vocabulary.fixed(terms).save(tmp_path, after=after)
    assert path.read_bytes().count(b"\n") == 1 + 4
    assert b"stem:" not in path.read_bytes().partition(b"\n")[2]
    assert Vocabulary.load(path).terms == Vocabulary.load(tmp_path).terms == terms
    assert Vocabulary.of_index(QueryFiles(tmp_path), len(terms)).terms == terms


def test_other_terms_than_the_tokenizers_are_listed(tmp_path):
    assert AfterTokenizer.of(tmp_path, ["a"], "stem:") is None
    save_tokenizer(tmp_path, {"a": 0, "b": 1})
    assert AfterTokenizer.of(tmp_path, [], "stem:") is None
    assert AfterTokenizer.of(tmp_path, ["b", "a"], "stem:") is None
    assert AfterTokenizer.of(tmp_path, ["a"], "stem:") is None
    (tmp_path / "tokenizer.json").write_text("{")
    assert AfterTokenizer.of(tmp_path, ["a", "b"], "stem:") is None


@pytest.mark.parametrize(
    ("first", "message"),
    [
        ('{"after": "tokenizer.json", "terms": 1, "mark": ""}', "2 terms, terms.jsonl expects 1"),
        ('{"after": "tokenizer.json", "terms": 4000000000, "mark": ""}', "2 terms, terms.jsonl expects 4000000000"),
        ('{"after": "tokenizer.json", "terms": 99999999999, "mark": ""}', r"terms\.jsonl:1: expected one JSON string"),
        ('{"after": "tokenizer.json", "terms": 2.5, "mark": ""}', r"terms\.jsonl:1: expected one JSON string"),
        ('{"after": "../../secret", "terms": 2, "mark": ""}', r"terms\.jsonl:1: expected one JSON string"),
        ('{"after": "tokenizer.json", "terms": 2, "mark": 7}', r"terms\.jsonl:1: expected one JSON string"),
        ('{"after": "tokenizer.json", "ter', r"terms\.jsonl:1: expected one JSON string"),
        ('{"after": "tokenizer.json", "terms": 2, "mark": ""}\n"b"', "'b' has the ids 1 and 2"),
        ('{"after": "tokenizer.json", "terms": 2, "mark": ""}\n"c"\n7', r"terms\.jsonl:3: expected one JSON string"),
    ],
)
def test_a_damaged_first_line_is_named(tmp_path, first, message):
    save_tokenizer(tmp_path, {"a": 0, "b": 1})
    (tmp_path / "terms.jsonl").write_text(first + "\n")
    for load in (lambda: Vocabulary.load(tmp_path), lambda: Vocabulary.of_index(QueryFiles(tmp_path), 3)):
        with pytest.raises(DataError, match=message):
            load()


def test_of_two_strings_for_one_id_the_same_counts_each_time(tmp_path):
    (tmp_path / "vocab.json").write_text('{"b": 1, "bb": 1, "a": 0}')
    (tmp_path / "turned.json").write_text('{"bb": 1, "a": 0, "b": 1}')
    assert Vocabulary.load(tmp_path / "vocab.json").terms == Vocabulary.load(tmp_path / "turned.json").terms


def test_a_tokenizer_that_is_not_there_is_named(tmp_path):
    (tmp_path / "terms.jsonl").write_text('{"after": "tokenizer.json", "terms": 2, "mark": ""}\n"c"\n')
    for load in (lambda: Vocabulary.load(tmp_path), lambda: Vocabulary.of_index(QueryFiles(tmp_path), 3)):
        with pytest.raises(DataError, match=r"terms\.jsonl: begins with the terms of tokenizer\.json, which"):
            load()
