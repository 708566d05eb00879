"""The table of linter answers in docs/exports.md is what the linter answers."""

from pathlib import Path

from bench.stores.linter import table

PAGE = Path(__file__).parents[2] / "docs" / "exports.md"


def test_the_table_is_as_the_linter_answers():
    assert table() in PAGE.read_text(encoding="utf-8")
