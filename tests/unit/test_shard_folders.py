"""Shards from the command line and from Python: text, words, passages; and what is refused, in words that help."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from indexer import IndexConfig, SparseVectors, add_documents, build_index, build_shards, delete_documents, open_shards
from indexer.errors import ConfigError, DataError, IndexFormatError
from sparseir.cli import run
from sparseir.config.lexical import LexicalConfig
from sparseir.data.passages import Windows
from sparseir.data.records import Document
from sparseir.encode.indexing import index_documents
from sparseir.encode.options import IndexingOptions
from sparseir.search.searcher import Searcher
from tests.lexical_cases import WORDS, TableEncoder

ROWS = [{0: 1.0}, {0: 1.0, 2: 3.0}, {1: 0.5}, {0: 1.0}, {2: 8.0}]
QUERIES = ["cat", "dogs running in the park", "vaccine dose weather", "the", ""]


def command(*words):
    return run([str(word) for word in words])


def documents(count=60):
    rng = np.random.default_rng(5)
    texts = [" ".join(rng.choice(WORDS[1:], rng.integers(1, 30))) for _ in range(count)]
    return [Document(f"d{i}", text, "", {"part": i % 3}) for i, text in enumerate(texts)]


@pytest.fixture
def parts(tmp_path):
    build_shards(tmp_path / "parts", SparseVectors.from_rows(ROWS, 3), shards=3, docnos=list("abcde"))
    return tmp_path / "parts"


@pytest.mark.parametrize("encoder", [None, TableEncoder()], ids=["words", "both"])
@pytest.mark.parametrize("windows", [None, Windows(8, 4)], ids=["whole", "passages"])
@pytest.mark.parametrize("neighbours", [0, 2])
def test_texts_find_the_same_in_shards_as_in_one_index(tmp_path, encoder, windows, neighbours):
    if neighbours and windows is not None:
        pytest.skip("one of both is enough")
    lexical = LexicalConfig(neighbours=neighbours)
    config = IndexConfig(metadata=("part",))
    options = {"config": config, "lexical": lexical, "windows": windows, "batch": 7}
    whole = index_documents(tmp_path / "whole", encoder, documents(), options=IndexingOptions(**options)).index
    parts = index_documents(
        tmp_path / "parts", encoder, documents(), options=IndexingOptions(**options, shards=4)
    ).index
    assert len(parts.shards) == 4
    assert parts.doc_scale == whole.doc_scale
    for gone in (None, "d7"):
        if gone and windows is None:
            for name in ("whole", "parts"):
                delete_documents(tmp_path / name, [gone])
        one, many = Searcher.open(tmp_path / "whole"), Searcher.open(tmp_path / "parts")
        for condition in (None, "part=1"):
            for want, got in zip(
                one.search(QUERIES, 20, filter=condition), many.search(QUERIES, 20, filter=condition), strict=True
            ):
                assert (got.docnos, got.scores.tolist()) == (want.docnos, want.scores.tolist())
                assert got.fields() == want.fields()
        for query in QUERIES:
            assert many.explain(query, "d33").as_json() == one.explain(query, "d33").as_json()


def test_a_missing_shard_is_an_error_or_said(parts):
    shutil.rmtree(parts / "shard-001")
    with pytest.raises(IndexFormatError, match="shard-001"):
        Searcher.open(parts)
    searcher = Searcher.open(parts, partial=True)
    assert (searcher.index.num_docs, searcher.share) == (3, 0.6)  # 5 documents in 3 shards: 1, 2 and 2
    places = [parts / "shard-002", parts / "shard-000"]
    with pytest.raises(ConfigError, match=r"1 of 3 shards are missing \(number 1, counted from 0\)"):
        Searcher.open(places)
    assert Searcher.open(places, partial=True).share == 0.6


def test_what_is_no_whole_collection_is_refused(parts, tmp_path):
    first, _, last = (parts / f"shard-00{i}" for i in range(3))
    with pytest.raises(ConfigError, match="are both shard 0; give each once"):
        open_shards([first, first])
    build_index(tmp_path / "own", SparseVectors.from_rows(ROWS, 3))
    with pytest.raises(ConfigError, match="is an index of its own, no shard"):
        open_shards([first, tmp_path / "own"])
    build_shards(tmp_path / "others", SparseVectors.from_rows(ROWS, 3), shards=3)
    with pytest.raises(ConfigError, match="shards of collections that were built one by one"):
        open_shards([first, tmp_path / "others" / "shard-001", last])
    with pytest.raises(ConfigError, match="expected the folders of one or more"):
        Searcher.open([])


def test_shards_take_no_documents(parts):
    new = SparseVectors.from_rows([{0: 1.0}], 3)
    with pytest.raises(ConfigError, match=r"is shard 1 of 3.* it takes no documents"):
        add_documents(parts / "shard-001", new, docnos=["x"])
    with pytest.raises(IndexFormatError, match="holds shards of a collection"):
        add_documents(parts, new, docnos=["x"])


def test_targets_and_numbers_are_checked(parts, tmp_path):
    vectors = SparseVectors.from_rows(ROWS, 3)
    with pytest.raises(ConfigError, match="holds shards already"):
        build_shards(parts, vectors, shards=2)
    with pytest.raises(ConfigError, match="holds shards; build shards there again"):
        build_index(parts, vectors, overwrite=True)
    build_index(tmp_path / "own", vectors)
    with pytest.raises(ConfigError, match="holds an index that is not sharded"):
        build_shards(tmp_path / "own", vectors, shards=2, overwrite=True)
    with pytest.raises(DataError, match="5 documents for 6 shards"):
        build_shards(tmp_path / "new", vectors, shards=6)
    with pytest.raises(ConfigError, match="prune_postings"):
        build_shards(tmp_path / "new", vectors, shards=2, config=IndexConfig(prune_postings=1))
    with pytest.raises(ConfigError, match="shards is 0"):
        build_shards(tmp_path / "new", vectors, shards=0)


def test_shards_are_replaced_at_once_or_not_at_all(parts):
    before = Searcher.open(parts)
    with pytest.raises(DataError):
        build_shards(parts, SparseVectors.from_rows(ROWS[:1], 3), shards=2, overwrite=True)
    assert Searcher.open(parts).index.num_docs == 5
    build_shards(parts, SparseVectors.from_rows(ROWS[:4], 3), shards=2, overwrite=True)
    assert sorted(p.name for p in parts.iterdir() if p.is_dir()) == ["shard-000.2", "shard-001.2"]
    assert Searcher.open(parts).index.num_docs == 4
    assert before.search_terms([2], [1.0], 2).ordinals.tolist() == [4, 1]
    (parts / "shards.json").write_text('{"format": "sparseir-shards", "version": 1, "shards": ["../x"]}')
    with pytest.raises(IndexFormatError, match="no list of shards"):
        Searcher.open(parts)


def test_commands_take_a_folder_of_shards(tmp_path, capsys):
    (tmp_path / "corpus.jsonl").write_text("".join(f'{{"_id": "d{i}", "text": "cats number {i}"}}\n' for i in range(9)))
    parts = tmp_path / "parts"
    build = ["index", "build", parts, "--bm25", "--corpus", tmp_path / "corpus.jsonl", "--shards", 3, "--quiet"]
    assert command(*build) == 0
    assert "9 documents" in (said := capsys.readouterr().out)
    assert "in 3 shards" in said
    for line in (["index", "verify", parts], ["index", "inspect", parts], ["explain", parts, "cats", "d4"]):
        assert command(*line) == 0, line
    assert command("index", "delete", parts, "--id", "d4", "--id", "d8") == 0
    assert "2 documents deleted" in capsys.readouterr().out
    listed = ",".join(str(parts / f"shard-00{i}") for i in range(3))
    for place in (parts, listed):
        assert command("search", place, "cats", "-k", 9) == 0
        assert [line.split()[2] for line in capsys.readouterr().out.splitlines()] == [
            f"d{i}" for i in (0, 1, 2, 3, 5, 6, 7)
        ]
    shutil.rmtree(parts / "shard-002")
    assert command("search", parts, "cats") != 0
    assert "shard-002" in capsys.readouterr().err
    assert command("search", parts, "cats", "--partial") == 0
    assert "searched 66.7% of the documents" in capsys.readouterr().err
    assert command(*build) != 0
    assert "holds shards already" in capsys.readouterr().err
