"""The benchmark of large training data, whole, at a size that takes a minute."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from bench.training.big_data import run
from tests.tiny_models import save_masked_lm

pytestmark = pytest.mark.slow


def test_every_stage_runs(tmp_path: Path) -> None:
    """Prepare, verify, mine twice, score, both loaders, a run of training and one on two ranks."""
    options = Namespace(
        folder=tmp_path / "big", passages=400, queries=40, mined=20, batch_size=2, steps=4, seconds=0.5,
        base=str(save_masked_lm(tmp_path / "base")),
    )  # fmt: skip
    result = run(options)
    assert (result["passages"], result["queries"]) == (400, 40)
    assert result["loader_0"]["learnable_queries"] == result["loader_1"]["learnable_queries"] > 30
    assert result["loader_0"]["texts_per_batch"] == 6
    assert result["train"]["last"]["step"] <= 4
    tables = {path.name for path in (options.folder / "prepared" / "tables").iterdir()}
    assert {"negatives.first", "scores.again", "scores.dense"} <= tables
    assert all(result[stage]["seconds"] > 0 for stage in ("prepare", "verify", "mine_first", "score", "two_ranks"))
