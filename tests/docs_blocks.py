"""The blocks of a page of the documentation, and running them: shell as somebody types it, Python as one program a page.

A block is a run of indented lines. One that cannot run here has a comment before it that says why:

    <!-- not run: starts a server -->

and a page of which none can has one in its head: <!-- blocks not run: need a GPU -->.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparseir import cli

ROOT = Path(__file__).parents[1]
_REASON = re.compile(r"<!-- not run: (.+?) -->")
_PAGE_REASON = re.compile(r"<!-- blocks not run: (.+?) -->", re.DOTALL)
_SHELL = re.compile(
    r"(?:[A-Z_]+=\S+ )*(?:sparseir|python3?|pip|make|printf|mkdir|cat|zcat|curl|head|chmod|torchrun|pytest|java|taskset) "
)
_PYTHON = re.compile(r"(?:from|import) \w")
_COMMENT = re.compile(r"(^|\s)#(\s.*)?$")
"""As in a shell, where a mark within a word begins none; shlex sees one there."""
_OPERATORS = re.compile(r"[|<>;&$]")


@dataclass(frozen=True)
class Block:
    """Indented lines.

    line : of the page, where they begin. kind : "shell", "python" or "other". reason : why they are not run, or "".
    """

    line: int
    text: tuple[str, ...]
    kind: str
    reason: str


def blocks_of(page: str) -> list[Block]:
    """All blocks of a page; lists, whose items are indented too, have none."""
    whole = _PAGE_REASON.search(page)
    found: list[Block] = []
    held: list[str] = []
    lines = page.splitlines()
    for number, line in enumerate([*lines, "end"], 1):
        if line.startswith("    ") or (held and not line.strip()):
            held.append(line.removeprefix("    "))
            continue
        if any(map(str.strip, held)):
            first = number - len(held)
            before = next((text for text in reversed(lines[: first - 1]) if text.strip()), "")
            text = tuple("\n".join(held).strip("\n").splitlines())
            marked = _REASON.search(before)
            reason = whole[1] if whole else marked[1] if marked else ""
            if not re.match(r"\s*(?:[-*]|\d+\.) ", before):
                found.append(Block(first, text, _kind(text), " ".join(reason.split())))
        held = []
    return found


def _kind(text: tuple[str, ...]) -> str:
    if any(_PYTHON.match(line) for line in text):
        return "python"
    return "shell" if any(_SHELL.match(line) for line in text) else "other"


class Page:
    """Runs the blocks of one page in their order, in one folder.

    Each `index build` of a page stands for itself: an index or an output that an earlier line made goes before it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._names = folder, dict[str, Any]()

    def run(self, block: Block) -> None:
        """Run a block; what fails is an AssertionError that names the line."""
        if block.kind == "python":
            exec(compile("\n".join(block.text), f"block at line {block.line}", "exec"), self._names)
            return
        for line in _commands(block.text):
            code = self._run_line(line)
            assert code == 0, f"line {block.line}: {line!r} exits with {code}"

    def _run_line(self, line: str) -> int:
        words = shlex.split(_COMMENT.sub("", line))
        self._clear(words)
        if words[0] == "sparseir" and not _OPERATORS.search(re.sub(r"\"[^\"]*\"|'[^']*'", "", line)):
            return cli.run(words[1:])
        program = f'sparseir() {{ {shlex.quote(sys.executable)} -m sparseir.cli "$@"; }}\nset -e -o pipefail\n{line}'
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": path, "HOME": str(self._folder)}
        return subprocess.run(["bash", "-c", program], cwd=self._folder, env=environment, check=False).returncode

    def _clear(self, words: list[str]) -> None:
        made = [words[words.index("--output") + 1]] if "--output" in words and "--resume" not in words else []
        at = words.index("build") if words[:1] != ["printf"] and "build" in words else None
        if at is not None:
            made.append(words[at + 1])
        for name in made:
            path = self._folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _commands(text: tuple[str, ...]) -> list[str]:
    """The commands of a shell block: lines, those that end in a backslash joined to the next."""
    joined = re.sub(r"\\\n\s*", " ", "\n".join(text))
    return [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]
