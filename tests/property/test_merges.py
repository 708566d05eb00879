"""Additions that merge small segments: what is found afterwards is what one build finds, to the bit."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from indexer import (
    IndexConfig,
    SparseVectors,
    add_documents,
    build_index,
    compact_index,
    delete_documents,
    open_index,
    verify_index,
)
from indexer.errors import ConfigError
from indexer.format import files
from indexer.merge import tiers
from indexer.merge.tiers import LARGEST, WIDTH, to_merge
from sparseir.search.searcher import Searcher
from tests.fuzz.index_samples import content_of, files_of
from tests.unit.test_build import random_vectors

TERMS = 40


@pytest.fixture(autouse=True)
def low_floor(monkeypatch):
    """Tiers that indexes of a few documents have several of."""
    monkeypatch.setattr(tiers, "FLOOR", 6000)


def change(rng, path, live, pool, merge):
    """One addition, replacement or deletion; `live` maps names to rows of the pool."""
    if live and rng.random() < 0.3:
        gone = rng.choice(sorted(live), min(len(live), 3), replace=False).tolist()
        delete_documents(path, gone)
        for name in gone:
            del live[name]
        return
    rows = rng.integers(0, len(pool), int(rng.choice([1, 1, 2, 40])))
    names = [f"d{i}" for i in np.unique(rng.integers(0, 300, len(rows)))]
    vectors = SparseVectors.concatenate([pool.slice(r, r + 1) for r in rows[: len(names)].tolist()])
    fields = [{"year": int(r) % 7, "tags": [f"t{int(r) % 3}"]} for r in rows[: len(names)]]
    add_documents(path, vectors, docnos=names, fields=fields, replace_existing=True, merge=merge)
    for name, row in zip(names, rows.tolist(), strict=False):
        live.pop(name, None)
        live[name] = row


def found(path, queries, flt=None):
    """Names and scores of every query, exactly."""
    searcher = Searcher.open(path)
    out = []
    for i in range(len(queries)):
        hits = searcher.search_terms(*queries.row(i), 10, filter=flt)
        out.append((searcher.index.docnos(hits.ordinals), hits.scores.tolist()))
    return out


@pytest.mark.parametrize("layout", ["standard", "packed", "compact"])
@pytest.mark.parametrize("stored", ["none", "f32"])
def test_random_changes_with_merges_equal_one_build(tmp_path, layout, stored):
    seed = 7 * ["standard", "packed", "compact"].index(layout) + (stored == "f32")
    config = IndexConfig(layout=layout, stored_weights=stored, doc_scale=0.03, metadata=("year", "tags"), order="input")
    pool = random_vectors(np.random.default_rng(seed), 400, TERMS, 9)
    queries = random_vectors(np.random.default_rng(99), 12, TERMS, 5)
    histories = {}
    merges = 0
    for merge in ("tiered", "none"):
        rng, live, path = np.random.default_rng(seed), {}, tmp_path / merge
        build_index(path, SparseVectors.empty(0, TERMS), config=config)
        for _ in range(50):
            before = len(open_index(path).segments)
            change(rng, path, live, pool, merge)
            merges += len(open_index(path).segments) < before
        verify_index(path)
        histories[merge] = live
    live = histories["tiered"]
    assert list(live.items()) == list(histories["none"].items())
    assert merges > 5
    assert len(open_index(tmp_path / "tiered").segments) < 12 < len(open_index(tmp_path / "none").segments)
    assert content_of(tmp_path / "tiered") == content_of(tmp_path / "none")
    names, rows = list(live), list(live.values())
    whole = SparseVectors.concatenate([pool.slice(r, r + 1) for r in rows])
    fields = [{"year": r % 7, "tags": [f"t{r % 3}"]} for r in rows]
    build_index(tmp_path / "one", whole, docnos=names, fields=fields, config=config)
    for flt in (None, "year<4", 'tags="t1"'):
        expected = found(tmp_path / "one", queries, flt)
        assert found(tmp_path / "tiered", queries, flt) == expected == found(tmp_path / "none", queries, flt)
    for merge in ("tiered", "none"):
        compact_index(tmp_path / merge)
    (a,), (b,) = (open_index(tmp_path / merge).segments for merge in ("tiered", "none"))
    assert a.data.tobytes() == b.data.tobytes()
    assert a.entry.num_clipped == b.entry.num_clipped


def test_the_number_of_segments_grows_with_the_logarithm(tmp_path):
    rng = np.random.default_rng(5)
    pool = random_vectors(rng, 120, TERMS, 9)
    path, most = tmp_path / "i", 0
    build_index(path, pool.slice(0, 1), config=IndexConfig(doc_scale=0.03))
    for i in range(1, len(pool)):
        most = max(most, len(add_documents(path, pool.slice(i, i + 1)).segments))
    assert most <= 3 * (WIDTH - 1)
    assert open_index(path).num_docs == len(pool)
    for i in range(4):
        add_documents(path, pool.slice(i, i + 1), merge="none")
    assert len(open_index(path).segments) >= 5
    with pytest.raises(ConfigError, match="merge is 'often'"):
        add_documents(path, pool.slice(0, 1), merge="often")


def test_tiers_merge_what_follows_each_other():
    small, big = 10, tiers.FLOOR * WIDTH**3
    assert to_merge([]) is None
    assert to_merge([big, small, small, small]) is None
    assert to_merge([big, small, small, small, small]) == (1, 5)
    assert to_merge([small] * 9) == (0, 9)
    assert to_merge([small, big, small]) is None
    assert to_merge([small, small, small, big]) == (0, 4)  # older ones stand at least as high as what came after them
    # The result of a merge fills the tier above, which is merged with it at once.
    above = tiers.FLOOR * 2
    assert to_merge([big, above, above, above, *[tiers.FLOOR // 4 + 1] * 4]) == (1, 8)
    # More than one addition may write is left, but for the newest that fit.
    assert to_merge([LARGEST] * 6) is None
    assert to_merge([LARGEST // 2] * 4) == (2, 4)
    assert to_merge([LARGEST * 2, *[small] * 4]) == (1, 5)


def test_segments_whose_documents_are_all_deleted_vanish(tmp_path):
    path, row = tmp_path / "i", SparseVectors.from_rows([{1: 1.0}], TERMS)
    build_index(path, row, docnos=["a"])
    for _ in range(8):
        add_documents(path, row, docnos=["a"], replace_existing=True)
    index = open_index(path)
    assert (index.num_docs, index.num_stored < 5) == (1, True)
    verify_index(path)


def test_a_damaged_segment_is_not_merged_and_the_addition_stands(tmp_path):
    path, row = tmp_path / "i", SparseVectors.from_rows([{1: 1.0, 3: 2.0}], TERMS)
    build_index(path, row, docnos=["a"])
    for name in "bc":
        add_documents(path, row, docnos=[name])
    segment = open_index(path).segments[1]
    data = bytearray(segment.path.read_bytes())
    data[segment.sections["IMPA"].offset] ^= 8
    segment.path.write_bytes(data)
    before = files_of(path)
    index = add_documents(path, row, docnos=["d"])
    assert len(index.segments) == 4
    assert "not merged" in index.notes[0]
    assert "section IMPA is damaged" in index.notes[0]
    after = files_of(path)
    assert all(after[name] == content for name, content in before.items() if name.endswith(".seg"))


def test_a_disk_too_full_for_the_merge_takes_the_addition(tmp_path, monkeypatch):
    path, row = tmp_path / "i", SparseVectors.from_rows([{1: 1.0, 3: 2.0}], TERMS)
    build_index(path, row, docnos=["a"])
    for name in "bc":
        add_documents(path, row, docnos=[name])
    real, created = files.create, []

    def create(target):
        created.append(target.suffix)
        if target.suffix == ".seg" and created.count(".seg") == 2:
            raise files.storage_error(OSError(28, "No space left on device"))
        return real(target)

    monkeypatch.setattr(files, "create", create)
    index = add_documents(path, row, docnos=["d"])
    monkeypatch.undo()
    assert (index.num_docs, len(index.segments)) == (4, 4)
    assert "No space left" in index.notes[0]
    verify_index(path)
    assert not verify_index(path).leftovers


def test_an_index_made_without_merges_is_merged_by_the_next_addition(tmp_path):
    path, row = tmp_path / "i", SparseVectors.from_rows([{1: 1.0, 3: 2.0}], TERMS)
    build_index(path, row, docnos=["0"])
    for name in range(1, 9):
        add_documents(path, row, docnos=[str(name)], merge="none")
    shutil.copytree(path, tmp_path / "before")
    assert len(add_documents(path, row, docnos=["x"]).segments) <= 2
    assert content_of(path)[:-1] == content_of(tmp_path / "before")
