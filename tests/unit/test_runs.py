from __future__ import annotations

import numpy as np
import pytest

from sparseir.errors import DataError
from sparseir.search.runs import RunWriter, strictly_decreasing
from tests.trec_runs import read_run


def test_ties_fall_by_the_smallest_step_and_the_rest_stays():
    got = strictly_decreasing([2.0, 2.0, 2.0, 1.0])
    step = np.nextafter(np.float32(2), np.float32(0))
    assert got == [2.0, step, np.nextafter(step, np.float32(0)), 1.0]
    assert (np.diff(np.array(strictly_decreasing([1.0] * 1000))) < 0).all()


def test_a_written_run_reads_back_in_order(tmp_path):
    path = tmp_path / "run.trec"
    with RunWriter(path) as run:
        run.write("q1", ["b", "a", "c"], [1.5, 1.5, 0.1])
        run.write("q2", [], [])
    assert list(read_run(path)["q1"]) == ["b", "a", "c"]
    values = list(read_run(path)["q1"].values())
    assert values == sorted(values, reverse=True)
    assert len({np.float32(v) for v in values}) == 3  # still apart in the float32 of trec_eval
    assert "q2" not in read_run(path)


def test_an_interrupted_run_leaves_nothing(tmp_path):
    def interrupted() -> None:
        with RunWriter(tmp_path / "run.trec") as run:
            run.write("q1", ["a"], [1.0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a b", "", " a", "a\tb"])
def test_names_the_format_cannot_hold_are_refused(tmp_path, name):
    with pytest.raises(DataError, match="white space"), RunWriter(tmp_path / "run.trec") as run:
        run.write("q", [name], [1.0])
