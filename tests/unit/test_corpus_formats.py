"""Every form a corpus comes in is read to the same documents, and each fault names its place before any work."""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from sparseir.data import Document, open_dataset, read_corpus, read_queries
from sparseir.data.corpus.fields import FieldMap
from sparseir.data.corpus.texts import split_html, split_markdown
from sparseir.errors import ConfigError, DataError, MissingExtraError

TEA = Document("a", "hot leaf", "Tea", {"year": 1999})
RAIN = Document("b", "falls, often", "", {})
BOTH = [TEA, RAIN]

JSONL = '{"_id": "a", "title": "Tea", "text": "hot leaf", "year": 1999}\n{"_id": "b", "text": "falls, often"}\n'
ROWS = {
    "corpus.jsonl": JSONL,
    "id.ndjson": JSONL.replace("_id", "id"),
    "docid.jsonl": JSONL.replace("_id", "docid"),
    "anserini.json": JSONL.replace("_id", "id").replace("text", "contents"),
    "array.json": "[\n" + ",\n".join(JSONL.splitlines()) + "\n]",
    "table.csv": 'id,title,text,year\na,Tea,hot leaf,1999\nb,,"falls, often",\n',
    "semicolons.csv": "id;title;text;year\na;Tea;hot leaf;1999\nb;;falls, often;\n",
    "bom.csv": "\ufeffid,title,text,year\r\na,Tea,hot leaf,1999\r\nb,,\"falls, often\",\r\n",
    "table.tsv": "id\ttext\ttitle\tyear\na\thot leaf\tTea\t1999\nb\tfalls, often\t\t\n",
}  # fmt: skip


def written(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    if path.suffix == ".gz":
        data = gzip.compress(data)
    elif path.suffix == ".zst":
        data = pytest.importorskip("backports.zstd", reason="the extra 'zstd' is not installed").compress(data)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("packing", ["", ".gz", ".zst"])
@pytest.mark.parametrize("name", ROWS)
def test_rows_of_every_format(tmp_path: Path, name: str, packing: str) -> None:
    path = written(tmp_path / f"{name}{packing}", ROWS[name])
    assert list(read_corpus(path)) == BOTH
    survey = read_corpus(path).check(["year", "title"])
    assert survey is not None
    assert (survey.num_documents, survey.num_empty, set(survey.kinds)) == (2, 0, {"year", "title", "text"})


def test_lines_of_ms_marco(tmp_path: Path) -> None:
    passages = written(tmp_path / "collection.tsv", '0\tThe "presence" of\n1\ta, b\n')
    assert list(read_corpus(passages)) == [Document("0", 'The "presence" of'), Document("1", "a, b")]
    documents = written(tmp_path / "docs.tsv", "D1\thttp://x\tTitle\tbody\n")
    assert list(read_corpus(documents)) == [Document("D1", "body", "Title", {"url": "http://x"})]
    with pytest.raises(DataError, match=r"collection\.tsv:2: expected id<TAB>text.* found 3 columns; a table"):
        list(read_corpus(written(tmp_path / "collection.tsv", "0\ta\n1\tb\tc\n")))


def test_the_format_can_be_said(tmp_path: Path) -> None:
    path = written(tmp_path / "dump.dat", ROWS["table.csv"])
    with pytest.raises(
        DataError, match=r"dump\.dat: cannot tell its format by its ending; say one of --format jsonl, "
    ):
        open_dataset(path)
    assert list(read_corpus(path, form="csv")) == BOTH
    quotes = written(tmp_path / "h.tsv", 'id\ttext\tn\n1\t"x" y\t2\n')
    with pytest.raises(
        DataError, match=r"h\.tsv:2: a cell that cannot be read .*--format msmarco, which takes quotes as"
    ):
        list(read_corpus(quotes))
    assert list(read_corpus(quotes, form="msmarco")) == [Document("1", '"x" y', "", {"n": "2"})]
    quotes.write_text("id\ttext\n1\n")
    with pytest.raises(DataError, match=r"h\.tsv:2: 1 cells, and the header names 2 columns"):
        list(read_corpus(quotes, form="msmarco"))
    with pytest.raises(ConfigError, match="--format is 'xml'; expected one of jsonl"):
        open_dataset(path, form="xml")


def test_other_keys_are_named(tmp_path: Path) -> None:
    fields = FieldMap.parse("id=pid, text=body,title=head")
    rows = written(tmp_path / "x.jsonl", '{"pid": 4, "body": "b", "head": "h", "text": "kept"}\n')
    assert list(read_corpus(rows, fields=fields)) == [Document("4", "b", "h", {"text": "kept"})]
    table = written(tmp_path / "x.csv", "pid,body\n4,b\n")
    with pytest.raises(
        DataError, match=r"x\.csv:1: the header has no column called _id or id.*found: 'pid', 'body'\); --fields id=C"
    ):
        list(read_corpus(table))
    assert list(read_corpus(table, fields=FieldMap.parse("id=pid,text=body"))) == [Document("4", "b")]
    for bad in ("pid", "id=", "id=a,id=b", "name=x", ""):
        with pytest.raises(ConfigError, match="expected id=KEY,text=KEY,title=KEY"):
            FieldMap.parse(bad)


def test_columns_of_numbers_are_numbers(tmp_path: Path) -> None:
    table = written(tmp_path / "x.csv", "id,text,n,x,zip,mixed,empty\n01,t,3,2,01234,1,\n2,,-4,2.5e1,99999,one,\n")
    first, second = read_corpus(table)
    assert first == Document("01", "t", "", {"n": 3, "x": 2.0, "zip": "01234", "mixed": "1"})
    assert second == Document("2", "", "", {"n": -4, "x": 25.0, "zip": "99999", "mixed": "one"})


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.csv", "", r"x\.csv: the corpus is empty"),
        ("x.csv", "id,text\n", r"x\.csv: the corpus is empty"),
        ("x.csv", "id,text\na,b\nc\n", r"x\.csv:3: 1 cells, and the header names 2 columns"),
        ("x.csv", "id,text,id\n", r"x\.csv:1: the header names column 'id' twice"),
        ("x.csv", 'id,text\na,"x\ny"\nb,"open\n', r"x\.csv:4: a cell that cannot be read \(unexpected end"),
        ("x.csv", 'id,text\na,"x" y\n', r"x\.csv:2: a cell that cannot be read"),
        ("x.csv", "id,text\n,b\n", r"x\.csv:2: 'id' is empty"),
        ("x.csv", "id,text\na,b\na,c\n", r"x\.csv:3: duplicate id 'a', first seen on line 2"),
        ("x.json", "[1]", r"x\.json: item 1: expected a JSON object, found int"),
        ("x.json", '[{"id": "a", "text": ""}, {"id": "b"}]', r"x\.json: item 2: missing key 'text'"),
        ("x.json", '{\n"id": "a"\n', r"x\.json: not valid JSON"),
        ("x.jsonl", '{"id": "a", "text": "", "f": NaN}', r"x\.jsonl:1: not valid JSON: 'f': NaN is not a JSON number"),
        ("x.tsv", "only\n", r"x\.tsv:1: expected id<TAB>text.*found 1 column;"),
        ("x.parquet", "PAR1", r"x\.parquet: no Parquet file, or a damaged one"),
        ("x.jsonl.zst", None, r"x\.jsonl\.zst: damaged archive"),
    ],
)  # fmt: skip
def test_faults_name_their_place(tmp_path: Path, name: str, content: str | None, said: str) -> None:
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow", reason="the extra 'parquet' is not installed")
    if content is None:
        packed = written(tmp_path / name, JSONL * 500)
        packed.write_bytes(packed.read_bytes()[:-4])
    else:
        written(tmp_path / name, content)
    with pytest.raises(DataError, match=said):
        read_corpus(tmp_path / name).check()


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="the extra 'parquet' is not installed")
    from pyarrow import parquet

    table = pyarrow.table(
        {"id": ["a", "b"], "title": ["Tea", None], "text": ["hot leaf", "falls, often"], "year": [1999, None]}
    )
    parquet.write_table(table, tmp_path / "x.parquet")
    assert list(read_corpus(tmp_path / "x.parquet")) == BOTH
    parquet.write_table(table.append_column("f", [[1.0, float("nan")]]), tmp_path / "n.parquet")
    with pytest.raises(DataError, match=r"n\.parquet: row 2: 'f' is nan, which JSON does not have; write null"):
        read_corpus(tmp_path / "n.parquet").check()
    parquet.write_table(table.rename_columns(["key", "title", "body", "year"]), tmp_path / "k.parquet")
    with pytest.raises(
        DataError, match=r"no column called _id or id or docid, or none called text or contents \(found: 'key'"
    ):
        read_corpus(tmp_path / "k.parquet").check()
    assert list(read_corpus(tmp_path / "k.parquet", fields=FieldMap.parse("id=key,text=body"))) == BOTH


@pytest.mark.parametrize(
    ("name", "module", "extra"), [("x.parquet", "pyarrow", "parquet"), ("x.jsonl.zst", "backports", "zstd")]
)
def test_a_missing_library_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: str, extra: str
) -> None:
    (tmp_path / name).write_bytes(b"x")
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, "compression", None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'sparseir\[{extra}\]'"):
        read_corpus(tmp_path / name).check()


def test_a_folder_of_texts(tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    written(folder / "a.txt", "plain\n")
    written(folder / "deep" / "b.md.gz", "intro\n\n# The title #\nbody\n")
    written(
        folder / "c.html",
        "<html><head><title> A  page </title><style>p{}</style></head><body><p>one<br>two &amp; <b>th</b>ree</body>",
    )
    written(folder / "latin.htm", '<meta charset="latin-1"><h1>Caf\u00e9</h1>'.encode("latin-1"))
    written(folder / "scan.pdf", b"%PDF")
    written(folder / ".git" / "x.txt", "hidden")
    reader = read_corpus(folder)
    assert list(reader) == [
        Document("a.txt", "plain"),
        Document("c.html", "one\ntwo & three", "A page"),
        Document("deep/b.md.gz", "intro\n\nbody", "The title"),
        Document("latin.htm", "Caf\u00e9", "Caf\u00e9"),
    ]
    assert reader.notes == (f"{folder}: 4 files read; left out: 1 .pdf",)
    with zipfile.ZipFile(tmp_path / "notes.zip", "w") as archive:
        for name in ("a.txt", "c.html"):
            archive.write(folder / name, name)
    assert [d.docno for d in read_corpus(tmp_path / "notes.zip")] == ["a.txt", "c.html"]
    written(folder / "bad.txt", b"\xff\xfe")
    with pytest.raises(DataError, match=r"bad\.txt: not UTF-8 .*iconv"):
        read_corpus(folder).check()
    with pytest.raises(DataError, match=r"a\.txt: is one text; give the folder"):
        open_dataset(folder / "a.txt")


@pytest.mark.parametrize(
    ("text", "title", "rest"),
    [
        ("# One\n## Two", "One", "## Two"),
        ("Under\n=====\nrest", "Under", "rest"),
        ("```\n# code\n```\n## Two\n", "Two", "```\n# code\n```"),
        ("text\n\n---\n", "", "text\n\n---\n"),
        ("#hash", "", "#hash"),
        ("---\ntags: [x]\ntitle: 'A b'\n---\n# C\n", "A b", "# C\n"),
        ("---\ntags: x\n---\n# C\nd", "C", "d"),
        ("---\nno end", "", "---\nno end"),
    ],
)
def test_titles_of_markdown(text: str, title: str, rest: str) -> None:
    assert split_markdown(text) == (title, rest)


def test_titles_of_pages() -> None:
    assert split_html("<h1>First</h1><h1>Second</h1><script>x<y</script>") == ("First", "First\nSecond")
    assert split_html("<title></title>no <i>tag</i>s") == ("", "no tags")
    assert split_html("<p>open <div>never closed") == ("", "open\nnever closed")


def test_a_folder_of_files_with_rows(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    written(folder / "1.jsonl", JSONL.splitlines()[0])
    written(folder / "2.csv.gz", 'id,text\nb,"falls, often"\n')
    written(folder / "queries.tsv", "1\ttea\n")
    written(folder / "qrels" / "test.tsv", "1 0 a 1\n")
    dataset = open_dataset(folder)
    assert list(dataset.corpus()) == BOTH
    assert [q.text for q in dataset.queries("test")] == ["tea"]
    written(folder / "3.jsonl", JSONL.splitlines()[0])
    dataset = open_dataset(folder)
    with pytest.raises(DataError, match=r"3\.jsonl:1: duplicate id 'a', first seen in .*1\.jsonl, line 1"):
        dataset.corpus().check()
    written(folder / "readme.txt", "x")
    with pytest.raises(
        DataError,
        match=r"holds 1 text files \(readme\.txt …\) and 3 with rows \(1\.jsonl …\); say --format text, or --format jsonl",
    ):
        open_dataset(folder)
    assert [d.docno for d in read_corpus(folder, form="text")] == ["readme.txt"]


def test_a_beir_folder_of_another_format(tmp_path: Path) -> None:
    written(tmp_path / "b" / "corpus.csv.gz", ROWS["table.csv"])
    written(tmp_path / "b" / "queries.jsonl.gz", '{"_id": "q", "text": "tea"}\n')
    written(tmp_path / "b" / "qrels" / "test.tsv.gz", "q 0 a 1\n")
    dataset = open_dataset(tmp_path / "b")
    assert (list(dataset.corpus()), dataset.qrels("test")) == (BOTH, {"q": {"a": 1}})
    assert [q.qid for q in dataset.queries("test")] == ["q"]


@pytest.mark.parametrize("name", ["corpus.jsonl", "array.json", "table.csv", "table.tsv"])
@pytest.mark.parametrize("packing", ["", ".gz"])
def test_standard_input(monkeypatch: pytest.MonkeyPatch, name: str, packing: str) -> None:
    content = ROWS[name].encode()
    stream = io.BytesIO(gzip.compress(content) if packing else content)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stream))
    dataset = open_dataset("-")
    reader = dataset.corpus()
    assert reader.check(["no such field"]) is None  # a stream is read once
    assert list(reader) == BOTH
    with pytest.raises(DataError, match="standard input: a stream can be read only once"):
        list(dataset.corpus())


def test_a_stream_of_unknown_format(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"once upon a time\n")))
    with pytest.raises(DataError, match="standard input: cannot tell its format by its first line, 'once upon"):
        open_dataset("-")
    for form in ("text", "parquet"):
        with pytest.raises(DataError, match=f"standard input: --format {form} needs files of its own"):
            open_dataset("-", form=form)


def test_numbers_that_end_after_the_sample_of_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = "".join(f"{i},t,{i}\n" for i in range(1000)) + "x,t,none\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"id,text,year\n" + rows.encode())))
    with pytest.raises(
        DataError, match=r"standard input:1002: 'year' is 'none', and the first 1000 rows hold whole numbers"
    ):
        list(read_corpus("-"))


def test_queries_from_pipes_and_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("1\ta b\n2\tc\n", '{"id": 1, "query": "a b"}\n{"qid": "2", "text": "c"}\n'):
        pipe = tmp_path / f"pipe{len(text)}"
        os.mkfifo(pipe)
        writer = threading.Thread(target=pipe.write_text, args=(text,))
        writer.start()
        assert [(q.qid, q.text) for q in read_queries(pipe)] == [("1", "a b"), ("2", "c")]
        writer.join()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        assert [q.qid for q in read_queries("-")] == ["1", "2"]


def test_fields_to_filter_by_are_looked_for_first(tmp_path: Path) -> None:
    lists = {"_id": "c", "text": "", "tags": ["x", "y"], "where": {"x": 1}}
    nested = written(tmp_path / "n.jsonl", json.dumps(lists) + "\n" + '{"_id": "d", "text": "", "tags": "z"}\n')
    assert read_corpus(nested).check(["tags"]) is not None
    with pytest.raises(DataError, match=r"n\.jsonl:1: 'where' holds objects or lists in lists, which searches cannot"):
        read_corpus(nested).check(["where"])
    path = written(tmp_path / "x.jsonl", JSONL + json.dumps({"_id": "c", "text": "", "year": "old", "n": [1]}) + "\n")
    with pytest.raises(
        DataError, match=r"x\.jsonl: no document has the field 'yaer' to filter by; did you mean 'year'\?"
    ):
        read_corpus(path).check(["title", "yaer"])
    with pytest.raises(DataError, match=r"x\.jsonl:3: 'year' is text, and a number before"):
        read_corpus(path).check(["year"])
