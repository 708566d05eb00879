"""Collections of ir_datasets: those of a registry made here, and of the package itself where it is installed."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections import namedtuple
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import pytest

from sparseir import cli
from sparseir.data import open_dataset, open_datasets
from sparseir.data.corpus.fields import FieldMap
from sparseir.errors import ConfigError, DataError, MissingExtraError
from sparseir.evaluate.references import check
from tests.tiny_collections import write_collection

Query = namedtuple("Query", ["query_id", "text"])
Judgement = namedtuple("Judgement", ["query_id", "doc_id", "relevance", "iteration"])


class Article(NamedTuple):
    doc_id: str
    headline: str
    body: str
    year: int
    authors: list[str]
    raw: bytes

    def default_text(self) -> str:
        return f"{self.headline} {self.body}"


class Topic(NamedTuple):
    query_id: str
    title: str
    narrative: str

    def default_text(self) -> str:
        return self.title


def registered(documents: list[Any], queries: list[Any], qrels: list[Any]) -> Any:
    """What `ir_datasets.load` gives."""
    return SimpleNamespace(
        has_docs=lambda: bool(documents), docs_iter=lambda: iter(documents),
        has_queries=lambda: bool(queries), queries_iter=lambda: iter(queries),
        has_qrels=lambda: bool(qrels), qrels_iter=lambda: iter(qrels),
    )  # fmt: skip


def failing() -> Any:
    raise OSError("no route to host")
    yield


ARTICLES = [
    Article("a1", "Cats", "sit on mats", 1999, ["Smith", "Jones"], b"\x00"),
    Article("a2", "Rain", "falls in the park", 2004, [], b"\x00"),
]
TOPICS = [Topic("1", "cats", "Documents on cats."), Topic("2", "weather", "Rain counts.")]
JUDGED = [Judgement("1", "a1", 2, "0"), Judgement("2", "a2", 1, "0")]


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    module = ModuleType("ir_datasets")
    known = {
        "news": registered(ARTICLES, TOPICS, []),
        "news/test": registered(ARTICLES, TOPICS, JUDGED),
        "news/dev/small": registered(ARTICLES, TOPICS, JUDGED),
        "news/trec-2000": registered(ARTICLES, TOPICS, JUDGED),
        "topics": registered([], TOPICS, []),
        "far": registered(ARTICLES, [], []),
    }
    known["far"].docs_iter = failing
    module.registry = list(known)  # type: ignore[attr-defined]
    module.load = lambda name: known[name]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ir_datasets", module)
    return known


def test_documents_queries_and_judgements(registry: dict[str, Any]) -> None:
    dataset = open_dataset("irds:news/test")
    assert dataset.name == "news/test"
    first, second = dataset.corpus()
    assert (first.docno, first.title, first.text) == ("a1", "", "Cats sit on mats")
    assert first.fields == {"headline": "Cats", "body": "sit on mats", "year": 1999, "authors": ["Smith", "Jones"]}
    assert second.docno == "a2"
    assert [d.docno for d in dataset.corpus()] == ["a1", "a2"]  # as often as it is asked for
    assert [(q.qid, q.text) for q in dataset.queries("test")] == [("1", "cats"), ("2", "weather")]
    assert dataset.qrels("test") == {"1": {"a1": 2}, "2": {"a2": 1}}
    assert [d.name for d in open_datasets("irds:news/test")] == ["news/test"]


def test_keys_may_be_named(registry: dict[str, Any]) -> None:
    fields = FieldMap.parse("text=body,title=headline")
    first = next(open_dataset("irds:news", fields=fields).corpus())
    assert (first.title, first.text) == ("Cats", "sit on mats")


@pytest.mark.parametrize(
    ("name", "splits"),
    [("news/test", ("test",)), ("news/dev/small", ("dev", "small")), ("news/trec-2000", ("test", "trec-2000"))],
)
def test_the_parts_of_an_id_name_its_splits(registry: dict[str, Any], name: str, splits: tuple[str, ...]) -> None:
    assert open_dataset(f"irds:{name}").splits == splits


def test_what_cannot_be_read_is_said(registry: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"ir_datasets has no 'news/tset'; did you mean 'irds:news/test'\?"):
        open_dataset("irds:news/tset")
    with pytest.raises(DataError, match="irds:topics: has no documents"):
        open_dataset("irds:topics")
    with pytest.raises(DataError, match="irds:news: has no judgements for split 'test'"):
        open_dataset("irds:news").qrels("test")
    with pytest.raises(DataError, match=r"cannot give record 1 \(OSError: no route to host\)"):
        next(open_dataset("irds:far").corpus())
    with pytest.raises(ConfigError, match="--format is of files"):
        open_dataset("irds:news", form="csv")


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ir_datasets", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'sparseir\[ir-datasets\]'"):
        open_dataset("irds:news")


def test_commands_take_it(registry: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ir_measures", reason="the extra 'evaluate' is not installed")
    index = tmp_path / "index"
    assert cli.run(["index", "build", str(index), "--bm25", "--corpus", "irds:news/test", "--metadata", "year"]) == 0
    assert cli.run(["search", str(index), "rain", "--filter", "year>=2000", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["docno"] == "a2"
    assert cli.run(["evaluate", "irds:news/test", "--measures", "RR@10", "--json", "--resamples", "100"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["dataset"], found["measures"]) == ("news/test", {"RR@10": 0.5})  # no document says weather


@pytest.mark.skipif(importlib.util.find_spec("ir_datasets") is None, reason="the extra 'ir-datasets' is not installed")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::SyntaxWarning", "ignore::ResourceWarning")
def test_the_package_itself_gives_what_the_files_say(tmp_path: Path) -> None:
    import ir_datasets

    folder = write_collection(tmp_path / "tiny", ("test",))
    files = open_dataset(folder)
    rows = list(files.corpus())
    (tmp_path / "docs.tsv").write_text("".join(f"{d.docno}\t{d.text}\n" for d in rows))
    (tmp_path / "queries.tsv").write_text("".join(f"{q.qid}\t{q.text}\n" for q in files.queries()))
    qrels = files.qrels("test")
    (tmp_path / "qrels.txt").write_text("".join(f"{q} 0 {d} {g}\n" for q, row in qrels.items() for d, g in row.items()))
    made = ir_datasets.create_dataset(
        docs_tsv=str(tmp_path / "docs.tsv"),
        queries_tsv=str(tmp_path / "queries.tsv"),
        qrels_trec=str(tmp_path / "qrels.txt"),
    )
    ir_datasets.registry.register("sparseir-tiny/test", made)
    read = open_dataset("irds:sparseir-tiny/test")
    assert [(d.docno, d.text) for d in read.corpus()] == [(d.docno, d.text) for d in rows]
    assert read.queries("test") == files.queries("test")
    assert read.qrels("test") == qrels


def test_collections_of_beir_have_their_known_figures_under_both_names() -> None:
    sizes = (5183, 300, "BM25", {"nDCG@10": 0.6762})
    for name in ("scifact", "beir/scifact", "beir/scifact/test"):
        found = check(name, "test", *sizes)
        assert found is not None
        assert found.passed
    assert check("beir/scifact/train", "train", *sizes) is None
    assert check("lotte/scifact/test", "test", *sizes) is None
    assert check("beir", "test", *sizes) is None
