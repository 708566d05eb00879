"""The tutorial, typed as it stands into a shell in an empty folder."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ir_measures")

from tests.docs_blocks import blocks_of

ROOT = Path(__file__).parents[2]


def test_the_tutorial_runs_and_finds_what_it_says(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    typed = [line for block in blocks_of(page) if not block.reason for line in block.text]
    assert sum(line.startswith("sparseir ") for line in typed) >= 10
    command = f'sparseir() {{ {shlex.quote(sys.executable)} -m sparseir.cli "$@"; }}'
    script = "\n".join([command, "set -e", *(f"{line}\necho '---'" for line in typed)])
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shown = dict(zip(typed, done.stdout.split("---\n"), strict=False))

    def of(start: str) -> str:
        return next(text for line, text in shown.items() if line.startswith(start))

    assert of("sparseir search house").split()[2] == "deposit.md"
    assert "return" in of("sparseir explain house")
    assert "1 document deleted" in of("sparseir index delete")
    assert ": sound; " in of("sparseir index verify")
    assert [line.split()[2:] for line in of("sparseir search news").splitlines()] == [
        ["3", "year=2022", "city=York"],
        ["2", "year=2021", "city=York"],
    ]
    assert of("sparseir evaluate").split()[-3:] == ["1.0000"] * 3
