"""The recipes that ship, by name."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from sparseir.errors import ConfigError

RECIPE_FILE = "recipe.yaml"
"""Name of the recipe in the folder of a model that was trained with it."""


def recipe_names() -> list[str]:
    """What `sparseir train` and `load_recipe` take in place of a path."""
    return sorted(path.stem for path in _folder().glob("*.yaml"))


def describe(name: str) -> str:
    """The first sentence of a recipe's opening comment."""
    comment = re.match(r"(#.*\n)*", (_folder() / f"{name}.yaml").read_text(encoding="utf-8"))
    text = " ".join(line.lstrip("# ") for line in comment[0].splitlines()) if comment else ""
    return re.split(r"(?<=\.)\s+(?=[A-Z])", text)[0]


def recipe_path(given: str | Path) -> Path:
    """The file of a recipe: of a name, a file, or a model folder.

    What ends in .yaml or contains a slash is a path. Anything else is the name of a shipped recipe, whatever files the
    current folder has: `scifact` means the same everywhere, and `./scifact` is the file.

    Raises
    ------
    ConfigError : no recipe has this name; the message lists those there are.
    """
    path = _shipped(given, _folder(), "recipe")
    return path / RECIPE_FILE if path.is_dir() else path


def ablation_path(given: str | Path) -> Path:
    """The file of a grid of recipes: of a name of configs/ablations or a file, told apart as for `recipe_path`.

    Raises
    ------
    ConfigError : no grid has this name; the message lists those there are.
    """
    return _shipped(given, _folder() / "ablations", "grid of recipes")


def _shipped(given: str | Path, folder: Path, what: str) -> Path:
    text, path = str(given), Path(given)
    if not isinstance(given, str) or "/" in text or text.endswith((".yaml", ".yml")):
        return path
    names = sorted(file.stem for file in folder.glob("*.yaml"))
    if text not in names:
        close = difflib.get_close_matches(text, names, n=1)
        hint = f"; did you mean {close[0]!r}" if close else ""
        hint = f"; for what is here under this name say ./{text}" if path.exists() else hint
        raise ConfigError(f"no {what} {text!r}; there are {', '.join(names)}{hint}")
    return folder / f"{text}.yaml"


def _folder() -> Path:
    """Inside the package where it was installed from a wheel, at the top of a checkout."""
    installed = Path(__file__).parents[1] / "configs"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "configs"
