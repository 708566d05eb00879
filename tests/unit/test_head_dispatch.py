"""Which vocabulary head runs: by tiles of bfloat16 where the processor multiplies them, else the screen and the pieces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from indexer.native.tiles import tiles_usable

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from sparseir.config.model import ModelConfig  # noqa: E402
from sparseir.models import SparseEncoder  # noqa: E402
from sparseir.models.head import fused, tiles  # noqa: E402
from sparseir.models.head.screen import VocabularyScreen  # noqa: E402
from sparseir.models.head.tiles import VocabularyTiles, multiplies_tiles  # noqa: E402
from tests.tiny_models import TEXTS, save_masked_lm  # noqa: E402

needs_tiles = pytest.mark.skipif(not tiles_usable(), reason="this processor multiplies no tiles of bfloat16")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = save_masked_lm(tmp_path_factory.mktemp("bert"))
    torch.manual_seed(1)
    saved = tmp_path_factory.mktemp("splade")
    SparseEncoder.from_config(ModelConfig(base=str(base), kind="splade", max_document_length=32)).save(saved)
    return saved


def frozen_tower(folder: Path) -> Any:
    tower = SparseEncoder.load(folder, device="cpu").document_tower.to(torch.bfloat16).eval()
    tower.freeze()
    return tower


def without_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a processor without them; a product by tiles would end the test."""
    monkeypatch.setattr(tiles, "tiles_usable", lambda: False)
    monkeypatch.setattr(tiles, "TiledTerms", None)


def test_a_processor_without_tiles_encodes_by_the_screen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_tiles(monkeypatch)
    assert isinstance(frozen_tower(folder).frozen_head, VocabularyScreen)


@needs_tiles
def test_encoding_by_tiles_is_near_encoding_by_the_screen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    features = SparseEncoder.load(folder, device="cpu").tokenize_documents(TEXTS)
    by_tiles = frozen_tower(folder)
    assert isinstance(by_tiles.frozen_head, VocabularyTiles)
    with torch.no_grad():
        got = by_tiles(features)
        without_tiles(monkeypatch)
        want = frozen_tower(folder)(features)
    assert (want > 0).any()
    torch.testing.assert_close(got, want, rtol=2e-2, atol=2e-2)


def gradient(dtype: Any) -> Any:
    """Of the head's weights, from states of the dtype."""
    generator = torch.Generator().manual_seed(5)
    hidden = torch.randn(2, 5, 8, generator=generator).to(dtype)
    weight = torch.randn(11, 8, generator=generator, requires_grad=True)
    fused.max_logits(hidden, torch.ones(2, 5), weight, torch.zeros(11)).sum().backward()
    return weight.grad


def test_a_processor_without_tiles_trains_by_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    without_tiles(monkeypatch)
    torch.testing.assert_close(gradient(torch.bfloat16), gradient(torch.float32), rtol=2e-2, atol=2e-2)


@needs_tiles
def test_training_in_bfloat16_is_by_tiles_and_in_float32_by_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "_by_pieces", None)
    assert gradient(torch.bfloat16).abs().sum() > 0
    monkeypatch.undo()
    monkeypatch.setattr(fused, "_by_tiles", None)
    assert gradient(torch.float32).abs().sum() > 0


def test_tiles_are_for_bfloat16_on_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "tiles_usable", lambda: True)
    assert multiplies_tiles(torch.bfloat16, torch.device("cpu"))
    assert not multiplies_tiles(torch.float32, torch.device("cpu"))
    assert not multiplies_tiles(torch.float16, torch.device("cpu"))
    assert not multiplies_tiles(torch.bfloat16, torch.device("cuda"))
