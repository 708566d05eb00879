"""What README and docs tell people to type exists: commands, their options, keys of recipes, files."""

from __future__ import annotations

import dataclasses
import re
import shlex
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from sparseir.cli.app import command_tree
from sparseir.cli.arguments import leaves
from sparseir.config.recipe import Recipe

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "bench" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
SECTIONS = {name: {f.name for f in dataclasses.fields(section)} for name, section in get_type_hints(Recipe).items()}


def commands(page: Path) -> list[tuple[str, bool]]:
    """(command line, whether it stands in a block to be pasted) of every `sparseir …` of a page."""
    found = []
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("    sparseir "):
            found.append((re.split(r" #| >>? ", line)[0].strip(), True))
        elif not line.startswith("    "):
            inline = re.findall(r"`(sparseir [^`…]+)", line)
            found += [(text, False) for text in inline if text.split()[1] in command_tree().commands]
    return found


def leaf(words: list[str]) -> tuple[Any, list[str]]:
    """The command that the words name, and the words that are left."""
    command = command_tree()
    while words and hasattr(command, "commands"):
        name, *words = words
        assert name in command.commands, f"no command {name}"
        command = command.commands[name]
    return command, words


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_of_a_page_exist_with_their_options(page):
    for line, whole in commands(page):
        command, words = leaf(shlex.split(line)[1:])
        options = {name for parameter in command.params for name in parameter.opts}
        assert {w for w in words if re.match("--?[a-z]", w)} <= options | {"--help"}, line
        if whole:
            command.parse(words)  # refuses what is missing, unknown or of a wrong type


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_keys_of_recipes_and_files_that_a_page_names_exist(page):
    text = page.read_text(encoding="utf-8")
    for section, key in re.findall(rf"`({'|'.join(SECTIONS)})\.(\w+)(?![\w(/])", text):
        assert key in SECTIONS[section] or (section, key) == ("train", "jsonl"), (
            f"{section}.{key}"
        )  # train.jsonl: a log
    for name in re.findall(
        r"(?:configs|docs|bench|tests|native|sparseir|indexer)/[\w./-]+\.(?:md|py|yaml|c|h|json)\b", text
    ):
        assert (ROOT / name).is_file(), name
    for name in re.findall(r"\bpython -m ((?:bench|tests|sparseir)[\w.]*\w)", text):
        module = ROOT / name.replace(".", "/")
        assert module.with_suffix(".py").is_file() or (module / "__main__.py").is_file(), name


@pytest.mark.parametrize(("words", "command"), [pytest.param(w, c, id=" ".join(w)) for w, c in leaves(command_tree())])
def test_the_help_of_a_command_has_examples_that_it_takes(words, command):
    head = ["sparseir", *words]
    examples = [line for line in command.help.splitlines() if "sparseir" in line.split() and line.startswith("  ")]
    assert examples
    for line in examples:
        given = shlex.split(re.split(r" >>? ", line.rpartition("| ")[2])[0])
        assert given[: len(head)] == head
        command.parse(given[len(head) :])
