"""A collection of Milvus gives the hits of an index folder, through building, adding, replacing and deleting."""

import json

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
    """A client whose connection goes after some writes to the documents."""

    def __init__(self, client, writes):
        self._client, self._left = client, writes

    def __getattr__(self, name):
        return getattr(self._client, name)

    def upsert(self, name, rows):
        if not name.endswith("_sparseir"):
            self._left -= 1
            if self._left < 0:
                raise ConnectionError("connection reset")
        return self._client.upsert(name, rows)


def test_hits_are_those_of_a_folder(tmp_path, monkeypatch):
    pytest.importorskip("milvus_lite", reason="milvus-lite==2.5.1 is not installed")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    first, second = corpus(tmp_path / "a.jsonl", range(150), 0), corpus(tmp_path / "b.jsonl", range(130, 190), 1)
    place, folder = f"milvus://{tmp_path}/m.db/words", tmp_path / "words"
    for target in (place, folder):
        sparseir("index", "build", target, "--bm25", "--corpus", first, "--metadata", "year", "-q")
    same(place, folder)
    for condition in ("year>=2000", "year in (1991, 1992)", "year!=1991 or year<1993"):
        same(place, folder, filter=condition)
    with pytest.raises(ConfigError, match="write !="):
        Searcher.open(place).search("jam", filter="not year=1991")
    same(place, folder, filter=["d3", "d17", "absent"])
    assert run(["index", "add", place, "--corpus", second, "-q"]) == 1  # names that are there
    same(place, folder)
    for target in (place, folder):
        sparseir("index", "add", target, "--corpus", second, "--replace", "-q")
        sparseir("index", "delete", target, "--id", "d3")
    same(place, folder)
    theirs, ours = Searcher.open(place), Searcher.open(folder)
    docno = ours.search("new dates", 1)[0].docno
    assert theirs.explain("new dates", docno) == ours.explain("new dates", docno)
    assert run(["index", "build", place, "--bm25", "--corpus", first, "-q"]) == 1  # it exists


def test_a_load_that_stops_goes_on(tmp_path, monkeypatch):
    pytest.importorskip("milvus_lite", reason="milvus-lite==2.5.1 is not installed")
    from pymilvus import MilvusClient

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(load, "_ROWS", 20)
    source = corpus(tmp_path / "a.jsonl", range(100), 0)
    place, folder = store_place(f"milvus://{tmp_path}/m.db/words"), tmp_path / "words"
    sparseir("index", "build", folder, "--bm25", "--corpus", source, "-q")

    def fill(path, options):
        sparseir("index", "build", path, "--bm25", "--corpus", source, "-q")
        return open_index(path)

    server = MilvusClient(place.uri)
    broken = StoreClient(place, Dropping(server, 2), pause=0)
    with pytest.raises(StoreError, match="cannot write after 4 attempts: connection reset"):
        load.build(place, IndexingOptions(), fill, silent, broken)
    with pytest.raises(StoreError, match="not finished"):
        Searcher.open(str(place))
    with pytest.raises(ConfigError, match="--resume"):
        load.build(place, IndexingOptions(), fill, silent, StoreClient(place, server))

    def refill(path, options):
        raise AssertionError("what was staged is not made again")

    writes = Dropping(server, 3)  # of five batches, two are in
    load.build(place, IndexingOptions(resume=True), refill, silent, StoreClient(place, writes, pause=0))
    same(str(place), folder)


def test_a_collection_of_another_shape_is_refused(tmp_path):
    pytest.importorskip("milvus_lite", reason="milvus-lite==2.5.1 is not installed")
    from pymilvus import MilvusClient

    place = store_place(f"milvus://{tmp_path}/m.db/other")
    MilvusClient(place.uri).create_collection("other", dimension=4)
    with pytest.raises(StoreError, match=r"expected .*'sparse'"):
        Searcher.open(str(place))


@pytest.mark.parametrize("place", ["milvus://host/words", "milvus://x.db/", "milvus://h:1/a-b", "milvus:words"])
def test_what_is_no_collection(place):
    with pytest.raises(ConfigError, match="expected milvus://HOST:PORT/COLLECTION"):
        store_place(place)
