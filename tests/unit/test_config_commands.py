"""`sparseir config`: recipes by name, by file and by the model folder they made; what sets two of them apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sparseir import cli
from sparseir.config.recipe import differences, load_recipe
from sparseir.config.recipes import describe, recipe_names, recipe_path

CONFIGS = Path(__file__).parents[2] / "configs"


def run(capsys, *arguments):
    code = cli.run(["config", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_every_recipe_is_listed_with_a_line(capsys):
    code, out, _ = run(capsys, "list", "--json")
    assert code == 0
    rows = {row["name"]: row for row in json.loads(out)["recipes"]}
    assert sorted(rows) == sorted(path.stem for path in CONFIGS.glob("*.yaml"))
    assert all(Path(row["path"]).samefile(CONFIGS / f"{name}.yaml") for name, row in rows.items())
    assert all(len(row["about"]) > 20 and "\n" not in row["about"] for row in rows.values())
    code, out, _ = run(capsys, "list")
    assert [line.split()[0] for line in out.splitlines()] == sorted(rows)


def test_a_description_is_the_first_sentence_of_the_opening_comment():
    assert describe("splade_pp") == "SPLADE++: Formal et al. 2022, arXiv:2205.04733."


def test_a_name_means_the_recipe_whatever_the_folder_holds(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("scifact").write_text("model: 3\n")
    assert load_recipe("scifact") == load_recipe(CONFIGS / "scifact.yaml")
    code, _, err = run(capsys, "show", "./scifact")
    assert code == 1
    assert "scifact: " in err
    assert "faults" in err


@pytest.mark.parametrize(
    ("given", "hint"),
    [("scifcat", "; did you mean 'scifact'"), ("zzz", ""), ("mine", "; for what is here under this name say ./mine")],
)
def test_a_name_that_is_none_is_refused_with_those_there_are(given, hint, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    code, out, err = run(capsys, "show", given)
    assert (code, out) == (1, "")
    assert err == f"error: no recipe {given!r}; there are {', '.join(recipe_names())}{hint}\n"


def test_a_model_folder_stands_for_the_recipe_in_it(tmp_path, capsys):
    recipe = (CONFIGS / "demo.yaml").read_text(encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text(recipe.replace("steps: 200", "steps: 201"), encoding="utf-8")
    assert recipe_path(f"{tmp_path}/") == tmp_path / "recipe.yaml"
    code, out, err = run(capsys, "diff", "demo", tmp_path)
    assert (code, out, err) == (0, "train.steps: 200 → 201\n", "")
    assert run(capsys, "diff", "demo", CONFIGS / "demo.yaml") == (0, "", "no key differs\n")
    _, out, _ = run(capsys, "diff", "scifact", tmp_path, "--json")
    assert json.loads(out)["differences"]["train.steps"] == [600, 201]


def test_two_recipes_differ_by_key_and_one_of_another_version_has_defaults():
    old = {"train": {"steps": 5, "gone": 1, "learning_rate": "1e-4"}}
    new = {"train": {"steps": 6, "learning_rate": 0.0001, "warmup_steps": load_recipe("reference").train.warmup_steps}}
    assert differences(old, new) == {"train.steps": (5, 6), "train.gone": (1, None)}
