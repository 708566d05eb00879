"""Commands as functions: their signatures say what they take, and argparse reads it.

A parameter is annotated with an `arguments.Option` or an `Argument`, as commands of typer are; typer itself, with the validation
library under it, took longer to import than a search takes.
"""

from __future__ import annotations

from sparseir.cli.arguments.commands import Command, Group, leaves
from sparseir.cli.arguments.parameters import Argument, BadParameter, Option, usage

__all__ = ["Argument", "BadParameter", "Command", "Group", "Option", "leaves", "usage"]
