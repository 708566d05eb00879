"""When a run ends before its last step: its clock, which all processes agree on, and requests to stop."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist

from sparseir.train.loop.parallel import world

logger = logging.getLogger(__name__)


class TrainingStopped(KeyboardInterrupt):
    """A run that was asked to stop, after it wrote a checkpoint.

    Attributes
    ----------
    output : folder of the run. step, steps : optimiser steps done, and those of the recipe.
    """

    def __init__(self, output: Path, step: int, steps: int) -> None:
        super().__init__(f"stopped after step {step} of {steps}; a checkpoint in {output} holds all of it")
        self.output, self.step, self.steps = output, step, steps


class RunClock:
    """Minutes a run has taken and whether it is to stop: the same on every process at the same optimiser step.

    Each process has a clock and gets signals of its own. If each acted on these, one would end a step before another,
    which then waits for it for ever.

    Attributes
    ----------
    minutes : as of the last step, with those of the parts before a resume.
    stop : whether a stop was asked for before the last step.
    """

    def __init__(self) -> None:
        self.minutes, self.stop, self.asked = 0.0, False, False
        self._before, self._started = 0.0, time.monotonic()

    def start(self, before: float | None = None) -> None:
        """The first step of this part begins now; `before` is what earlier parts took."""
        self._before = self._before if before is None else before
        self.minutes, self._started = self._before, time.monotonic()

    def tick(self) -> None:
        """Read the clock and the requests of all processes; once an optimiser step, on each of them."""
        now = torch.tensor([self._before + (time.monotonic() - self._started) / 60, float(self.asked)])
        if world()[1] > 1:
            now = now.cuda() if dist.get_backend() == "nccl" else now
            dist.all_reduce(now, dist.ReduceOp.MAX)
        self.minutes, self.stop = float(now[0]), bool(now[1])


@contextmanager
def signals_ask(clock: RunClock) -> Iterator[None]:
    """Ctrl-C and SIGTERM ask the run to stop at the end of its step; a second one interrupts it at once.

    Where signals cannot be had (another thread than the main one) nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {}

    def ask(signum: int, frame: FrameType | None) -> None:
        clock.asked = True
        signal.signal(signum, before[signum])
        logger.warning("stopping at the end of this step, with a checkpoint; once more to stop at once, without one")

    # A caller that ignores or blocks a signal keeps that.
    for signum in (signal.SIGINT, signal.SIGTERM):
        if callable(handler := signal.getsignal(signum)) or handler == signal.SIG_DFL:
            before[signum] = signal.signal(signum, ask)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
