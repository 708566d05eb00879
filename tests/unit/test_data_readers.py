"""Readers: what they accept, and that each fault names its file and line."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path

import pytest

from sparseir.data import Document, open_dataset, open_datasets, read_corpus, read_qrels, read_queries
from sparseir.errors import DataError

LINES = [
    {"_id": "a", "title": "Tea", "text": "hot leaf", "year": 1999},
    {"_id": 7, "text": ""},
    {"_id": "c", "title": None, "text": "é"},
]


def write_lines(path: Path, rows: list) -> Path:
    text = "".join((row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)) + "\n" for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")
    return path


def beir_folder(folder: Path) -> Path:
    (folder / "qrels").mkdir(parents=True)
    write_lines(folder / "corpus.jsonl", LINES)
    write_lines(folder / "queries.jsonl", [{"_id": "q1", "text": "leaf"}, {"_id": "q2", "text": "hot"}])
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\ta\t2\nq1\t7\t0\n")
    (folder / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\nq2\tc\t1\n")
    return folder


@pytest.mark.parametrize("name", ["corpus.jsonl", "corpus.jsonl.gz"])
def test_corpus_lines_become_documents(tmp_path: Path, name: str) -> None:
    reader = read_corpus(write_lines(tmp_path / name, LINES))
    documents = list(reader)
    assert documents == [
        Document("a", "hot leaf", "Tea", {"year": 1999}),
        Document("7", ""),
        Document("c", "é"),
    ]
    assert [d.content for d in documents] == ["Tea hot leaf", "", "é"]
    assert (reader.num_documents, reader.num_empty) == (3, 1)


def test_reading_streams(tmp_path: Path) -> None:
    """The first document comes before the fault on the second line is met."""
    reader = read_corpus(write_lines(tmp_path / "corpus.jsonl", [LINES[0], "{"]))
    assert next(reader).docno == "a"
    with pytest.raises(DataError, match=r"corpus\.jsonl:2: not valid JSON"):
        next(reader)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], r"corpus\.jsonl: the corpus is empty"),
        (["", "  "], r"the corpus is empty"),
        ([LINES[0], '{"_id": "b"'], r"corpus\.jsonl:2: not valid JSON"),
        (["[1]"], r"corpus\.jsonl:1: expected a JSON object, found list"),
        ([{"_id": "a", "title": "t"}], r"corpus\.jsonl:1: missing key 'text' or 'contents' \(found: '_id', 'title'\)"),
        (
            [{"key": "a", "text": "t"}],
            r"jsonl:1: missing key '_id' or 'id' or 'docid' \(found: 'key', 'text'\); --fields id=KEY",
        ),
        (
            [LINES[0], '{"_id": "b", "text": "", "year": NaN}'],
            r"jsonl:2: not valid JSON: 'year': NaN is not a JSON number",
        ),
        (['{"_id": "b", "text": "", "x": {"y": [-Infinity]}}'], r"jsonl:1: not valid JSON: 'x': -Infinity is not"),
        ([{"_id": "a", "text": 3}], r":1: 'text' must be a string, found int"),
        ([{"_id": None, "text": "t"}], r":1: '_id' is null"),
        ([{"_id": True, "text": "t"}], r":1: '_id' must be a string, found bool"),
        ([{"_id": "", "text": "t"}], r":1: '_id' is empty"),
        ([LINES[0], LINES[1], LINES[0]], r"corpus\.jsonl:3: duplicate id 'a', first seen on line 1"),
    ],
)
def test_corpus_faults_name_the_line(tmp_path: Path, rows: list, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(read_corpus(write_lines(tmp_path / "corpus.jsonl", rows)))


def test_bytes_that_are_not_utf8_name_the_line(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(b'{"_id": "a", "text": ""}\n{"_id": "b", "text": "\xff"}\n')
    with pytest.raises(DataError, match=r":2: not UTF-8"):
        list(read_corpus(path))


def test_half_a_character_names_the_line_and_a_whole_one_is_read(tmp_path: Path) -> None:
    whole, half = '{"_id": "a", "text": "\\ud83d\\ude00"}', '{"_id": "b", "text": "x", "more": ["\\uD83d"]}'
    assert [d.text for d in read_corpus(write_lines(tmp_path / "w.jsonl", [whole]))] == ["\U0001f600"]
    with pytest.raises(DataError, match=r"h\.jsonl:2: .*half a character"):
        list(read_corpus(write_lines(tmp_path / "h.jsonl", [whole, half])))


def test_damaged_archives_are_named(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl.gz").write_bytes(b"plain")
    with pytest.raises(DataError, match="damaged archive"):
        list(read_corpus(tmp_path / "corpus.jsonl.gz"))
    (tmp_path / "c.zip").write_bytes(b"plain")
    with pytest.raises(DataError, match="not a zip archive"):
        open_dataset(tmp_path / "c.zip")


def test_queries_as_jsonl_and_as_tabs(tmp_path: Path) -> None:
    rows = write_lines(tmp_path / "q.jsonl", [{"_id": 1, "text": "a b"}, {"_id": "2", "text": ""}])
    tabs = write_lines(tmp_path / "q.tsv", ["1\ta b", "2\t"])
    assert read_queries(rows) == read_queries(tabs)
    assert [q.qid for q in read_queries(tabs)] == ["1", "2"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["1 a b"], r"q:1: expected qid<TAB>text"),
        (["1\ta", "1\tb"], r"q:2: duplicate id '1', first seen on line 1"),
        ([], "holds no queries"),
        (['{"_id": "1"}'], r"q:1: missing key 'text'"),
    ],
)
def test_query_faults(tmp_path: Path, rows: list, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_queries(write_lines(tmp_path / "q", rows))


def test_qrels_in_both_forms(tmp_path: Path) -> None:
    beir = write_lines(tmp_path / "a.tsv", ["query-id\tcorpus-id\tscore", "1\tx\t2", "1\ty\t0", "1\ty\t0"])
    trec = write_lines(tmp_path / "b.qrels", ["1 0 x 2", "1 0 y 0"])
    assert read_qrels(beir) == read_qrels(trec) == {"1": {"x": 2, "y": 0}}
    floats = write_lines(tmp_path / "c.qrels", ["1 0 x 2.0", "1 0 y 0.0"])
    assert read_qrels(floats) == {"1": {"x": 2, "y": 0}}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["1\tx\tyes"], r"q:1: relevance 'yes' is not an integer"),
        (["1\tx\t1.5"], r"q:1: relevance '1.5' is not an integer"),
        (["1\tx\tnan"], r"q:1: relevance 'nan' is not an integer"),
        (["1\tx"], r"q:1: expected query-id.*found 2 columns"),
        (["1\tx\t1", "1\tx\t2"], r"q:2: query '1' and document 'x' were judged 1 before and 2 here"),
        (["query-id\tcorpus-id\tscore"], "holds no judgements"),
    ],
)
def test_qrels_faults(tmp_path: Path, rows: list, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_qrels(write_lines(tmp_path / "q", rows))


def test_folder_and_zip_read_the_same(tmp_path: Path) -> None:
    folder = beir_folder(tmp_path / "tiny")
    with zipfile.ZipFile(tmp_path / "tiny.zip", "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, Path("tiny") / file.relative_to(folder))
    for source in (folder, tmp_path / "tiny.zip"):
        dataset = open_dataset(source)
        assert dataset.name == "tiny"
        assert dataset.splits == ("test", "train")
        assert [d.docno for d in dataset.corpus()] == ["a", "7", "c"]
        assert [q.qid for q in dataset.queries("test")] == ["q1"]
        assert len(dataset.queries()) == 2
        assert dataset.qrels("test", docnos={"a", "7"}) == {"q1": {"a": 2, "7": 0}}
    by_name = open_dataset("tiny", tmp_path)
    assert by_name.splits == ("test", "train")


def test_judgements_of_what_is_absent_are_a_note_unless_most_are(tmp_path: Path) -> None:
    folder = beir_folder(tmp_path / "tiny")
    (folder / "qrels" / "test.tsv").write_text("q1\ta\t2\nq1\tgone\t1\nq1\t7\t0\nq9\ta\t1\nq2\tc\t1\n")
    dataset, notes = open_dataset(folder), []
    qrels = dataset.qrels("test", docnos={"a", "7", "c"}, note=notes.append)
    assert qrels["q1"] == {"a": 2, "gone": 1, "7": 0}
    assert [q.qid for q in dataset.queries("test", note=notes.append)] == ["q1", "q2"]
    assert len(notes) == 2
    assert "test.tsv: judges document 'gone', which is not in" in notes[0]
    assert "test.tsv: judges query 'q9', which is not in" in notes[1]
    dataset.qrels("test", docnos={"a", "7"}, note=notes.append)
    assert "judges 2 documents, 'gone' first, that are not in" in notes[2]
    with pytest.raises(DataError, match=r"test\.tsv: 3 of the 4 documents judged here, 'gone' first, are not in"):
        dataset.qrels("test", docnos={"a"})
    with pytest.raises(DataError, match=r"no judgements for split 'dev' \(found: test, train\)"):
        dataset.qrels("dev")
    (folder / "qrels" / "train.tsv").write_text("q9\ta\t1\n")
    with pytest.raises(DataError, match=r"train\.tsv: 1 of the 1 queries judged here, 'q9' first, are not in"):
        dataset.queries("train")


def test_a_collection_of_parts_opens_as_all_of_them(tmp_path: Path) -> None:
    for part in ("android", "english"):
        beir_folder(tmp_path / "cqadupstack" / part)
    with zipfile.ZipFile(tmp_path / "cqadupstack.zip", "w") as archive:
        for file in sorted((tmp_path / "cqadupstack").rglob("*")):
            archive.write(file, file.relative_to(tmp_path))
    for source in (tmp_path / "cqadupstack", tmp_path / "cqadupstack.zip"):
        parts = open_datasets(source)
        assert [part.name for part in parts] == ["cqadupstack/android", "cqadupstack/english"]
        assert {part.group for part in parts} == {"cqadupstack"}
        assert all([q.qid for q in part.queries("test")] == ["q1"] for part in parts)
        assert all([d.docno for d in part.corpus()] == ["a", "7", "c"] for part in parts)
    alone = open_datasets(tmp_path / "cqadupstack" / "android")
    assert [(part.name, part.group) for part in alone] == [("android", "")]


def test_what_is_no_collection_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"holds no corpus \(found: nothing\); expected corpus.jsonl, files of JSON lines"
    ):
        open_dataset(tmp_path)
    with pytest.raises(DataError, match="did you mean 'scifact'"):
        open_dataset("scifakt", tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match="is one text; give the folder"):
        open_dataset(tmp_path / "notes.txt")


def test_a_failed_download_says_where_to_put_the_zip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    import types

    beir, util = types.ModuleType("beir"), types.ModuleType("beir.util")

    def refuse(url: str, folder: str) -> str:
        raise OSError("no route")

    util.download_and_unzip = refuse  # type: ignore[attr-defined]
    beir.util = util  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "beir", beir)
    monkeypatch.setitem(sys.modules, "beir.util", util)
    with pytest.raises(DataError, match=r"cannot download 'scifact'.*put it at .*scifact\.zip"):
        open_dataset("scifact", tmp_path)
