"""The regulariser of a run, by hand."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from sparseir.config.regulariser import RegulariserConfig, RegulariserKind  # noqa: E402
from sparseir.train.material.columns import Columns  # noqa: E402
from sparseir.train.sparsity import Sparsity  # noqa: E402

FIRST = torch.tensor([[[2.0, 0.0, 4.0], [2.0, 1.0, 0.0]]])
"""Means 2, ½ and 2: FLOPS is 8¼, L1 4½."""
SECOND = torch.tensor([[[1.0, 0.0, 0.0], [1.0, 0.0, 2.0]]])
"""Means 1, 0 and 1: FLOPS is 2, L1 2."""
IDF = torch.tensor([1.0, 0.5, 2.0])
COLUMNS = Columns(None, 0, 3)


def sparsity(kind: RegulariserKind, target: float | None = 10.0) -> Sparsity:
    config = RegulariserConfig(kind=kind, lambda_document=0.1, target_active_dims=target)
    return Sparsity(config, idf=IDF, num_terms=3)


@pytest.mark.parametrize("kind", ["flops", "l1", "idf_flops", "df_flops"])
def test_with_a_target_every_penalty_begins_as_flops(kind: RegulariserKind) -> None:
    assert float(sparsity(kind).documents(FIRST, 1, COLUMNS)) == pytest.approx(0.1 * 8.25)


def test_the_unit_is_that_of_the_first_vectors() -> None:
    run = sparsity("l1")
    run.documents(FIRST, 1, COLUMNS)
    assert float(run.documents(SECOND, 1, COLUMNS)) == pytest.approx(0.1 * 2 * 8.25 / 4.5)
    resumed = sparsity("l1")
    resumed.load_state_dict(run.state_dict())
    assert float(resumed.documents(SECOND, 1, COLUMNS)) == pytest.approx(0.1 * 2 * 8.25 / 4.5)


def test_vectors_without_a_penalty_give_no_unit() -> None:
    run = sparsity("l1")
    assert float(run.documents(torch.zeros(1, 2, 3), 1, COLUMNS)) == 0
    assert float(run.documents(FIRST, 1, COLUMNS)) == pytest.approx(0.1 * 8.25)


def test_without_a_target_a_penalty_is_as_published() -> None:
    assert float(sparsity("l1", target=None).documents(FIRST, 1, COLUMNS)) == pytest.approx(0.1 * 4.5)


def test_a_checkpoint_from_before_there_was_a_unit_goes_on_as_it_began() -> None:
    state = sparsity("l1").state_dict()
    del state["unit"]
    run = sparsity("l1")
    run.load_state_dict(state)
    assert float(run.documents(FIRST, 1, COLUMNS)) == pytest.approx(0.1 * 4.5)
