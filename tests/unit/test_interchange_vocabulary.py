"""Vocabularies: three rules, loading and saving."""

from __future__ import annotations

import json

import pytest

from indexer.errors import DataError
from indexer.interchange import Vocabulary


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
