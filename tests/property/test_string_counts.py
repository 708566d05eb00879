"""Strings counted in files are those counted in memory, whatever the size of the table and the number of files."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparseir.data.stores import counts
from sparseir.data.stores.counts import StringCounts
from sparseir.errors import SparseIRError

STRINGS = st.text(st.sampled_from('ab\n"\u00e9\u65e5\x00'), max_size=3)


@settings(max_examples=150, deadline=None)
@given(
    given=st.lists(st.sets(STRINGS, max_size=6), max_size=30),
    most=st.integers(1, 8),
    number=st.integers(0, 40),
    runs=st.integers(2, 4),
)
def test_counts_on_disk_are_counts_in_memory(given: list[set[str]], most: int, number: int, runs: int) -> None:
    expected: Counter[str] = Counter()
    with pytest.MonkeyPatch.context() as patched, StringCounts(most) as counted:
        patched.setattr(counts, "_MOST_RUNS", runs)
        for strings in given:
            expected.update(strings)
            counted.add(strings)
        ranked = sorted(expected, key=lambda string: (-expected[string], string))
        assert counted.most_frequent(number) == ranked[:number]


def test_memory_does_not_grow_with_the_strings() -> None:
    """200,000 strings, which a table in memory needs 25 MB for, in less than 2; each but one counted once."""
    tracemalloc.start()
    with StringCounts(1000) as counted:
        for first in range(0, 200_000, 50):
            counted.add([*(f"word{number}" for number in range(first, first + 50)), "the"])
        assert counted.most_frequent(3) == ["the", "word0", "word1"]
        peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


def test_files_are_gone_afterwards_and_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        counts.tempfile, "TemporaryDirectory", partial(counts.tempfile.TemporaryDirectory, dir=tmp_path)
    )
    with StringCounts(1) as counted:
        counted.add(["a", "b"])
        assert len(list(tmp_path.glob("*/*.jsonl"))) == 1
    assert not list(tmp_path.iterdir())
    with StringCounts(1) as counted:
        monkeypatch.setattr(counts.json, "dumps", _no_space)
        with pytest.raises(SparseIRError, match=r"cannot write counts \(No space left on device\); make room there"):
            counted.add(["a", "b"])


def _no_space(item: object) -> str:
    raise OSError(28, "No space left on device")
