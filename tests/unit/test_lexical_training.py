"""`loss.lexical_channel`: the student's score is its own plus α times BM25, as in an index with both channels."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from indexer.progress import silent  # noqa: E402
from sparseir.config.loss import LossConfig  # noqa: E402
from sparseir.config.recipe import Recipe  # noqa: E402
from sparseir.errors import ConfigError  # noqa: E402
from sparseir.lexical.memory import BM25  # noqa: E402
from sparseir.losses.ranking import info_nce  # noqa: E402
from sparseir.models import SparseEncoder  # noqa: E402
from sparseir.train.tasks.ranking import build  # noqa: E402
from tests.tiny_collections import write_collection  # noqa: E402
from tests.tiny_models import save_masked_lm  # noqa: E402

ALPHA = 1.5


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_masked_lm(tmp_path_factory.mktemp("base"))


def recipe_of(base: Path, collection: Path, *, alpha: float, in_batch: bool) -> Recipe:
    recipe = Recipe()
    return dataclasses.replace(
        recipe,
        model=dataclasses.replace(recipe.model, base=str(base), max_document_length=32),
        data=dataclasses.replace(recipe.data, dataset=str(collection), negatives=(), num_negatives=1),
        loss=dataclasses.replace(recipe.loss, lexical_channel=alpha, in_batch=in_batch),
        train=dataclasses.replace(recipe.train, batch_size=3, bf16=False, device="cpu"),
    )


@pytest.mark.parametrize("in_batch", [True, False])
def test_a_silent_student_ranks_as_bm25_and_another_adds_to_it(base: Path, tmp_path: Path, in_batch: bool) -> None:
    collection = write_collection(tmp_path / "tiny")
    recipe = recipe_of(base, collection, alpha=ALPHA, in_batch=in_batch)
    encoder = SparseEncoder.from_config(recipe.model, device="cpu")
    objective, batches = build(recipe, encoder, silent)
    batch = batches[0]
    each = len(batch.documents) // len(batch.queries)
    index = BM25(batches.texts)
    places = [list(batches.texts).index(text) for text in batch.documents]
    whole = ALPHA * torch.from_numpy(np.stack([index.scores(query)[places] for query in batch.queries])).float()
    own = torch.stack([whole[i, i * each : (i + 1) * each] for i in range(len(batch.queries))])
    expected = whole if in_batch else own
    assert expected.abs().max() > 0.5
    torch.testing.assert_close(batch.lexical, expected)

    losses = {}
    for bias in (0.0, -1e4):  # with the second no term of any text is above zero
        with torch.no_grad():
            encoder.document_tower.backbone.decoder.bias.fill_(bias)
            objective(batch)
            losses[bias] = objective.figures["info_nce"]
    if in_batch:
        target = torch.arange(len(batch.queries)) * each
        others = batch.known.clone()
        others[torch.arange(len(target)), target] = False
        expected = expected.masked_fill(others, -1e4)
    else:
        target = torch.zeros(len(batch.queries), dtype=torch.long)
    assert losses[-1e4] == pytest.approx(float(info_nce(expected, target)), rel=1e-5)
    assert losses[0.0] != pytest.approx(losses[-1e4], rel=1e-3)


def test_without_the_channel_bm25_is_not_computed(base: Path, tmp_path: Path) -> None:
    recipe = recipe_of(base, write_collection(tmp_path / "tiny"), alpha=0.0, in_batch=True)
    _, batches = build(recipe, SparseEncoder.from_config(recipe.model, device="cpu"), silent)
    assert batches[0].lexical is None


def test_bad_values() -> None:
    with pytest.raises(ConfigError, match="lexical_channel: expected at least 0, found -1"):
        LossConfig(lexical_channel=-1)
    with pytest.raises(ConfigError, match="lexical_channel: belongs to the objective ranking, not to vectors"):
        LossConfig(lexical_channel=1, objective="vectors")
