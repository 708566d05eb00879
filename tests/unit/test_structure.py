"""The tool that prints the structure of a checkout, and what it must say of this one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.structure import _circles, _longest_chain, sizes

ROOT = Path(__file__).parents[2]


def test_chains_and_circles_by_hand():
    """a → b ⇄ c → d, and e → d: the circle counts as one, so the longest chain has three floors."""
    edges = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set(), "e": {"d"}}
    circles = tuple(_circles(edges))
    assert circles == (("b", "c"),)
    assert _longest_chain(edges, circles) == ("a", "b", "d")


def test_sizes_leave_out_what_was_built(tmp_path):
    for name, text in (
        ("x/a.py", "1\n2\n"),
        ("x/b.c", "3\n"),
        ("x/n.md", "4\n"),
        ("build/c.py", "5\n"),
        (".h/d.py", "6\n"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert sizes(tmp_path) == {"x": (2, 3)}


@pytest.mark.parametrize("package", ["indexer", "sparseir"])
def test_no_package_imports_in_a_circle(package):
    done = subprocess.run(
        [sys.executable, "-m", "tests.structure"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith(f"{package}:")]
    assert len(lines) == 2
    assert all(line.endswith(" 0 circles") for line in lines), done.stdout
