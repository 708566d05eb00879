"""An index back to vectors: what it holds, by ordinal, whatever segments, order and deletions did."""

from __future__ import annotations

import numpy as np
import pytest

from indexer import IndexConfig, SparseVectors, add_documents, build_index, compact_index, delete_documents, open_index
from indexer.errors import ConfigError
from indexer.interchange import BatchLimits, Vocabulary, open_vectors
from indexer.interchange.export import export_index, index_batches
from tests import oracle

FORMATS = ["v.jsonl", "v.jsonl.gz", "v.npz", "v.csr", "v.ciff"]
SCALE = 1 / 64


def rows(seed: int, count: int) -> list[dict[int, float]]:
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(count):
        terms = rng.choice(50, rng.integers(0, 9), replace=False)
        out.append({int(t): float(np.float32(rng.uniform(0.01, 3.9))) for t in terms})
    return out


def whole(path, vocabulary=None):
    """(impacts by row, docnos) of an exported file."""
    matrix = path.suffix in (".npz", ".csr")
    source = open_vectors(path, vocabulary=None if matrix else vocabulary or Vocabulary.integers(50))
    found, names = [], []
    for batch in source:
        names += batch.docnos
        for i in range(len(batch)):
            terms, weights = batch.vectors.row(i)
            found.append(dict(zip(terms.tolist(), weights.tolist(), strict=True)))
    return found, names


def impacts(row: dict[int, float]) -> dict[int, int]:
    levels = oracle.quantize_impacts(list(row.values()), SCALE).tolist() if row else []
    return dict(zip(row, levels, strict=True))


@pytest.fixture
def index(tmp_path):
    """70 documents reordered in clusters, 30 added, six deleted across both segments."""
    first, second = rows(1, 70), rows(2, 30)
    config = IndexConfig(doc_scale=SCALE, order="clusters", stored_weights="f32")
    build_index(
        tmp_path / "index", SparseVectors.from_rows(first, 50), docnos=[f"a{i}" for i in range(70)], config=config
    )
    add_documents(tmp_path / "index", SparseVectors.from_rows(second, 50), docnos=[f"b{i}" for i in range(30)])
    gone = {"a0", "a3", "a69", "b0", "b7", "b29"}
    delete_documents(tmp_path / "index", sorted(gone))
    names = [f"a{i}" for i in range(70)] + [f"b{i}" for i in range(30)]
    kept = [(n, r) for n, r in zip(names, first + second, strict=True) if n not in gone]
    return open_index(tmp_path / "index"), kept


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("compacted", [False, True])
def test_impacts_come_back_by_ordinal(tmp_path, index, name, compacted):
    opened, kept = index
    if compacted:
        compact_index(opened.path)
        opened = opened.refresh()
    written = export_index(opened, tmp_path / name)
    found, names = whole(tmp_path / name)
    assert names == [n for n, _ in kept]
    assert found == [impacts(r) for _, r in kept]
    assert (written.num_rows, written.nnz) == (94, sum(len(r) for _, r in kept))


def test_weights_scaled_and_stored(tmp_path, index):
    opened, kept = index
    export_index(opened, tmp_path / "s.npz", weights="scaled")
    assert whole(tmp_path / "s.npz")[0] == [{t: i * SCALE for t, i in impacts(r).items()} for _, r in kept]
    export_index(opened, tmp_path / "f.jsonl", weights="stored")
    assert whole(tmp_path / "f.jsonl")[0] == [r for _, r in kept]
    with pytest.raises(ConfigError, match="CIFF holds integers"):
        export_index(opened, tmp_path / "v.ciff", weights="scaled")
    plain = build_index(tmp_path / "plain", SparseVectors.from_rows(rows(1, 5), 50))
    with pytest.raises(ConfigError, match="stores no float weights"):
        export_index(plain, tmp_path / "p.npz", weights="stored")
    with pytest.raises(ConfigError, match="expected one of impact, scaled, stored"):
        list(index_batches(plain, weights="float"))


def test_both_ways_to_ciff_give_the_same_bytes(tmp_path, index):
    """Straight from posting lists, and through rows; only the description differs."""
    from indexer.interchange import write_vectors

    opened, _ = index
    export_index(opened, tmp_path / "lists.ciff")
    description = f"sparseir impacts; weight = tf * {SCALE!r}"
    write_vectors(tmp_path / "rows.ciff", index_batches(opened), description=description)
    assert (tmp_path / "lists.ciff").read_bytes() == (tmp_path / "rows.ciff").read_bytes()


def test_batches_are_bounded_and_leave_nothing_behind(tmp_path, index):
    opened, kept = index
    sizes = [len(b) for b in index_batches(opened, limits=BatchLimits(rows=10), folder=tmp_path)]
    assert max(sizes) == 10
    assert sum(sizes) == len(kept)
    assert [p.name for p in tmp_path.iterdir()] == ["index"]


def test_terms_an_index_carries_are_exported(tmp_path):
    terms = Vocabulary.fixed([f"t{i}" for i in range(50)])
    terms.save(tmp_path / "side")
    opened = build_index(
        tmp_path / "index",
        SparseVectors.from_rows(rows(3, 9), 50),
        config=IndexConfig(doc_scale=SCALE),
        query_side=tmp_path / "side",
    )
    for name in ("v.jsonl", "v.ciff"):
        export_index(opened, tmp_path / name)
        found, names = whole(tmp_path / name, terms)
        assert found == [impacts(r) for r in rows(3, 9)]
        assert names == [str(i) for i in range(9)]


@pytest.mark.parametrize("name", FORMATS)
def test_empty_index(tmp_path, name):
    export_index(build_index(tmp_path / "index", SparseVectors.empty(0, 50)), tmp_path / name)
    assert whole(tmp_path / name) == ([], [])
