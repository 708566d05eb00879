"""Parameters of commands: how one is declared, and how argparse takes it."""

from __future__ import annotations

import argparse
import re
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

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
    min, max : of a number. pattern : a regular expression that all of a text matches. expected : what that is, in words.
    """

    def __init__(
        self,
        *decls: str,
        help: str = "",
        metavar: str | None = None,
        min: float | None = None,
        max: float | None = None,
        pattern: str | None = None,
        expected: str = "",
    ) -> None:
        self.param_decls, self.help, self.metavar, self.min, self.max = decls, help, metavar, min, max
        self.pattern, self.expected = pattern, expected


class Option(Parameter):
    """Given by name."""


class Argument(Parameter):
    """Given by its place."""


class Declared(NamedTuple):
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
        """Let a parser take it."""
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
        if self.how.pattern is not None and re.fullmatch(self.how.pattern, text) is None:
            raise argparse.ArgumentTypeError(f"{name} is {text!r}; expected {self.how.expected}")
        if self.kind is Path and re.match(r"[a-z][a-z0-9+.-]*://", text):
            raise argparse.ArgumentTypeError(
                f"{name} is {text!r}, an address; expected a file or folder of this machine"
            )
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


def declared(name: str, hint: Any, default: Any) -> Declared:
    """A parameter as its annotation declares it.

    Raises
    ------
    TypeError : the annotation holds neither an Option nor an Argument.
    """
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
    return Declared(name, how, decls or (f"--{name.replace('_', '-')}",), kind, many, default)
