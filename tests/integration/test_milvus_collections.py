"""A collection of Milvus gives the hits of an index folder, through building, adding, replacing and deleting."""

import json
import shutil

import numpy as np
import pytest

from indexer import open_index
from indexer.progress import silent
from sparseir.cli import run
from sparseir.encode import collection_load as load
from sparseir.encode.options import IndexingOptions
from sparseir.errors import ConfigError
from sparseir.search.searcher import Searcher
from sparseir.search.stores.client import StoreClient, StoreError
from sparseir.search.stores.places import store_place

pytestmark = pytest.mark.filterwarnings("ignore")
WORDS = ["apple", "bread", "cheese", "dates", "eggs", "figs", "grapes", "honey", "ice", "jam"]
QUERIES = ["apple honey", "figs", "jam bread eggs", "new dates", "nothing"]


@pytest.fixture(autouse=True)
def _staged_here(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.fixture
def lite():
    """Opens a file by milvus-lite, which may take long to start on a busy machine."""
    pytest.importorskip("milvus_lite", reason="milvus-lite==2.5.1 is not installed")
    from pymilvus import MilvusClient

    return lambda place: MilvusClient(place.uri, timeout=120)


def corpus(path, numbers, seed):
    rng = np.random.default_rng(seed)
    with path.open("w") as file:
        for i in numbers:
            text = " ".join(rng.choice(WORDS, rng.integers(3, 40))) + (" new" if seed else "")
            file.write(json.dumps({"_id": f"d{i}", "title": "", "text": text, "year": 1990 + i % 20}) + "\n")
    return str(path)


def same(place, folder, **more):
    ours, theirs = Searcher.open(folder), Searcher.open(place)
    assert theirs.index.num_docs == ours.index.num_docs
    for query in QUERIES:
        a, b = ours.search(query, 200, **more), theirs.search(query, 200, **more)
        assert b.scores.tolist() == a.scores.tolist()
        assert b.docnos == a.docnos  # k is above the matches: no ties are cut


def sparseir(*arguments):
    assert run([*map(str, arguments)]) == 0


class Dropping:
    """A client whose connection goes after some requests of a kind."""

    def __init__(self, client, **left):
        self._client, self._left = client, left

    def __getattr__(self, name):
        return self._counted(name, getattr(self._client, name)) if name in self._left else getattr(self._client, name)

    def _counted(self, name, call):
        def counted(*arguments, **more):
            if name == "upsert" and not str(arguments[0]).endswith("_sparseir"):
                raise AssertionError("documents are written as packed rows")
            self._left[name] -= 1
            if self._left[name] < 0:
                raise ConnectionError("connection reset")
            return call(*arguments, **more)

        return counted


def test_hits_are_those_of_a_folder(tmp_path, lite, capsys):
    first, second = corpus(tmp_path / "a.jsonl", range(150), 0), corpus(tmp_path / "b.jsonl", range(130, 190), 1)
    place, folder = f"milvus://{tmp_path}/m.db/words", tmp_path / "words"
    for target in (place, folder):
        sparseir("index", "build", target, "--bm25", "--corpus", first, "--metadata", "year", "-q")
    assert f"{place}: 150 documents" in capsys.readouterr().out
    same(place, folder)
    for condition in (
        "year>=2000",
        "year in (1991, 1992)",
        "year!=1991 or year<1993",
        "not (year=1991 or year in (1992, 1995))",
    ):
        same(place, folder, filter=condition)
    same(place, folder, filter=["d3", "d17", "absent"])
    many = f"year in ({', '.join(map(str, range(5000)))})"
    for words in (["search", place, "jam"], ["index", "delete", place]):
        assert run([*words, "--filter", many]) == 2
        assert "Milvus would compare 5,000 values of each document" in capsys.readouterr().err
    assert run(["index", "add", place, "--corpus", second, "-q"]) == 1  # names that are there
    same(place, folder)
    for target in (place, folder):
        sparseir("index", "add", target, "--corpus", second, "--replace", "-q")
        sparseir("index", "delete", target, "--id", "d3")
    same(place, folder)
    theirs, ours = Searcher.open(place), Searcher.open(folder)
    said = capsys.readouterr().out
    assert f"{place}: 150 → 190 documents in the collection" in said
    docno = ours.search("new dates", 1)[0].docno
    assert theirs.explain("new dates", docno) == ours.explain("new dates", docno)
    assert run(["index", "build", place, "--bm25", "--corpus", first, "-q"]) == 1  # it exists


def test_a_load_that_stops_goes_on(tmp_path, monkeypatch, lite):
    monkeypatch.setattr(load, "ROWS", 20)
    source = corpus(tmp_path / "a.jsonl", range(100), 0)
    place, folder = store_place(f"milvus://{tmp_path}/m.db/words"), tmp_path / "words"
    sparseir("index", "build", folder, "--bm25", "--corpus", source, "-q")

    def fill(path, options):
        sparseir("index", "build", path, "--bm25", "--corpus", source, "-q")
        return open_index(path)

    server = lite(place)
    broken = StoreClient(place, Dropping(server, _get_connection=2), pause=0)
    with pytest.raises(StoreError, match="cannot write after 4 attempts of 60 s at most: connection reset"):
        load.build(place, IndexingOptions(), fill, silent, broken, source="these")
    with pytest.raises(StoreError, match="not finished"):
        Searcher.open(str(place))
    with pytest.raises(ConfigError, match="--resume"):
        load.build(place, IndexingOptions(), fill, silent, StoreClient(place, server))

    def refill(path, options):
        raise AssertionError("what was staged is not made again")

    resumed = IndexingOptions(resume=True)
    with pytest.raises(ConfigError, match="what is staged is of another input"):
        load.build(place, resumed, refill, silent, StoreClient(place, server), source="others")
    stage = load._stage(place)
    shutil.move(stage, tmp_path / "kept")  # as on another machine
    with pytest.raises(ConfigError, match="what is in the collection is of another input"):
        load.build(place, resumed, refill, silent, StoreClient(place, server), source="others")
    shutil.move(tmp_path / "kept", stage)
    writes = Dropping(server, _get_connection=3)  # of five batches, two are in
    load.build(place, resumed, refill, silent, StoreClient(place, writes, pause=0), source="these")
    same(str(place), folder)
    assert StoreClient(place, server).read_load() is None


def test_a_staged_index_that_was_not_said_to_be_ready_is_made_again(tmp_path, lite):
    source, folder = corpus(tmp_path / "a.jsonl", range(30), 0), tmp_path / "words"
    place = f"milvus://{tmp_path}/m.db/words"
    sparseir("index", "build", folder, "--bm25", "--corpus", source, "-q")
    shutil.copytree(folder, load._stage(store_place(place)) / "index")
    sparseir("index", "build", place, "--bm25", "--corpus", source, "--resume", "-q")
    same(place, folder)


@pytest.mark.parametrize("stop", ["rows", "commit", "removal"])
def test_a_replacement_that_stops_loses_nothing(tmp_path, lite, stop):
    first, second = corpus(tmp_path / "a.jsonl", range(60), 0), corpus(tmp_path / "b.jsonl", range(40, 80), 1)
    place, folder = store_place(f"milvus://{tmp_path}/m.db/words"), tmp_path / "words"
    for target in (place, folder):
        sparseir("index", "build", target, "--bm25", "--corpus", first, "-q")

    def fill(path, options):
        sparseir("index", "add", path, "--corpus", second, "-q")
        return open_index(path)

    server, options = lite(place), IndexingOptions(mode="replace")
    # One delete is of what stopped additions left, the next of the parts of the state before, the third of documents.
    left = {"rows": {"_get_connection": 0}, "commit": {"upsert": 1}, "removal": {"delete": 2}}[stop]
    with pytest.raises(StoreError, match="connection reset"):
        load.add(place, options, fill, silent, StoreClient(place, Dropping(server, **left), pause=0))
    if stop == "removal":  # the commit is in, and hides what is still there
        sparseir("index", "add", folder, "--corpus", second, "--replace", "-q")
        assert StoreClient(place, server).count() == 100
    same(str(place), folder)
    if stop == "removal":
        sparseir("index", "delete", place, "--id", "absent")
    else:
        for target in (place, folder):
            sparseir("index", "add", target, "--corpus", second, "--replace", "-q")
    same(str(place), folder)
    assert StoreClient(place, server).count() == 80


def test_a_collection_is_evaluated_as_a_folder_is(tmp_path, lite, capsys):
    data = tmp_path / "beir"
    (data / "qrels").mkdir(parents=True)
    corpus(data / "corpus.jsonl", range(80), 0)
    lines = [json.dumps({"_id": f"q{i}", "text": text}) for i, text in enumerate(QUERIES[:3])]
    (data / "queries.jsonl").write_text("\n".join(lines))
    judged = "".join(f"q{i % 3}\td{i}\t{1 + i % 2}\n" for i in range(0, 80, 5))
    (data / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    place, folder = f"milvus://{tmp_path}/m.db/words", tmp_path / "folder"
    for target in (place, folder):
        sparseir("index", "build", target, "--bm25", "--corpus", data, "-q")
    capsys.readouterr()
    sparseir("evaluate", place, folder, data, "--baselines", "", "--measures", "nDCG@10,R@100", "--json", "-q")
    theirs, ours = [json.loads(line) for line in capsys.readouterr().out.splitlines()][:2]
    assert (theirs["system"], ours["system"]) == ("words", "folder")
    assert theirs["measures"] == pytest.approx(ours["measures"], abs=1e-9)
    assert 0 < ours["measures"]["nDCG@10"] < 1


def test_vectors_of_another_vocabulary_are_refused(tmp_path, lite, capsys):
    """A collection of words takes no vectors, whatever they are of, and stays as it was."""
    place = f"milvus://{tmp_path}/m.db/words"
    sparseir("index", "build", place, "--bm25", "--corpus", corpus(tmp_path / "a.jsonl", range(20), 0), "-q")
    other = tmp_path / "vectors.jsonl"
    other.write_text(json.dumps({"id": "x", "contents": "", "vector": {"##unheard": 1.0}}) + "\n")
    assert run(["index", "add", place, "--vectors", str(other), "-q"]) in (1, 2)
    said = capsys.readouterr().err.strip()
    assert said.startswith("error: ")
    assert said.count("\n") == 0
    assert run(["search", place, "apple", "--model", str(tmp_path / "no-model")]) == 1
    assert Searcher.open(place).index.num_docs == 20


def test_a_collection_of_another_model_is_refused(tmp_path, lite, capsys):
    pytest.importorskip("transformers", reason="the extra 'train' is not installed")
    from tests.tiny_models import save_masked_lm

    built, other = (str(save_masked_lm(tmp_path / f"model{seed}", seed=seed)) for seed in (0, 1))
    place, first = f"milvus://{tmp_path}/m.db/texts", corpus(tmp_path / "a.jsonl", range(12), 0)
    sparseir("index", "build", place, "--model", built, "--corpus", first, "-q")
    more = corpus(tmp_path / "b.jsonl", range(12, 20), 1)
    capsys.readouterr()
    assert run(["search", place, "apple", "--model", other]) == 1
    assert run(["index", "add", place, "--model", other, "--corpus", more, "-q"]) == 1
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(said) == 2
    assert "another encoder" in said[0], said
    assert "these vectors come from another; encode them with the same model" in said[1]
    sparseir("search", place, "apple", "--model", built)
    assert Searcher.open(place).index.num_docs == 12


def test_another_input_is_told_from_this_one(tmp_path):
    (tmp_path / "a").write_text("one")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "b").write_text("two")
    places = [tmp_path / "a", tmp_path / "folder", "a-model", None]
    digest = load.source_digest("settings", places)
    assert digest == load.source_digest("settings", places)
    assert digest != load.source_digest("others", places)
    assert digest != load.source_digest("settings", [*places[:2], "another-model", None])
    (tmp_path / "folder" / "b").write_text("owt")
    assert digest != load.source_digest("settings", places)


def test_a_collection_of_another_shape_is_refused(tmp_path, lite):
    place = store_place(f"milvus://{tmp_path}/m.db/other")
    lite(place).create_collection("other", dimension=4)
    with pytest.raises(StoreError, match=r"expected .*'sparse'"):
        Searcher.open(str(place))


@pytest.mark.parametrize(
    "place", ["milvus://host/words", "milvus://x.db/", "milvus://h:1/a-b", "milvus:words", "milvus://h:1/a?timeout=0"]
)
def test_what_is_no_collection(place):
    with pytest.raises(ConfigError, match="expected milvus://HOST:PORT/COLLECTION"):
        store_place(place)
