"""What the mutation runs rely on: a piece of work that crashes, hangs, raises or grows is named, and the rest is done."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from tests.fuzz.forks import Limits, forked
from tests.fuzz.index_mutations import mutate
from tests.fuzz.index_samples import make_samples


def work(number: int) -> list[str]:
    if number == 3:
        os.abort()
    if number == 5:
        raise AssertionError("verified, yet other answers")
    if number == 8:
        os._exit(7)
    return [f"did {number}"]


def test_every_piece_has_a_result_and_faults_have_reasons() -> None:
    results = list(forked(work, range(1, 11), Limits(batch=4)))
    assert [r.number for r in results] == list(range(1, 11))
    faults = {r.number: r.fault for r in results if r.fault}
    assert faults.pop(3).startswith("ended by SIGABRT: ")
    assert faults == {5: "AssertionError: verified, yet other answers", 8: "ended by exit 7: "}
    assert [r.outcomes for r in results if not r.fault] == [(f"did {n}",) for n in (1, 2, 4, 6, 7, 9, 10)]


def test_what_takes_too_long_or_too_much_memory_is_ended() -> None:
    def greedy(number: int) -> list[str]:
        if number == 0:
            time.sleep(60)
        held = b"x" * (90 << 20) if number in (2, 3) else b""
        if number == 3:
            time.sleep(60)
        return [str(len(held))]

    faults = [r.fault for r in forked(greedy, range(5), Limits(seconds=8, memory=60 << 20))]
    assert faults[0] == "took more than 8 s"
    assert faults[2].startswith(("took", "holds more than 60 MB"))  # seen at its end, or on the way
    assert faults[3].startswith("holds more than 60 MB")
    assert faults[1] == faults[4] == ""


def test_a_mutation_has_one_meaning_on_any_day(tmp_path: Path) -> None:
    """Its number chooses an index and what is done to it; the index is the same bytes whenever it is made."""
    pytest.importorskip("numba")
    made = [make_samples(folder, seed=3) for folder in (tmp_path / "a", tmp_path / "b") if folder.mkdir() is None]
    assert [sample.files for sample in made[0]] == [sample.files for sample in made[1]]
    first = [mutate(np.random.default_rng([3, n]), made[n % 2][n % 8].files) for n in range(40)]
    assert first == [mutate(np.random.default_rng([3, n]), made[1 - n % 2][n % 8].files) for n in range(40)]
