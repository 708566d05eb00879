"""docs/architecture.md names the tree as it is: every file, folder and identifier, and every folder of code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
PATH = r"(?:native|indexer|sparseir|configs|tests|bench|docs)/[\w./-]*"
DRAWN = re.findall(rf"^    ({PATH})", PAGE, re.M)


def test_every_file_and_folder_it_names_exists():
    named = {name.rstrip(".") for name in re.findall(rf"(?<![\w/])({PATH})", PAGE)}
    assert len(named) > 60
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


@pytest.mark.parametrize(("path", "name"), sorted(set(re.findall(rf"`({PATH}): (\w+)`", PAGE))))
def test_a_file_defines_what_the_page_finds_in_it(path, name):
    text = (ROOT / path).read_text(encoding="utf-8")
    assert re.search(rf"^(?:def |class )?{name}\b", text, re.M), f"{path} does not define {name}"


def test_every_folder_of_code_is_drawn():
    sources = [
        path
        for top in ("native", "indexer", "sparseir")
        for path in (ROOT / top).rglob("*")
        if path.suffix in (".c", ".h", ".py", ".cu")
    ]
    folders = {f"{path.parent.relative_to(ROOT)}/" for path in sources} - {"native/cuda/emulation/"}
    assert sorted(folders - set(DRAWN)) == []
