"""A recipe as a command is given it: its name or file, and `--set`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sparseir.cli import arguments

if TYPE_CHECKING:
    from sparseir.config.recipe import Recipe


def chosen_recipe(given: str, overrides: Sequence[str] | None) -> Recipe:
    """The recipe with what was set.

    Raises
    ------
    arguments.BadParameter : a setting that no recipe takes, or that this one does not take though it is right without it.
    ConfigError : no such recipe, or the file itself is at fault.
    """
    from sparseir.config.recipe import load_recipe
    from sparseir.errors import ConfigError

    check_settings(overrides)
    try:
        return load_recipe(given, overrides or ())
    except ConfigError:
        load_recipe(given)  # a fault of the file is the file's
        with arguments.usage():
            raise


def check_settings(overrides: Sequence[str] | None) -> None:
    """Refuse what is no setting of any recipe.

    Raises
    ------
    arguments.BadParameter
    """
    from sparseir.config.loader import apply_overrides

    with arguments.usage():
        apply_overrides({}, overrides or ())
