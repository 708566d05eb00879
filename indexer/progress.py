"""How long-running work reports its progress. The library calls what it is given; only the command line prints."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called now and then during long work.

    Parameters
    ----------
    stage : what is being done, in two or three words, e.g. "inverting".
    done, total : units of that stage; total None when it is not known. done = total ends the stage.
    """

    def __call__(self, stage: str, done: int, total: int | None) -> None: ...


def silent(stage: str, done: int, total: int | None) -> None:
    """Progress that goes nowhere: the default."""
