"""Progress where stderr is piped: a line a minute, none in less, none where nobody wants it."""

from __future__ import annotations

import pytest

from sparseir.cli.app import command_tree
from sparseir.cli.output import console


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass as told."""
    now = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    return now


def test_a_line_a_minute_with_what_is_left(clock, capsys):
    with console.progress_bars() as progress:
        progress("encoding", 0, None)
        clock[0] += 59
        progress("encoding", 900, None)
        assert capsys.readouterr().err == ""
        clock[0] += 1
        progress("encoding", 1000, None)
        progress("encoding", 1001, None)
        assert capsys.readouterr().err == "encoding: 1,000, 1 min\n"
        progress("training", 200, 1200)  # a resumed run: 200 steps were there
        clock[0] += 120
        progress("training", 400, 1200)
        assert capsys.readouterr().err == "training: 400 of 1,200 (33%), 2 min, about 8 min left\n"
        clock[0] += 5400
        progress("training", 1200, 1200)
        assert capsys.readouterr().err == "training: 1,200 of 1,200 (100%), 1 h 32 min\n"


def test_a_stage_that_begins_anew_has_its_own_clock(clock, capsys):
    with console.progress_bars() as progress:
        progress("embedding", 0, 10_000)
        clock[0] += 300
        progress("embedding", 10_000, 10_000)
        capsys.readouterr()
        clock[0] += 30
        progress("embedding", 100, 6_100)  # the next collection
        clock[0] += 60
        progress("embedding", 1_100, 6_100)
        progress("embedding", 1_090, 6_100)
        assert capsys.readouterr().err == "embedding: 1,100 of 6,100 (18%), 1 min, about 5 min left\n"


def test_a_bar_that_begins_anew_has_its_own_clock():
    from rich.progress import Progress

    bars = Progress(get_time=iter(range(0, 10_000, 100)).__next__)
    stages = console._Stages(bars)
    for done in (0, 500, 1000, 10, 20):
        stages("embedding", done, 1000)
    (task,) = bars.tasks
    assert task.completed == 20
    assert task.elapsed < 400
    stages("embedding", 10, None)  # how many there are is not known this time
    (task,) = bars.tasks
    assert (task.completed, task.total) == (10, None)


@pytest.mark.parametrize(("before", "after"), [((1_000, 1_000), (600, 100_000)), ((900, None), (600, 5_000))])
def test_a_collection_after_a_small_one_begins_anew(clock, capsys, before, after):
    with console.progress_bars() as progress:
        progress("embedding", *before)
        clock[0] += 3000
        progress("embedding", *before)
        progress("embedding", *after)
        capsys.readouterr()
        clock[0] += 60
        progress("embedding", after[0] + 100, after[1])
        assert ", 1 min" in capsys.readouterr().err


def test_quiet_says_nothing(clock, capsys):
    with console.progress_bars(quiet=True) as progress:
        progress("encoding", 0, 10)
        clock[0] += 3600
        progress("encoding", 5, 10)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "command",
    [
        "train", "encode", "search", "evaluate", "demo", "index build", "index add", "index compact", "index verify",
        "index inspect", "index export",
    ],
)  # fmt: skip
def test_what_shows_progress_can_be_quiet(command):
    found = command_tree()
    for word in command.split():
        found = found.commands[word]
    assert any("--quiet" in parameter.opts for parameter in found.params)
