"""Every recipe that ships trains: a few optimiser steps of each on a tiny model and collection."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from sparseir.config.model import ModelConfig  # noqa: E402
from sparseir.config.recipe import Recipe, load_recipe  # noqa: E402
from sparseir.models import SparseEncoder  # noqa: E402
from sparseir.train import train  # noqa: E402
from tests.tiny_collections import write_collection, write_scores, write_triples, write_vectors  # noqa: E402
from tests.tiny_models import save_cross_encoder, save_masked_lm  # noqa: E402

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")


@dataclass(frozen=True)
class Substitutes:
    """Tiny stand-ins for what recipes name."""

    base: Path
    collection: Path
    scores: Path
    triples: Path
    vectors: Path
    cross_encoder: Path
    sparse: Path

    def teacher(self, name: str) -> str:
        kind, _, given = name.partition(":")
        if kind == "scores":
            return f"scores:{self.triples if given.startswith('triples') else self.scores}"
        places = {"dense": self.base, "cross_encoder": self.cross_encoder, "sparse": self.sparse}
        return f"{kind}:{places[kind]}" if kind in places else name

    def overrides(self, recipe: Recipe, folder: Path) -> list[str]:
        """What a recipe's own place is not taken from: names of files and models, lengths, sizes."""
        data, loss = recipe.data, recipe.loss
        values = {
            "model.base": str(self.base),
            "model.max_document_length": 32,
            "data.max_document_length": 32,
            "data.dataset": [str(self.collection)] if data.datasets or recipe.loss.objective != "vectors" else [],
            "data.vectors": [str(self.vectors)] if data.vectors else [],
            "data.dev_dataset": str(self.collection) if data.dev_dataset else None,
            "loss.teachers": [self.teacher(name) for name in loss.teachers],
            "loss.teacher_cache": str(folder / "cache.jsonl") if loss.teacher_cache else None,
            "train.start_from": None,
            "train.steps": 2,
            "train.batch_size": 3,
            "train.device": "cpu",
            "train.evaluate_every": min(1, recipe.train.evaluate_every),
            "train.save_every": 0,
        }
        if data.triples:
            values |= {"data.triples": str(self.triples), "data.dataset": []}
        if recipe.model.kind == "deepct":  # which predicts next to nothing before it is trained
            values |= {"train.learning_rate": 0.05, "train.warmup_steps": 0}
        if recipe.train.sampled_terms:
            values["train.sampled_terms"] = 10
        return [f"{name}={json.dumps(value)}" for name, value in values.items()]


@pytest.fixture(scope="module")
def substitutes(tmp_path_factory: pytest.TempPathFactory) -> Substitutes:
    folder = tmp_path_factory.mktemp("tiny")
    base = save_masked_lm(folder / "base")
    SparseEncoder.from_config(ModelConfig(base=str(base), kind="splade")).save(folder / "sparse")
    return Substitutes(
        base,
        write_collection(folder / "collection"),
        write_scores(folder / "scores.jsonl"),
        write_triples(folder / "triples.jsonl"),
        write_vectors(folder / "vectors.jsonl"),
        save_cross_encoder(folder / "cross"),
        folder / "sparse",
    )


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_recipe_trains(path: Path, substitutes: Substitutes, tmp_path: Path) -> None:
    recipe = load_recipe(path, substitutes.overrides(load_recipe(path), tmp_path))
    result = train(recipe, tmp_path / "model")
    assert result.steps == 2
    assert all(math.isfinite(value) for value in result.figures.values())
    encoder = SparseEncoder.load(tmp_path / "model", device="cpu")
    assert encoder.kind == recipe.model.kind
    assert encoder.encode_documents(["the cats in the park"]).nnz > 0
