"""The recipes that ship: complete, valid, and the reference lists every key at its default."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparseir.config.recipe import Recipe, load_recipe
from sparseir.errors import ConfigError

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_is_complete_and_says_what_it_is(path: Path) -> None:
    load_recipe(path)
    assert path.read_text(encoding="utf-8").startswith("# ")


def test_the_reference_holds_every_key_at_its_default() -> None:
    assert load_recipe(CONFIGS / "reference.yaml") == Recipe()


def test_general_learns_from_nothing_it_is_judged_on() -> None:
    for name in ("general", "general_vectors"):
        data = load_recipe(CONFIGS / f"{name}.yaml").data
        sources = " ".join((*data.datasets, *data.vectors))
        assert not any(judged in sources for judged in ("scifact", "nfcorpus", "msmarco", "cranfield"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("loss.kl=1.0", "kl and margin_mse learn from teachers"),
        ("loss.teachers=[elephant]", "'elephant' is not bm25"),
        ("loss.info_nce=0.0", "all ranking losses have weight 0"),
        ("regulariser.kind=flop", "did you mean 'flops'"),
        ("regulariser.df_alpha=1.0", "strictly between 0 and 1"),
        ("regulariser.target_active_dims=-1.0", "needs a target"),
        ("data.title_queries=2.0", "a share from 0 to 1"),
        ("data.max_queries=0", "max_queries: expected at least 1 or null"),
        ("train.steps=0", "steps: expected at least 1"),
        ("train.early_stop=2", "needs evaluate_every"),
        ("train.learning_rate=0.0", "learning_rate: expected a positive number"),
        ("train.step=3", "did you mean 'steps'"),
    ],
)
def test_wrong_values_are_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe(CONFIGS / "reference.yaml", [override])
