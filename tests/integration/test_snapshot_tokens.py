"""Snapshots of a COIL index: its token vectors go with it, and are searched exactly where it is restored."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import indexer  # noqa: E402
from sparseir.config.model import ModelConfig  # noqa: E402
from sparseir.data.records import Document  # noqa: E402
from sparseir.data.snapshots import restore_index, take_snapshot  # noqa: E402
from sparseir.data.stores.tokens import TokenStore, check_tokens, tokens_folder  # noqa: E402
from sparseir.encode.indexing import index_documents  # noqa: E402
from sparseir.encode.options import IndexingOptions  # noqa: E402
from sparseir.errors import DataError, SparseIRError  # noqa: E402
from sparseir.models import SparseEncoder  # noqa: E402
from sparseir.search.exact_top import search_exactly  # noqa: E402
from sparseir.search.query_encoder import ModelQueryEncoder  # noqa: E402
from sparseir.search.rerank import CoilReranker  # noqa: E402
from sparseir.search.searcher import Searcher  # noqa: E402
from tests.tiny_models import TEXTS, save_masked_lm  # noqa: E402

Build = Callable[..., None]


@pytest.fixture(scope="module", params=["coil_tok", "coil_full"])
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SparseEncoder:
    torch.manual_seed(1)
    base = save_masked_lm(tmp_path_factory.mktemp("bert"))
    return SparseEncoder.from_config(
        ModelConfig(base=str(base), kind=request.param, token_dim=8, cls_dim=5, max_document_length=32)
    )


def add(path: Path, encoder: SparseEncoder, texts: list[str], first: int = 0, **options: object) -> None:
    given = [Document(f"d{first + i}", text) for i, text in enumerate(texts)]
    index_documents(path, encoder, given, options=IndexingOptions(token_vectors=True, **options))  # type: ignore[arg-type]


def hits(path: Path, encoder: SparseEncoder) -> list[tuple[str, float]]:
    searcher = Searcher.open(path, model=ModelQueryEncoder(encoder))
    reranker = CoilReranker.of(searcher)
    assert reranker.store is not None
    found = search_exactly(reranker, searcher, "cats in the park", 6).hits
    return list(zip(found.docnos, found.scores.tolist(), strict=True))


@pytest.mark.parametrize("name", ["folder", "one.tar"])
@pytest.mark.parametrize("shards", [None, 2])
def test_token_vectors_go_with_a_snapshot(
    name: str, shards: int | None, encoder: SparseEncoder, tmp_path: Path
) -> None:
    index, snapshot, restored = tmp_path / "index", tmp_path / name, tmp_path / "again"
    add(index, encoder, TEXTS, shards=shards)
    expected = hits(index, encoder)
    report = take_snapshot(index, snapshot)
    assert report.linked == (0 if name == "one.tar" else len(list(index.rglob("*.seg"))) + 5)
    shutil.rmtree(index)
    shutil.rmtree(tokens_folder(index))
    restore_index(snapshot, restored)
    check_tokens(restored)
    assert hits(restored, encoder) == expected
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, "again", "again.tokens"])
    if name == "folder":
        assert not indexer.verify_index(snapshot).foreign
    add(tmp_path / "other", encoder, [*TEXTS, "cats cats"], shards=shards)
    restore_index(snapshot, tmp_path / "other", overwrite=True)  # a new generation of another index
    check_tokens(tmp_path / "other")
    assert hits(tmp_path / "other", encoder) == expected
    indexer.restore_index(snapshot, tmp_path / "bare")  # who does not ask for them gets the index alone
    assert not tokens_folder(tmp_path / "bare").exists()


def test_an_index_that_is_restored_goes_on_where_the_snapshot_ended(encoder: SparseEncoder, tmp_path: Path) -> None:
    """Vectors of commits after it stay out, whose ordinals the restored index gives to others."""
    index, restored = tmp_path / "index", tmp_path / "again"
    add(index, encoder, TEXTS[:3])
    before = indexer.open_index(index)
    add(index, encoder, ["late"], 90, mode="add")
    kept = tmp_path / "kept"
    shutil.copytree(index, kept)
    (kept / "manifest.json").write_bytes(before.manifest.to_bytes())  # as a snapshot that began before the addition
    shutil.copytree(tokens_folder(index), tokens_folder(kept))
    take_snapshot(kept, tmp_path / "s.tar")
    restore_index(tmp_path / "s.tar", restored)
    assert len(TokenStore(tokens_folder(restored))) == 3
    add(restored, encoder, TEXTS[3:], 3, mode="add")
    whole = tmp_path / "whole"
    add(whole, encoder, TEXTS)
    assert hits(restored, encoder) == hits(whole, encoder)


def test_a_snapshot_without_takes_those_of_the_old_index_away(encoder: SparseEncoder, tmp_path: Path) -> None:
    given = [Document(f"d{i}", text) for i, text in enumerate(TEXTS)]
    index_documents(tmp_path / "plain", encoder, given)
    take_snapshot(tmp_path / "plain", tmp_path / "s.tar")
    add(tmp_path / "index", encoder, TEXTS)
    restore_index(tmp_path / "s.tar", tmp_path / "index", overwrite=True)
    assert not tokens_folder(tmp_path / "index").exists()


def test_damage_is_said_and_leaves_no_index(encoder: SparseEncoder, tmp_path: Path) -> None:
    add(tmp_path / "index", encoder, TEXTS)
    take_snapshot(tmp_path / "index", tmp_path / "s")
    for path in sorted((tmp_path / "s" / "beside").iterdir()):
        whole = path.read_bytes()
        if not whole:
            continue
        path.unlink()  # a hard link to the index's own
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(SparseIRError, match=r"is damaged \(its checksum differs\)"):
            restore_index(tmp_path / "s", tmp_path / "again")
        assert not (tmp_path / "again").exists()
        path.write_bytes(whole)
    restore_index(tmp_path / "s", tmp_path / "again")
    check_tokens(tmp_path / "again")
    store = tokens_folder(tmp_path / "index") / "store.json"
    store.write_text(store.read_text().replace('"token_dim": 8', '"token_dim": 9'))
    with pytest.raises(DataError, match="checksum differs"):
        take_snapshot(tmp_path / "index", tmp_path / "t")
    assert not (tmp_path / "t").exists()
