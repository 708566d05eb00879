"""Training pairs and triples: one content in every format, and what is not passed over."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from sparseir.data.pairs import read_scores, read_triples
from sparseir.errors import DataError, MissingExtraError

ROWS = [
    {"query": "cats, running", "positive": 'the "cats" run', "negatives": ["a dog", "a\tb"]},
    {"query": "weather", "positive": "rain", "negatives": ["sun", "a wing"]},
]
WANT = [
    (1, "cats, running", ('the "cats" run',), ("a dog", "a\tb")),
    (2, "weather", ("rain",), ("sun", "a wing")),
]


def content(path: Path) -> list[tuple[Any, ...]]:
    return [(t.line, t.query, t.positives, t.negatives) for t in read_triples(path)]


def written(folder: Path, text: str, name: str = "t.jsonl") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize(
    "names", [("query", "positive", "negatives"), ("anchor", "positive", "negs"), ("question", "pos", "neg")]
)
def test_json_lines_by_their_usual_names(tmp_path: Path, names: tuple[str, ...]) -> None:
    rows = [dict(zip(names, row.values(), strict=True)) | {"query_id": 7, "source": "x"} for row in ROWS]
    assert content(written(tmp_path, lines(*rows))) == WANT
    packed = tmp_path / "t.jsonl.gz"
    packed.write_bytes(gzip.compress(lines(*rows).encode()))
    assert content(packed) == WANT


def test_pairs_have_no_negatives(tmp_path: Path) -> None:
    path = written(
        tmp_path, lines({"anchor": "a", "positive": "b"}, {"anchor": "a", "positive": "c", "negative": None})
    )
    assert content(path) == [(1, "a", ("b",), ()), (2, "a", ("c",), ())]
    assert content(written(tmp_path, "a\tb\n", "t.tsv")) == [(1, "a", ("b",), ())]


def test_tsv_with_and_without_names(tmp_path: Path) -> None:
    """As in MS MARCO's triples, a quote is a quote."""
    body = 'cats\tthe "cats\ta dog\tsun\n'
    want = ("cats", ('the "cats',), ("a dog", "sun"))
    assert content(written(tmp_path, body, "t.tsv")) == [(1, *want)]
    assert content(written(tmp_path, "anchor\tpositive\tnegative_1\tnegative_2\n" + body, "n.tsv")) == [(2, *want)]
    listed = 'query\tpositive\tnegatives\tscores\nq\tp\t["a", "b"]\t[3, 1, 0.5]\n'
    (triple,) = read_triples(written(tmp_path, listed, "s.tsv"))
    assert (triple.negatives, triple.scores) == (("a", "b"), (3.0, 1.0, 0.5))


def test_csv_cells_hold_commas_quotes_and_line_ends(tmp_path: Path) -> None:
    body = 'query,positive,negative\n"cats, running","the ""cats"" run","a dog\nbarks"\nweather,rain,sun\n'
    want = [(2, "cats, running", ('the "cats" run',), ("a dog\nbarks",)), (4, "weather", ("rain",), ("sun",))]
    assert content(written(tmp_path, body, "t.csv")) == want
    assert content(written(tmp_path, 'query;positive;negative\na;b;"c;d"\n', "s.csv")) == [(2, "a", ("b",), ("c;d",))]
    with pytest.raises(DataError, match=r"w\.tsv:2: 3 cells, and the first line has 2"):
        content(written(tmp_path, "a\tb\na\tb\tc\n", "w.tsv"))
    with pytest.raises(DataError, match=r"u\.csv:2: 2 cells, and the header names 3 columns"):
        content(written(tmp_path, "query,positive,negative\na,b\n", "u.csv"))
    with pytest.raises(DataError, match=r"v\.csv:2: a cell that cannot be read"):
        content(written(tmp_path, 'query,positive\n"a"b,c\n', "v.csv"))


def test_parquet(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.Table.from_pylist(ROWS), tmp_path / "t.parquet")
    assert content(tmp_path / "t.parquet") == WANT
    (tmp_path / "u.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match=r"u\.parquet: no Parquet file, or a damaged one"):
        content(tmp_path / "u.parquet")


def test_a_saved_data_set(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    found = datasets.Dataset.from_list(ROWS)
    found.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": found, "test": found.select([0])}).save_to_disk(tmp_path / "splits")
    datasets.DatasetDict({"dev": found}).save_to_disk(tmp_path / "dev")
    assert content(tmp_path / "one") == WANT
    assert content(tmp_path / "splits") == WANT
    with pytest.raises(DataError, match=r"dev: no split 'train' \(found: dev\)"):
        content(tmp_path / "dev")
    next((tmp_path / "one").glob("*.arrow")).write_bytes(b"no arrow")
    with pytest.raises(DataError, match="not a data set that can be read"):
        content(tmp_path / "one")


def test_without_the_extra_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "datasets", None)
    written(tmp_path, "", "t.parquet")
    (tmp_path / "state.json").write_text("{}")
    for path, extra in ((tmp_path / "t.parquet", "parquet"), (tmp_path, "pairs")):
        with pytest.raises(MissingExtraError, match=rf"sparseir\[{extra}\]"):
            content(path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"query": "a"}, "missing key 'positive' (found: 'query')"),
        ({"positive": "b"}, "missing key 'query' (found: 'positive')"),
        (
            {"query": "a", "positive": "b", "negs": ["c"], "negatives": []},
            "'negs' beside negatives, positive, query is not under",
        ),
        (
            {"query": "a", "positive": "b", "negative_docs": ["c"]},
            "'negative_docs' beside positive, query is not understood",
        ),
        ({"query": "a", "positive": "b", "label": 0}, "'label' beside positive, query is not understood"),
        ({"query": "a", "positive": "b", "score": 0.3}, "'score' beside positive, query is not understood"),
        ({"query": "a", "positive": "b", "anchor": "c"}, "'anchor' beside positive, query is not understood"),
        ({"query": "a", "pos": [4], "neg": [5]}, "'pos' must be a list of strings, found int; ids are not looked up"),
        ({"query": 3, "positive": "b"}, "'query' must be a text, found '3'"),
        ({"query": " ", "positive": "b"}, "'query' must be a text"),
        ({"query": "a", "positive": ""}, "'positive' holds an empty text"),
        ({"query": "a", "positive": []}, "'positive' is empty"),
        ({"query": "a", "positive": "b", "negatives": ["c", "b"]}, "'b' is positive and negative at once"),
        (
            {"query": "a", "positive": "b", "negatives": ["c", "c"], "scores": [2, 1, 0]},
            "'negatives' holds a text twice",
        ),
        ({"query": "a", "positives": ["b", "c"], "scores": [2, 1]}, "'scores' of a row with 2 positives"),
        ({"query": "a", "positive": "b", "scores": [2, 1]}, "2 scores for 1 documents"),
        ({"query": "a", "positive": "b", "scores": ["x"]}, "'scores' must hold finite numbers"),
    ],
)
def test_what_could_be_lost_is_refused_with_its_line(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    path = written(tmp_path, lines(ROWS[0], row))
    with pytest.raises(DataError) as error:
        content(path)
    assert f"t.jsonl:2: {message}" in str(error.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [("t.txt", "unknown ending; expected .jsonl"), ("gone.jsonl", "no such file"), ("gone", "no such file or folder")],
)
def test_what_is_no_table_is_named(tmp_path: Path, name: str, message: str) -> None:
    written(tmp_path, "a\tb\n", "t.txt")
    with pytest.raises(DataError, match=message):
        content(tmp_path / name)
    with pytest.raises(DataError, match="a folder, but not one that `datasets` saved"):
        content(tmp_path)
    with pytest.raises(DataError, match="holds no rows"):
        content(written(tmp_path, "", "e.jsonl"))


def test_a_pair_scored_twice_and_differently_is_refused(tmp_path: Path) -> None:
    row = {"query": "q", "document": "d", "score": 1.0}
    assert read_scores(written(tmp_path, lines(row, row))) == {("q", "d"): 1.0}
    with pytest.raises(DataError, match=r"t\.jsonl:2: query 'q' and document 'd' had the score 1\.0 before"):
        read_scores(written(tmp_path, lines(row, row | {"score": 2.0})))
