"""Commands as functions: their signatures say what they take, and argparse reads it.

A parameter is annotated with an `arguments.Option` or an `Argument`, as commands of typer are; typer itself, with the validation
library under it, took longer to import than a search takes.
"""

from __future__ import annotations

import argparse
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from textwrap import dedent
from typing import Annotated, Any, NamedTuple, NoReturn, Union, get_args, get_origin, get_type_hints

from indexer.errors import ConfigError

REQUIRED = object()
"""The default of what must be given."""


class BadParameter(Exception):
    """Wrong usage: what was given and what was expected. The command line adds the name of the command and exits with 2."""


@contextmanager
def usage() -> Iterator[None]:
    """What refuses the value of an option, whatever a command reads, is refused as wrong usage."""
    try:
        yield
    except ConfigError as error:
        raise BadParameter(str(error)) from error


class Parameter:
    """How one parameter of a command is given.

    Parameters
    ----------
    decls : names of an option where they are not --PARAMETER. A bool is a flag.
    help : for --help. metavar : what stands for a value there.
    min, max : of a number.
    """

    def __init__(
        self,
        *decls: str,
        help: str = "",
        metavar: str | None = None,
        min: float | None = None,
        max: float | None = None,
    ) -> None:
        self.param_decls, self.help, self.metavar, self.min, self.max = decls, help, metavar, min, max


class Option(Parameter):
    """Given by name."""


class Argument(Parameter):
    """Given by its place."""


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
    def params(self) -> list[_Declared]:
        """Its parameters, in their order."""
        hints = get_type_hints(self.function, include_extras=True)
        code, defaults = self.function.__code__, self.function.__defaults__ or ()
        names = code.co_varnames[: code.co_argcount]
        given = [*[REQUIRED] * (len(names) - len(defaults)), *defaults]
        return [_declared(name, hints[name], default) for name, default in zip(names, given, strict=True)]

    def parse(self, words: Sequence[str]) -> dict[str, Any]:
        """Values by parameter.

        Raises
        ------
        SystemExit : wrong usage, after saying so on stderr; or --help.
        """
        parser = _Parser(self.path, self.help)
        for declared in self.params:
            declared.add_to(parser)
        return vars(parser.parse_intermixed_args(list(words)))

    def run(self, words: Sequence[str]) -> int:
        """Parse and run; the exit code."""
        values = self.parse(words)
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
            return usage_error(self.path, f"no {what} {name}{_nearest(name, self._entries)}")
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


def usage_error(path: str, message: str) -> int:
    """Say what was wrong with the usage of a command; the exit code of wrong usage."""
    first, newline, shown = message.partition("\n")  # what follows shows the place of the fault
    print(f"error: {first}; see {path} --help{newline}{shown}", file=sys.stderr)
    return 2


def _nearest(name: str, known: Any) -> str:
    import difflib

    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


class _Declared(NamedTuple):
    """A parameter of a command, with its type and default.

    Parameters
    ----------
    opts : names of an option; the one name of an argument. kind : of one value. many : it is a list.
    default : REQUIRED where it must be given.
    """

    name: str
    how: Any
    opts: tuple[str, ...]
    kind: type
    many: bool
    default: Any

    @property
    def is_argument(self) -> bool:
        return not self.opts[0].startswith("-")

    @property
    def is_flag(self) -> bool:
        return self.kind is bool

    @property
    def required(self) -> bool:
        return self.default is REQUIRED

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        metavar = self.how.metavar or self.name.upper()
        told = "" if self.required or self.default in (None, False, "") or self.many else f" [{self.default}]"
        options: dict[str, Any] = {"help": (self.how.help + told).replace("%", "%%")}
        if self.is_flag:
            parser.add_argument(*self.opts, dest=self.name, action="store_true", **options)
            return
        options |= {"type": self._value, "metavar": metavar}
        if self.is_argument:
            nargs = ("+" if self.required else "*") if self.many else (None if self.required else "?")
            default = None if self.required else self.default
            parser.add_argument(self.name, nargs=nargs, default=default, **options)
            return
        action = "append" if self.many else "store"
        default = None if self.required else self.default
        parser.add_argument(
            *self.opts, dest=self.name, action=action, required=self.required, default=default, **options
        )

    def _value(self, text: str) -> Any:
        name = self.opts[0] if not self.is_argument else self.name.upper()
        if self.kind in (str, Path):
            return self.kind(text)
        try:
            value = self.kind(text)
        except ValueError:
            what = "a whole number" if self.kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{name} is {text!r}; expected {what}") from None
        low, high = self.how.min, self.how.max
        if not ((low is None or value >= low) and (high is None or value <= high)):
            limits = (
                f"at least {low:g}"
                if high is None
                else f"{low:g} to {high:g}"
                if low is not None
                else f"at most {high:g}"
            )
            raise argparse.ArgumentTypeError(f"{name} is {text}; expected {limits}")
        return value


def _declared(name: str, hint: Any, default: Any) -> _Declared:
    if get_origin(hint) is not Annotated:
        raise TypeError(f"parameter {name!r} of a command has no Option or Argument")
    annotation, how, *_ = get_args(hint)
    if get_origin(annotation) in (Union, types.UnionType):
        annotation = next(a for a in get_args(annotation) if a is not type(None))
    many = get_origin(annotation) is list
    kind = get_args(annotation)[0] if many else annotation
    decls = tuple(how.param_decls or ())
    if isinstance(how, Argument):
        decls = (name,)
    return _Declared(name, how, decls or (f"--{name.replace('_', '-')}",), kind, many, default)


class _Help(argparse.HelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=None)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(indent + line for line in text.splitlines())


class _Parser(argparse.ArgumentParser):
    """An argparse parser whose errors are of the one style of this program."""

    def __init__(self, path: str, help: str) -> None:
        super().__init__(prog=path, description=help, formatter_class=_Help, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        prefix, _, rest = message.partition(": ")
        if message.startswith("argument ") and rest:
            # argparse says "argument -k: …" before what we say of -k ourselves.
            message = rest if " is " in rest else f"{prefix.removeprefix('argument ')}: {rest}"
        unknown = message.removeprefix("unrecognized arguments: ")
        if unknown != message:
            first = unknown.split()[0]
            known = list(self._option_string_actions)
            message = (
                f"no option {first}{_nearest(first, known)}"
                if first.startswith("-")
                else f"one argument too many: {unknown}"
            )
        sys.exit(usage_error(self.prog, message))


def leaves(group: Group) -> Iterator[tuple[list[str], Command]]:
    """(words, command) of every command under a group."""
    for name, entry in group.commands.items():
        if isinstance(entry, Command):
            yield [name], entry
        else:
            yield from (([name, *words], command) for words, command in leaves(entry))
