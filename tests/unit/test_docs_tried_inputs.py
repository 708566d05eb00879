"""The page of tried inputs shows what commands say now."""

from __future__ import annotations

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("ir_measures")
from indexer.errors import MissingExtraError
from indexer.format.zstandard import zstandard
from tests.tried_inputs import PAGE, PARTS, page


def test_the_page_of_tried_inputs_is_true():
    try:
        zstandard("the page")
    except MissingExtraError as missing:
        pytest.skip(str(missing))
    written, found = PAGE.read_text(encoding="utf-8").splitlines(), page().splitlines()
    assert len(written) == len(found), "python -m tests.tried_inputs writes the page"
    for was, now in zip(written, found, strict=True):
        assert was == now


def test_every_fault_is_one_error_that_says_what_to_do():
    for title in ("Texts at fault", "Questions at fault"):
        rows = PAGE.read_text(encoding="utf-8").split(f"## {title}")[1].split("## ")[0].splitlines()
        seen = [row.split(" | ")[2:] for row in rows if row.startswith("| ") and not row.startswith("| brought")]
        assert len(seen) == len(list(PARTS[title]()))
        for code, said in seen:
            assert code == "0" or said.startswith("`error: ")
            assert "Traceback" not in said
