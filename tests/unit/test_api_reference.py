"""Docstrings become the lists of the API reference, and every module that it names is there."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.api_reference import MODULES, entries, markdown

ROOT = Path(__file__).parents[2]


def test_names_that_share_a_line_are_items_of_their_own():
    assert entries(
        ["path : the folder. k : most hits", "    of each, e.g. 3 : 4.", "a, b : two of them.", "more : others."]
    ) == [
        "- **path**: the folder.",
        "- **k**: most hits of each, e.g. 3 : 4.",
        "- **a, b**: two of them.",
        "- **more**: others.",
    ]
    assert entries(["A sentence that goes", "on. x : a name"]) == ["A sentence that goes on.", "- **x**: a name"]


def test_sections_become_headings():
    text = "Does it.\n\nParameters\n----------\nx : a number.\n\nRaises\n------\nDataError : no number.\n"
    assert [line for line in markdown(text).splitlines() if line] == [
        "Does it.",
        "###### Parameters",
        "- **x**: a number.",
        "###### Raises",
        "- **DataError**: no number.",
    ]
    assert markdown("One line.") == "One line."


@pytest.mark.parametrize("name", MODULES)
def test_the_modules_of_the_reference_are_there(name):
    assert importlib.util.find_spec(name) is not None


def test_the_pages_are_made(tmp_path):
    pytest.importorskip("pdoc")
    subprocess.run(
        [sys.executable, "-m", "tests.api_reference", str(tmp_path)], cwd=ROOT, check=True, capture_output=True
    )
    page = (tmp_path / "sparseir.html").read_text(encoding="utf-8")
    assert "<strong>any_model</strong>: accept a model" in page
    for name in MODULES:
        assert (tmp_path / f"{name.replace('.', '/')}.html").is_file(), name
