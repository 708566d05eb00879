"""What is not installed is named with the line that installs it, in a core installation too."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from sparseir.errors import _EXTRAS, missing_extra

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("program", "purpose"),
    [
        ("from sparseir import cli; sys.exit(cli.run(['encode', 'm', 'c', '--output', 'v.npz']))", "sparseir encode"),
        ("from sparseir import Searcher, build_index; from sparseir import SparseEncoder", "sparseir.SparseEncoder"),
    ],
)
def test_without_torch_the_extra_is_named(program, purpose):
    program = f"import sys; sys.modules['torch'] = None; {program}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 1
    message = f"{purpose} needs torch, which is not installed; install it with: pip install 'sparseir[train]'"
    assert message in done.stderr.splitlines()[-1]


def test_the_extras_are_those_of_the_project():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for name, modules in _EXTRAS.items():
        listed = {text.split(">")[0].lower().replace("-", "_").removeprefix("py") for text in extras[name]}
        assert {m.lower() for m in modules} <= listed, name
    assert missing_extra(ModuleNotFoundError("x", name="torch.nn"), "y") is not None
    assert missing_extra(ModuleNotFoundError("x", name="elsewhere"), "y") is None
