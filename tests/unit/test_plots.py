"""Pictures of quality against cost."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="the extra 'plot' is not installed")

from sparseir.ablate.picture import draw_ablation
from sparseir.ablate.summary import Row, Spread
from sparseir.config.ablation import MODEL
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


def test_a_grid_is_one_picture_whose_means_over_collections_are_left_out(tmp_path: Path) -> None:
    """Panels of two collections are twice as high as those of one."""

    def rows(dataset: str, **costs: float) -> list[Row]:
        return [
            Row(
                variant=variant,
                system=MODEL,
                point={"x": place},
                dataset=dataset,
                seeds=(0, 1),
                measures={"nDCG@10": Spread(0.5 + place / 10, 0.01)},
                costs={name: Spread(value * (place + 1), None) for name, value in costs.items()},
            )
            for variant in ("FLOPS", "L1")
            for place in range(3)
        ]

    costs = {"document_terms": 32.0, "flops": 1.5, "p50_ms": 0.1}
    for name, given in (
        ("one", rows("one", **costs) + rows("mean")),
        ("two", rows("one", **costs) + rows("two", **costs)),
    ):
        draw_ablation(given, tmp_path / f"{name}.png", "nDCG@10")
    heights = [int.from_bytes((tmp_path / f"{name}.png").read_bytes()[20:24], "big") for name in ("one", "two")]
    assert heights == [150 * 41 // 10, 150 * 77 // 10]
