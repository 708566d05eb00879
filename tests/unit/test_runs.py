from __future__ import annotations

import numpy as np
import pytest

from sparseir.errors import ConfigError, DataError
from sparseir.search.runs import RunWriter, checked_tag, read_run, strictly_decreasing


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


def test_a_head_says_how_the_run_was_made_and_is_skipped_by_readers_that_know(tmp_path):
    path = tmp_path / "run.trec"
    with RunWriter(path, tag="mine", metadata={"method": {"automatic": True}, "tag": "mine"}) as run:
        run.write("q1", ["b"], [1.5])
    assert path.read_text().splitlines() == [
        "# ir_metadata.start",
        "# method:",
        "#   automatic: true",
        "# tag: mine",
        "# ir_metadata.end",
        "q1 Q0 b 1 1.5 mine",
    ]
    assert read_run(path) == {"q1": {"b": 1.5}}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["q Q0 d 1 2.0 t", "q Q0 d 2"], r"r\.trec:2: expected the six columns of a run.*found 4"),
        (["q Q0 d 1 high t"], r"r\.trec:1: score 'high' is no finite number"),
        (["q Q0 d 1 nan t"], r"r\.trec:1: score 'nan' is no finite number"),
        (["q Q0 d 1 2.0 t", "q Q0 d 2 1.0 t"], r"r\.trec:2: query 'q' has document 'd' twice"),
        (["# nothing"], r"r\.trec: holds no hits"),
    ],
)
def test_faults_of_a_run_file(tmp_path, lines, said):
    path = tmp_path / "r.trec"
    path.write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(DataError, match=said):
        read_run(path)


@pytest.mark.parametrize("tag", ["", "two words", " x"])
def test_a_tag_is_one_word(tag):
    with pytest.raises(ConfigError, match="one word"):
        checked_tag(tag)
