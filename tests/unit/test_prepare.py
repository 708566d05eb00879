"""`sparseir data prepare`: every format, faulty lines of each, and what a folder refuses."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparseir import cli
from sparseir.data.lines import LineSource
from sparseir.data.prepared import prepare as stages
from sparseir.data.prepared import spool
from sparseir.data.prepared.folder import Prepared
from sparseir.data.prepared.pickled import pickled_scores
from sparseir.data.prepared.prepare import PrepareOptions, prepare
from sparseir.data.stores import write_texts
from sparseir.errors import ConfigError, DataError, SparseIRError

DOCUMENTS = ["the cats run", "dogs bark", "a wing", "heat"]
QUERIES = {"10": "cats", "11": "dogs"}


def write(path: Path, content: str | bytes | list[Any]) -> Path:
    if isinstance(content, list):
        content = "".join(json.dumps(row) + "\n" for row in content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.fixture
def texts(tmp_path: Path) -> dict[str, str]:
    documents = "".join(f"{i}\t{text}\n" for i, text in enumerate(DOCUMENTS))
    queries = "".join(f"{qid}\t{text}\n" for qid, text in QUERIES.items())
    return {
        "documents": str(write(tmp_path / "collection.tsv", documents)),
        "queries": str(write(tmp_path / "queries.tsv", queries)),
    }


def table(prepared: Prepared, role: Any, name: str) -> dict[str, dict[str, float | None]]:
    """A table by names."""
    found = prepared.table(role, name)
    out = {}
    for row in range(len(prepared.queries)):
        names = [prepared.documents.name(int(d)) for d in found.documents(row)]
        values = found.values(row).tolist() if found.has_values else [None] * len(names)
        if names:
            out[prepared.queries.name(row)] = dict(zip(names, values, strict=True))
    return out


BY_ID: dict[str, tuple[str | bytes | list[Any], dict[str, Any]]] = {
    "qidpidtriples.tsv": (
        "10\t0\t2\n10\t0\t1\n11\t1\t0\n",
        {
            "positives.f": {"10": {"0": 1}, "11": {"1": 1}},
            "negatives.f": {"10": {"1": None, "2": None}, "11": {"0": None}},
        },
    ),
    "qrels.train.tsv": ("10\t0\t0\t1\n11\t0\t1\t0\n", {"positives.f": {"10": {"0": 1}, "11": {"1": 0}}}),
    "beir.tsv": ("query-id\tcorpus-id\tscore\n10\t0\t2\n", {"positives.f": {"10": {"0": 2}}}),
    "run.trec": (
        "10 Q0 3 1 4.5 tag\n10 Q0 1 2 4.25 tag\n",
        {"negatives.f": {"10": {"1": None, "3": None}}, "scores.f": {"10": {"1": 4.25, "3": 4.5}}},
    ),
    "scores.tsv": ("10\t3\t-4.5\n", {"scores.f": {"10": {"3": -4.5}}}),
    "scores.jsonl": (
        [{"query": "10", "document": 3, "score": 1}, {"query": 10, "document": "2", "score": 0.5}],
        {"scores.f": {"10": {"2": 0.5, "3": 1}}},
    ),
    "hard.jsonl": (
        [
            {"qid": 10, "pos": [0], "neg": {"bm25": [1, 2], "dense/x": [3]}},
            {"qid": "11", "pos": [{"pid": 1, "ce-score": 2.5}], "neg": {"bm25": [{"pid": "0", "ce-score": -3}]}},
        ],
        {
            "positives.f": {"10": {"0": 1}, "11": {"1": 1}},
            "negatives.bm25": {"10": {"1": None, "2": None}, "11": {"0": None}},
            "negatives.dense-x": {"10": {"3": None}},
            "scores.f": {"11": {"0": -3, "1": 2.5}},
        },
    ),
    "flat.jsonl": (
        [{"qid": 10, "pos": 0, "neg": [1]}],
        {"positives.f": {"10": {"0": 1}}, "negatives.f": {"10": {"1": None}}},
    ),
    "opensearch.jsonl": (
        [{"query": "10", "docs": ["1", "0", "3"], "scores": [0.5, 2, -1]}],
        {
            "positives.f": {"10": {"0": 1}},
            "negatives.f": {"10": {"1": None, "3": None}},
            "scores.f": {"10": {"0": 2, "1": 0.5, "3": -1}},
        },
    ),
    "tevatron.jsonl": (
        [
            {
                "query_id": "10",
                "query": "cats",
                "positive_passages": [{"docid": "0", "title": "", "text": "the cats run"}],
                "negative_passages": [{"docid": "2", "title": "", "text": "a wing"}],
            }
        ],
        {"positives.f": {"10": {"0": 1}}, "negatives.f": {"10": {"2": None}}},
    ),
    "scores.pkl.gz": (
        gzip.compress(pickle.dumps({10: {0: 9.5, 3: -2}, 11: {1: 1}})),
        {"scores.f": {"10": {"0": 9.5, "3": -2}, "11": {"1": 1}}},
    ),
}


@pytest.mark.parametrize("name", BY_ID)
def test_every_format_by_id_becomes_its_tables(texts: dict[str, str], tmp_path: Path, name: str) -> None:
    content, expected = BY_ID[name]
    file = write(tmp_path / name, content)
    prepared = prepare(tmp_path / "p", PrepareOptions(**texts, pairs=(f"f={file}",)))
    found = {f"{role}.{n}" for role in ("positives", "negatives", "scores") for n in prepared.names(role)}  # type: ignore[arg-type]
    assert found == set(expected)
    for place, want in expected.items():
        role, _, table_name = place.partition(".")
        assert table(prepared, role, table_name) == want
    prepared.verify()
    assert not (tmp_path / "p" / "spool" / "f").exists()


BY_TEXT: dict[str, str | list[Any]] = {
    "triples.jsonl": [
        {"query": "cats", "pos": "the cats run", "negs": ["a wing"], "scores": [3, 1]},
        {"query": "dogs", "pos": "a wing", "negs": ["the cats run"], "scores": [2, 0]},
    ],
    "opensearch.jsonl": [
        {"query": "cats", "docs": ["a wing", "the cats run"], "scores": [1, 3]},
        {"query": "dogs", "docs": ["a wing", "the cats run"], "scores": [2, 0]},
    ],
    "tevatron.jsonl": [
        {
            "query_id": "q",
            "query": "cats",
            "positive_passages": [{"docid": "x", "title": "the", "text": "cats run"}],
            "negative_passages": [{"docid": "y", "text": "a wing"}],
        },
        {
            "query_id": "r",
            "query": "dogs",
            "positive_passages": [{"docid": "y", "text": "a wing"}],
            "negative_passages": [{"docid": "x", "title": "the", "text": "cats run"}],
        },
    ],
    "triples.tsv": "cats\tthe cats run\ta wing\ndogs\ta wing\tthe cats run\n",
}


@pytest.mark.parametrize("name", BY_TEXT)
def test_texts_of_pairs_are_stored_once(tmp_path: Path, name: str) -> None:
    file = write(tmp_path / name, BY_TEXT[name])
    prepared = prepare(tmp_path / "p", PrepareOptions(pairs=(str(file),)))
    assert sorted(prepared.documents) == ["a wing", "the cats run"]
    assert sorted(prepared.queries) == ["cats", "dogs"]
    stem = name.split(".")[0]
    for row, answer in ((0, "the cats run"), (1, "a wing")):
        positives = prepared.table("positives", stem).documents(row)
        negatives = prepared.table("negatives", stem).documents(row)
        assert [prepared.documents[int(d)] for d in positives] == [answer]
        assert [prepared.documents[int(d)] for d in negatives] == ["the cats run" if row else "a wing"]
    if "scores" in str(BY_TEXT[name]):
        assert prepared.table("scores", stem).find(0, prepared.table("positives", stem).documents(0)).tolist() == [3.0]


FAULTS: list[tuple[str, str | bytes | list[Any], str]] = [
    (
        "qidpidtriples.tsv",
        "10\t0\t2\n10\t0\n",
        r"qidpidtriples\.tsv:2: expected qid<TAB>positive<TAB>negative; found 2 col",
    ),
    ("qidpidtriples.tsv", "10\t0\t2\n10\t0\t0\n", r"\.tsv:2: document '0' is positive and negative at once"),
    ("qidpidtriples.tsv", "10\t0\t2\n10\t0\t99\n", r"\.tsv:2: document '99' is not among the documents of this folder"),
    ("qidpidtriples.tsv", "10\t0\t2\n12\t0\t1\n", r"\.tsv:2: query '12' is not among the queries of this folder"),
    ("qrels.tsv", "10\t0\t0\t1\n10\t0\t1\tx\n", r"qrels\.tsv:2: relevance 'x' is not an integer"),
    ("qrels.tsv", "10\t0\t0\t1\n10\t0\t0\t2\n", r"qrels\.tsv:2: a query and a document have 2 here and 1 on line 1"),
    ("run.trec", "10 Q0 3 1 4.5 tag\n10 Q0 1 2 4.5\n", r"run\.trec:2: expected the six columns"),
    ("run.trec", "10 Q0 3 1 nan tag\n", r"run\.trec:1: score 'nan' is no finite number"),
    ("scores.tsv", "10\t3\t1.5\n10\t2\tx\n", r"scores\.tsv:2: score 'x' is no finite number"),
    ("s.jsonl", [{"query": "10", "document": "3", "score": None}], r"s\.jsonl:1: score None is no finite"),
    ("s.jsonl", '{"query": "10", "document": "3", "score": NaN}\n', r"s\.jsonl:1: not valid JSON: .*NaN"),
    ("s.jsonl", [{"query": "10", "document": "3", "score": True}], r"s\.jsonl:1: score True is no finite"),
    (
        "s.jsonl",
        [{"query": "10", "document": "3", "score": 1}, {"query": "10", "document": "3", "score": 2}],
        r"s\.jsonl:2: a query and a document have 2 here and 1 on line 1",
    ),
    ("h.jsonl", [{"qid": 10, "pos": [], "neg": [1]}], r"h\.jsonl:1: 'pos' is empty"),
    ("h.jsonl", [{"qid": 10, "pos": [0], "neg": {"a": [0]}}], r"h\.jsonl:1: document '0' is positive and negative"),
    ("h.jsonl", [{"qid": 10, "pos": [0.5]}], r"h\.jsonl:1: 'pos' must be an id, .* found 0\.5"),
    ("h.jsonl", [{"qid": 10, "pos": [0]}, {"qid": 10, "pos": [{"x": 1}]}], r"h\.jsonl:2: 'pos\.pid' must be an id"),
    ("o.jsonl", [{"query": 10, "docs": [0, 1], "scores": [1]}], r"o\.jsonl:1: 1 scores for 2 documents"),
    ("o.jsonl", [{"query": 10, "docs": [1, 1]}], r"o\.jsonl:1: 'docs' is empty, or holds a document twice"),
    ("t.jsonl", [{"query_id": 10, "positive_passages": []}], r"t\.jsonl:1: 'positive_passages' is empty"),
    ("t.jsonl", [{"query_id": 10, "positive_passages": ["x"]}], r"t\.jsonl:1: 'positive_passages' must hold objects"),
    ("x.tsv", "10\t0\t1\n", r"x\.tsv: its first line, .* does not show its format; say \[NAME\]:FORMAT="),
    (
        "x.jsonl",
        [{"query": "a", "pos": "b", "negs": ["c"]}],
        r"x\.jsonl: holds texts \(text-triples\), and documents are given by id",
    ),
    ("e.jsonl", "", r"e\.jsonl: holds no pairs"),
    ("s.pkl", pickle.dumps({10: {0: "1"}}), r"s\.pkl: byte \d+: entry 1: the score of '0' is '1'"),
    ("s.pkl", pickle.dumps({10: {0: 1.0}})[:-4], r"s\.pkl: not a pickle of .* or one that was cut"),
    ("s.pkl", pickle.dumps([1, 2]), r"s\.pkl: byte \d+: its opcode EMPTY_LIST makes something else"),
    ("s.pkl", pickle.dumps({10: {0: np.float32(1)}}), r"s\.pkl: byte \d+: its opcode \w+ makes something else"),
]


@pytest.mark.parametrize(("name", "content", "message"), FAULTS)
def test_a_fault_names_file_and_line(
    texts: dict[str, str], tmp_path: Path, name: str, content: str | bytes | list[Any], message: str
) -> None:
    file = write(tmp_path / name, content)
    with pytest.raises(DataError, match=message):
        prepare(tmp_path / "p", PrepareOptions(**texts, pairs=(str(file),)))
    file.unlink()
    good = write(tmp_path / "qrels.good.tsv", "10\t0\t0\t1\n")
    prepared = prepare(tmp_path / "p", PrepareOptions(**texts, pairs=(str(good),), resume=True))  # nothing was lost
    assert len(prepared.documents) == 4


PASSAGE = {"docid": "x", "text": "cats"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.jsonl", [{"query": "a", "pos": "b"}, {"query": "a", "negs": ["b"]}], r"t\.jsonl:2: missing key 'positive'"),
        ("t.jsonl", [{"query": "a", "pos": "b", "negs": [3]}], r"t\.jsonl:1: 'negs' must be a list of strings"),
        ("t.tsv", "a b\tc\td\na b\tc\n", r"t\.tsv:2: 2 cells, and the first line has 3"),
        (
            "t.jsonl",
            [{"query": "a", "pos": "b", "negs": ["c"], "scores": [1, 2]}, {"query": "a", "pos": "b", "scores": [3]}],
            r"t\.jsonl:2: a query and a document have 3 here and 1 on line 1",
        ),
        (
            "o.jsonl",
            [{"query": "a", "docs": ["x y", " "]}],
            r"o\.jsonl:1: 'query' must be a text and 'docs' a list of texts",
        ),
        (
            "o.jsonl",
            [{"query": "a", "docs": ["x y"]}, {"query": "a", "docs": "z"}],
            r"o\.jsonl:2: 'query' must be a text",
        ),
        ("o.jsonl", [{"query": "a", "docs": ["x y", "z"], "scores": [1, "q"]}], r"o\.jsonl:1: score 'q' is no finite"),
        (
            "v.jsonl",
            [{"query_id": "q", "query": "a", "positive_passages": [{"docid": "x"}]}],
            r"v\.jsonl:1: missing key 'text'",
        ),
        ("v.jsonl", [{"query_id": "q", "positive_passages": [PASSAGE]}], r"v\.jsonl:1: missing key 'query'"),
        (
            "v.jsonl",
            [{"query_id": "q", "query": "a", "positive_passages": [{"text": "x"}]}],
            r"'positive_passages\.docid' must be",
        ),
        (
            "q.qrels.tsv",
            "query-id\tcorpus-id\tscore\n1\t2\t1\n",
            r"names documents by id \(qrels\); give --documents and",
        ),
    ],
)
def test_a_fault_of_a_file_with_texts_names_file_and_line(
    tmp_path: Path, name: str, content: str | list[Any], message: str
) -> None:
    file = write(tmp_path / name, content)
    with pytest.raises(DataError, match=message):
        prepare(tmp_path / "p", PrepareOptions(pairs=(str(file),)))


class Hostile:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_runs_nothing_and_its_scores_are_those_of_pickle(tmp_path: Path, protocol: int) -> None:
    trace = tmp_path / "trace"
    file = write(tmp_path / "s.pkl", pickle.dumps({1: {2: Hostile(trace)}}, protocol))
    with pytest.raises(DataError, match="is not run"):
        list(pickled_scores(LineSource(file)))
    assert not trace.exists()
    same = "doc"
    given = {"q": {same: 1.5, "e": -2}, 7: {same: 3.0, 2**40: 1}, "empty": {}}
    file = write(tmp_path / "s.pkl", pickle.dumps(given, protocol))
    assert {query: scores for _, query, scores in pickled_scores(LineSource(file))} == given


def opcodes(*rows: tuple[int, list[tuple[int, float]]]) -> bytes:
    """A pickle of {query: {document: score}} whose keys may repeat, which no dictionary of Python's can."""
    out = b"\x80\x02}("
    for query, scores in rows:
        items = b"".join(b"K" + bytes([document]) + b"G" + struct.pack(">d", score) for document, score in scores)
        out += b"K" + bytes([query]) + b"}(" + items + b"u"
    return out + b"u."


TWO = "a query and a document have"
PICKLES: dict[str, tuple[bytes, str]] = {
    "no number": (pickle.dumps({10: {0: 1.0}, 11: {1: float("nan")}}), r"byte \d+: entry 2: the score of '1' is nan; a score"),
    "infinite": (pickle.dumps({10: {0: float("-inf")}}), r"byte \d+: entry 1: the score of '0' is -inf; a score is a number"),
    "not in 32 bits": (pickle.dumps({10: {0: 1e300}}), r"byte \d+: entry 1: the score of '0' is 1e\+300; a score .* 3e\+38"),
    "a whole number": (pickle.dumps({10: {0: 10**400}}), r"byte \d+: entry 1: the score of '0' is 1000+; a score"),
    "unknown query": (pickle.dumps({10: {0: 1.0}, 12: {0: 1.0}}), "2: query '12' is not among the queries of this folder"),
    "unknown document": (pickle.dumps({10: {0: 1.0, 9: 1.0}}), "1: document '9' is not among the documents of this folder"),
    "a query twice": (opcodes((10, [(0, 1.0)]), (10, [(0, 2.0)])), f"2: {TWO} 2 here and 1 on line 1"),
    "a query in two spellings": (pickle.dumps({10: {0: 1.0}, "10": {0: 2.0}}), f"2: {TWO} 2 here and 1 on line 1"),
    "a document twice": (opcodes((11, []), (10, [(0, 1.0), (0, 2.0)])), r"byte \d+: entry 2: '0' has the score 1.0 and the score 2.0"),
    "a document in two spellings": (pickle.dumps({10: {0: 1.0, "0": 2.0}}), f"1: {TWO} 2 here and 1 on the same line"),
    "names that are no names": (pickle.dumps({10: {0.5: 1.0}}), r"byte \d+: entry 1: a document is called 0.5"),
    "a dictionary as a name": (b"\x80\x02}(}}K\x01su.", "not a pickle of"),
    "nothing": (pickle.dumps({10: {}, 11: {}}), "holds no pairs"),
}  # fmt: skip


@pytest.mark.parametrize("name", PICKLES)
def test_a_fault_of_a_pickle_names_the_file_and_what_is_wrong(texts: dict[str, str], tmp_path: Path, name: str) -> None:
    content, message = PICKLES[name]
    file = write(tmp_path / "ce.pkl", content)
    with pytest.raises(DataError, match=rf"ce\.pkl:? ?{message}") as caught:
        prepare(tmp_path / "p", PrepareOptions(**texts, pairs=(str(file),)))
    assert "\n" not in str(caught.value)
    assert not Prepared(tmp_path / "p").names("scores")


def test_a_pair_that_a_pickle_scores_twice_alike_is_one(texts: dict[str, str], tmp_path: Path) -> None:
    for number, content in enumerate((
        opcodes((10, [(0, 1.5), (0, 1.5)]), (10, [(0, 1.5), (3, 2.0)])),
        pickle.dumps({10: {0: 1.5, "0": 1.5}, "10": {3: 2}}),
    )):  # fmt: skip
        file = write(tmp_path / "ce.pkl", content)
        prepared = prepare(tmp_path / f"p{number}", PrepareOptions(**texts, pairs=(f"f={file}",)))
        assert table(prepared, "scores", "f") == {"10": {"0": 1.5, "3": 2.0}}


def test_unknown_ids_are_left_out_with_their_number_where_that_is_asked_for(
    texts: dict[str, str], tmp_path: Path
) -> None:
    file = write(tmp_path / "qidpidtriples.tsv", "10\t0\t99\n12\t0\t1\n")
    notes: list[str] = []
    options = PrepareOptions(**texts, pairs=(f"f={file}",), skip_unknown=True)
    prepared = prepare(tmp_path / "p", options, note=notes.append)
    assert table(prepared, "positives", "f") == {"10": {"0": 1}}
    assert notes == [f"{file}: 3 pairs name ids that are not in this folder; they are left out"]


def test_a_folder_is_neither_replaced_nor_mixed_up(texts: dict[str, str], tmp_path: Path) -> None:
    prepare(tmp_path / "p", PrepareOptions(**texts))
    with pytest.raises(ConfigError, match="is there already; --resume"):
        prepare(tmp_path / "p", PrepareOptions(**texts))
    write(tmp_path / "other.tsv", "0\tx\n")
    other = {**texts, "documents": str(tmp_path / "other.tsv")}
    with pytest.raises(DataError, match=r"its documents were made of .*collection\.tsv as it was then"):
        prepare(tmp_path / "p", PrepareOptions(**other, resume=True))
    assert len(prepare(tmp_path / "p", PrepareOptions(**other, overwrite=True)).documents) == 1
    (tmp_path / "mine").mkdir()
    write(tmp_path / "mine" / "notes.txt", "keep")
    with pytest.raises(ConfigError, match="is no folder that sparseir prepared"):
        prepare(tmp_path / "mine", PrepareOptions(**texts, overwrite=True))
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep"
    with pytest.raises(ConfigError, match="give --documents and --queries, or neither"):
        prepare(tmp_path / "q", PrepareOptions(documents=texts["documents"]))


def test_a_table_of_other_texts_is_refused(texts: dict[str, str], tmp_path: Path) -> None:
    file = write(tmp_path / "qrels.tsv", "10\t0\t0\t1\n")
    prepare(tmp_path / "p", PrepareOptions(**texts, pairs=(f"f={file}",)))
    write(Path(texts["documents"]), "0\ta\n1\tb\n2\tc\n3\td\n")
    prepare(tmp_path / "q", PrepareOptions(**texts, pairs=(f"f={file}",)))
    (tmp_path / "p" / "tables").rename(tmp_path / "q" / "tables2")
    (tmp_path / "q" / "tables").rename(tmp_path / "q" / "tables1")
    (tmp_path / "q" / "tables2").rename(tmp_path / "q" / "tables")
    with pytest.raises(DataError, match=r"positives 'f' belongs to other texts"):
        Prepared(tmp_path / "q").table("positives", "f")


def test_a_full_disk_says_how_to_go_on_and_loses_nothing(
    texts: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "qidpidtriples.tsv", "10\t0\t2\n11\t1\t0\n")
    options = PrepareOptions(**texts, pairs=(f"f={file}",), resume=True)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    for module, name in ((write_texts._Writer, "_write"), (spool, "write_run")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, full)
            with pytest.raises(
                SparseIRError, match=r"No space left on device.*--resume: what was finished before stays"
            ):
                prepare(tmp_path / "p", options)
    assert table(prepare(tmp_path / "p", options), "negatives", "f") == {"10": {"2": None}, "11": {"0": None}}


KILLED_AT = {
    "documents": "documents/writing.json",
    "queries": "queries/writing.json",
    "pairs": "spool/qidpidtriples/state.json",
    "merging": "tables/negatives.qidpidtriples.part",
}


@pytest.mark.slow
@pytest.mark.parametrize("stage", KILLED_AT)
def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path: Path, stage: str) -> None:
    """Killed as soon as a stage has left its first trace on the disk."""
    write(tmp_path / "collection.tsv", "".join(f"{i}\tpassage {i} of {i % 7} words\n" for i in range(30_500)))
    write(tmp_path / "queries.tsv", "".join(f"{i}\tquery {i}\n" for i in range(10_000)))
    triples = "".join(f"{i % 10_000}\t{i}\t{(7 * i + 1) % 30_000}\n" for i in range(30_000))
    write(tmp_path / "qidpidtriples.tsv", triples)
    words = [
        "data", "prepare", str(tmp_path / "p"), "--documents", str(tmp_path / "collection.tsv"), "--queries",
        str(tmp_path / "queries.tsv"), "--pairs", str(tmp_path / "qidpidtriples.tsv"), "--resume", "-q",
    ]  # fmt: skip
    script = (
        "import sys; from sparseir.data.stores import write_texts; from sparseir.data.prepared import spool; "
        "write_texts._STEP = 2000; spool.RUN_PAIRS = 8000; spool._LOOKED_UP = 2000; "
        "from sparseir import cli; sys.exit(cli.run(sys.argv[1:]))"
    )
    process = subprocess.Popen([sys.executable, "-c", script, *words])
    while process.poll() is None and not (tmp_path / "p" / KILLED_AT[stage]).exists():
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for folder in ("p", "whole"):
        given = [word.replace(str(tmp_path / "p"), str(tmp_path / folder)) for word in words]
        assert subprocess.run([sys.executable, "-c", script, *given], check=False).returncode == 0
    for path in sorted((tmp_path / "whole").rglob("*.bin")):
        assert path.read_bytes() == (tmp_path / "p" / path.relative_to(tmp_path / "whole")).read_bytes()
    Prepared(tmp_path / "p").verify()


def test_a_run_that_stops_between_two_states_goes_on(
    texts: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped at every state of a run whose steps are one text and one line, it ends with the same tables each time."""
    monkeypatch.setattr(write_texts, "_STEP", 3)  # the last text comes after the last step
    monkeypatch.setattr(spool, "RUN_PAIRS", 1)
    monkeypatch.setattr(spool, "_LOOKED_UP", 1)
    file = write(tmp_path / "qidpidtriples.tsv", "10\t0\t2\n11\t1\t0\n10\t0\t3\n")
    options = PrepareOptions(**texts, pairs=(f"f={file}",), resume=True)
    count = 0

    def stop_after(limit: int) -> Callable[[str, int, int | None], None]:
        left = [limit]

        def progress(stage: str, done: int, total: int | None) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt

        return progress

    for limit in range(14):
        try:
            prepared = prepare(tmp_path / f"p{limit}", options, progress=stop_after(limit))
        except KeyboardInterrupt:
            count += 1
            prepared = prepare(tmp_path / f"p{limit}", options)
        want = {"10": {"2": None, "3": None}, "11": {"0": None}}
        assert table(prepared, "negatives", "f") == want
        assert list(prepared.documents) == DOCUMENTS
    assert count > 5


def test_a_source_that_changed_under_a_stopped_run_is_refused(
    texts: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_texts, "_STEP", 2)

    def stop(stage: str, done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(tmp_path / "p", PrepareOptions(**texts), progress=stop)
    write(Path(texts["documents"]), "0\tother\n1\ttexts\n2\tnow\n")
    with pytest.raises(DataError, match="the first 2 texts differ from those of the run that was stopped"):
        prepare(tmp_path / "p", PrepareOptions(**texts, resume=True))


def test_the_commands(texts: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "qrels.tsv", "10\t0\t0\t1\n")
    words = ["data", "prepare", str(tmp_path / "p"), "--documents", texts["documents"], "--queries", texts["queries"]]
    assert cli.run([*words, "--pairs", str(file), "--json", "-q"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["documents"], summary["queries"]) == (4, 2)
    assert summary["tables"]["positives.qrels"]["pairs"] == 1
    assert cli.run(["data", "verify", str(tmp_path / "p"), "-q", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sound"] is True
    assert cli.run(["data", "inspect", str(tmp_path / "p")]) == 0
    assert "positives.qrels" in capsys.readouterr().out
    content = bytearray((tmp_path / "p" / "documents" / "texts.bin").read_bytes())
    content[3] ^= 1
    (tmp_path / "p" / "documents" / "texts.bin").write_bytes(bytes(content))
    assert cli.run(["data", "verify", str(tmp_path / "p"), "-q"]) == 1
    assert "checksum differs" in capsys.readouterr().err
    assert cli.run([*words, "--resume", "--overwrite"]) == 2
    for wrong in (["--pairs", "x:other=f"], ["--queries", "q.tsv"], []):
        assert cli.run(["data", "prepare", str(tmp_path / "new"), *wrong]) == 2
        assert not (tmp_path / "new").exists()
    assert stages.FORM == "sparseir prepared"
