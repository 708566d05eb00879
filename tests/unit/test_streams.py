from __future__ import annotations

from indexer.streams import Columns

BATCHES = [([10], ["a", "b"]), ([20], []), ([30], ["c"])]


def test_columns_run_apart():
    columns = Columns(BATCHES)
    left, right = columns.column(0), columns.column(1)
    assert next(right) == "a"
    assert list(left) == [10, 20, 30]
    assert list(right) == ["b", "c"]


def test_only_what_is_asked_for_is_kept():
    columns = Columns(BATCHES)
    right = columns.column(1)
    assert list(right) == ["a", "b", "c"]
    assert list(columns._queues) == [1]


def test_the_end_is_told_once_and_before_the_last_column_ends():
    told = []
    columns = Columns(BATCHES, at_end=lambda: told.append(True))
    left, right = columns.column(0), columns.column(1)
    assert list(left) == [10, 20, 30]
    assert told == [True]
    assert list(right) == ["a", "b", "c"]
    assert told == [True]
