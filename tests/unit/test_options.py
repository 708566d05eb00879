"""What a verb does not take is refused by name, and what opening an index loads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from indexer import (
    SparseVectors,
    add_documents,
    build_index,
    compact_index,
    delete_documents,
    open_index,
    verify_index,
)
from indexer.errors import ConfigError, DataError
from indexer.format.segment import SegmentHeader
from indexer.format.segment_writer import segment_in_memory
from indexer.inspect import inspect_index
from indexer.interchange import open_vectors, write_vectors
from indexer.interchange.export import export_index

ROWS = SparseVectors.from_rows([{0: 1.0}, {1: 2.0}, {0: 3.0, 2: 1.0}], 3)


@pytest.fixture
def folder(tmp_path):
    return build_index(tmp_path / "i", ROWS).path


@pytest.mark.parametrize(
    ("call", "option"),
    [
        (lambda i, **o: build_index(i.parent / "new", ROWS, **o), "replace_existing"),
        (lambda i, **o: add_documents(i, ROWS, **o), "memory_budget"),
        (lambda i, **o: add_documents(i, ROWS, **o), "overwrite"),
        (lambda i, **o: add_documents(i, ROWS, **o), "query_side"),
        (lambda i, **o: add_documents(i, ROWS, **o), "config"),
        (lambda i, **o: delete_documents(i, ["0"], **o), "num_threads"),
        (lambda i, **o: compact_index(i, **o), "encoder"),
        (lambda i, **o: verify_index(i, **o), "num_threads"),
        (lambda i, **o: inspect_index(i, **o), "num_threads"),
        (lambda i, **o: open_index(i, **o), "num_threads"),
        (lambda i, **o: export_index(open_index(i), i.parent / "v.npz", **o), "scale"),
        (lambda i, **o: write_vectors(i.parent / "v.npz", ROWS, **o), "weights"),
        (lambda i, **o: open_vectors(i.parent / "v.npz", **o), "scale"),
    ],
)
def test_a_verb_refuses_what_it_does_not_take(folder, call, option):
    before = {p.name for p in folder.parent.rglob("*")}
    with pytest.raises(TypeError, match=option):
        call(folder, **{option: 1})
    assert {p.name for p in folder.parent.rglob("*")} == before
    assert open_index(folder).generation == 1


def test_all_unknown_options_are_named_with_those_there_are(folder):
    with pytest.raises(
        TypeError, match="add_documents takes no overwrite, threads; its options are encoder, num_threads"
    ):
        add_documents(folder, ROWS, overwrite=True, threads=2)


@pytest.mark.parametrize("write", [build_index, add_documents])
def test_no_thread_is_refused(folder, write):
    """No thread inverted nothing, and an empty index was committed."""
    with pytest.raises(ConfigError, match="num_threads is 0; expected 1 or more"):
        write(folder, ROWS, num_threads=0)
    with pytest.raises(ConfigError, match="num_threads is -1"):
        compact_index(folder, num_threads=-1)


def test_a_segment_of_too_many_documents_is_refused_on_every_path(tmp_path, monkeypatch):
    """The limit lowered to 2: three documents in memory, from runs of two, added, and compacted from two and two."""
    limit = "at most 2 documents, this one would hold"
    monkeypatch.setattr("indexer.format.segment_writer.MAX_DOCS", 2)
    monkeypatch.setattr("indexer.merge.runs._SMALLEST_RUN", 2)
    for options in ({}, {"memory_budget": 1}):
        with pytest.raises(DataError, match=f"{limit} 3"):
            build_index(tmp_path / "three", ROWS, **options)
    path = build_index(tmp_path / "i", ROWS.slice(0, 2)).path
    with pytest.raises(DataError, match=f"{limit} 3"):
        add_documents(path, ROWS)
    add_documents(path, ROWS.slice(1, 3))
    with pytest.raises(DataError, match=f"{limit} 4"):
        compact_index(path)
    index = open_index(path)
    assert (len(index), len(index.segments), index.generation) == (4, 2, 2)
    verify_index(path)
    with pytest.raises(DataError, match=f"{limit} 3"):
        segment_in_memory(SegmentHeader(num_docs=3, num_terms=0, num_postings=0, ordinal_base=0), {})


def test_opening_loads_nothing_that_builds():
    program = (
        "import sys; from indexer import open_index; "
        "print(*sorted(n for n in sys.modules if n.partition('.')[0] in ('indexer', 'numba', 'scipy')))"
    )
    root = Path(__file__).parents[2]
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=root, check=True
    ).stdout
    assert "indexer.index" in loaded.split()
    rooms = {name.removeprefix("indexer.").split(".")[0] for name in loaded.split()}
    assert rooms == {"indexer", "errors", "format", "index", "native", "opening", "segment", "shards"}
    assert "segment_writer" not in loaded
