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
