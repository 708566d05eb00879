"""Commands and groups of commands: functions, run with what argparse makes of the words given."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from textwrap import dedent
from typing import Any, get_type_hints

from sparseir.cli.arguments.parameters import REQUIRED, BadParameter, Declared, declared
from sparseir.cli.arguments.parser import Parser, nearest, usage_error


class Command:
    """One command.

    Parameters
    ----------
    path : its words, "sparseir index build". function : what it runs, whose docstring is its help.
    """

    def __init__(self, path: str, function: Callable[..., None]) -> None:
        self.path, self.function = path, function
        first, _, rest = (function.__doc__ or "").partition("\n")
        self.help = f"{first}\n{dedent(rest)}".strip()

    @property
    def params(self) -> list[Declared]:
        """Its parameters, in their order."""
        hints = get_type_hints(self.function, include_extras=True)
        code, defaults = self.function.__code__, self.function.__defaults__ or ()
        names = code.co_varnames[: code.co_argcount]
        given = [*[REQUIRED] * (len(names) - len(defaults)), *defaults]
        return [declared(name, hints[name], default) for name, default in zip(names, given, strict=True)]

    def parse(self, words: Sequence[str]) -> dict[str, Any]:
        """Values by parameter.

        Raises
        ------
        SystemExit : wrong usage, after saying so on stderr; or --help.
        """
        parser = Parser(self.path, self.help)
        for parameter in self.params:
            parameter.add_to(parser)
        return vars(parser.parse_intermixed_args(list(words)))

    def run(self, words: Sequence[str]) -> int:
        """Parse and run; the exit code."""
        values = self.parse(words)
        gc.enable()
        try:
            self.function(**values)
        except BadParameter as error:
            return usage_error(self.path, str(error))
        return 0


class Group:
    """Commands under one word.

    Parameters
    ----------
    help : a sentence.
    """

    def __init__(self, help: str) -> None:
        self.help, self.path = help, "sparseir"
        self._entries: dict[str, Callable[..., None] | str] = {}

    def command(self, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
        """Register a function."""

        def add(function: Callable[..., None]) -> Callable[..., None]:
            self._entries[name] = function
            return function

        return add

    def add_lazy(self, name: str, place: str) -> None:
        """Register "module:name" of a function or of a group, imported when it is asked for."""
        self._entries[name] = place

    @property
    def names(self) -> list[str]:
        return list(self._entries)

    @property
    def commands(self) -> dict[str, Command | Group]:
        """All of them, imported."""
        return {name: self.get(name) for name in self._entries}

    def get(self, name: str) -> Command | Group:
        """One of them."""
        entry = self._entries[name]
        if isinstance(entry, str):
            module, _, attribute = entry.partition(":")
            entry = getattr(import_module(module), attribute)
        path = f"{self.path} {name}"
        if isinstance(entry, Group):
            entry.path = path
            return entry
        return Command(path, entry)

    def run(self, words: Sequence[str]) -> int:
        """Run the command that the words begin with; the exit code."""
        if not words or words[0] in ("-h", "--help"):
            print(self.help_text(), file=sys.stdout if words else sys.stderr)
            return 0 if words else 2
        name, *rest = words
        if name not in self._entries:
            what = "option" if name.startswith("-") else "command"
            return usage_error(self.path, f"no {what} {name}{nearest(name, self._entries)}")
        return self.get(name).run(rest)

    def help_text(self) -> str:
        """What --help prints."""
        commands = self.commands
        width = max(map(len, commands))
        lines = [f"  {name:{width}}  {command.help.splitlines()[0]}" for name, command in commands.items()]
        usage = f"usage: {self.path} COMMAND …"
        return "\n".join(
            [usage, "", self.help, "", *lines, "", f"`{self.path} COMMAND --help` shows options and examples."]
        )


def leaves(group: Group) -> Iterator[tuple[list[str], Command]]:
    """(words, command) of every command under a group."""
    for name, entry in group.commands.items():
        if isinstance(entry, Command):
            yield [name], entry
        else:
            yield from (([name, *words], command) for words, command in leaves(entry))
