"""Pictures of quality against cost."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="the extra 'plot' is not installed")

from sparseir.evaluate.report.plots import draw_plots
from sparseir.evaluate.report.rows import SystemResult


def result(system: str, quality: float, **costs: float | None) -> SystemResult:
    return SystemResult(
        system=system,
        dataset="parts/one",
        split="test",
        measures={"nDCG@10": quality},
        intervals={"nDCG@10": (quality - 0.1, quality + 0.1)},
        num_documents=10,
        num_queries=4,
        **costs,  # type: ignore[arg-type]
    )


def test_a_picture_a_cost_of_the_systems_that_have_it(tmp_path: Path) -> None:
    """Only one system has active terms, so that picture would show nothing; a fusion has no cost of its own."""
    systems = [
        result("BM25", 0.5, p50_ms=0.1, index_bytes=1000, document_terms=90.0),
        result("dense", 0.6, p50_ms=9.0, index_bytes=15360),
        result("BM25 & dense (rrf)", 0.7),
    ]
    written = draw_plots(systems, tmp_path / "new", "nDCG@10")
    assert [path.name for path in written] == ["parts_one.latency.png", "parts_one.bytes.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)


def test_where_nothing_can_be_compared_that_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    systems = [result("BM25", 0.5, p50_ms=0.1, index_bytes=1000, document_terms=90.0), result("theirs", 0.6)]
    assert draw_plots(systems, tmp_path / "new", "nDCG@10") == []
    assert not (tmp_path / "new").exists()
    assert "nothing to draw" in caplog.text
