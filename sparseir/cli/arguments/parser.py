"""An argparse parser that speaks as this program does."""

from __future__ import annotations

import argparse
import sys
from typing import Any, NoReturn


def usage_error(path: str, message: str) -> int:
    """Say what was wrong with the usage of a command; the exit code of wrong usage."""
    first, newline, shown = message.partition("\n")  # what follows shows the place of the fault
    print(f"error: {first}; see {path} --help{newline}{shown}", file=sys.stderr)
    return 2


def nearest(name: str, known: Any) -> str:
    """The end of a message about an unknown name: the known one that is most like it, if any is."""
    import difflib

    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


class _Help(argparse.HelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=None)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(indent + line for line in text.splitlines())


class Parser(argparse.ArgumentParser):
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
                f"no option {first}{nearest(first, known)}"
                if first.startswith("-")
                else f"one argument too many: {unknown}"
            )
        sys.exit(usage_error(self.prog, message))
