"""Work by number in forked processes: a crash, a hang or a process that grows ends one piece of it and is told by number."""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import resource
import select
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one piece of work may take.

    Parameters
    ----------
    seconds : of time.
    memory : bytes beyond what the process has when it is forked.
    batch : pieces of work that share a process.
    """

    seconds: int = 60
    memory: int = 1 << 30
    batch: int = 200


@dataclass(frozen=True)
class Result:
    """What came of a piece of work: the names of its outcomes, or how it failed."""

    number: int
    outcomes: tuple[str, ...] = ()
    fault: str = ""


def forked(work: Callable[[int], Sequence[str]], numbers: range, limits: Limits) -> Iterator[Result]:
    """Results of `work(number)` in turn. What `work` raises is a fault, as is its end by a signal or an exit."""
    at = 0
    while at < len(numbers):
        for result in _one_process(work, numbers[at : at + limits.batch], limits):
            yield result
            at += 1


def _one_process(work: Callable[[int], Sequence[str]], numbers: range, limits: Limits) -> Iterator[Result]:
    """Results up to the end of `numbers` or of the process, whichever comes first."""
    reading, writing = os.pipe()
    with tempfile.TemporaryFile() as errors:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # threads of the math library, which are idle
            child = os.fork()
        if child == 0:
            os.close(reading)
            os.dup2(errors.fileno(), 2)
            if faulthandler.is_enabled():
                faulthandler.enable(errors)
            _serve(work, numbers, writing, limits)
        os.close(writing)
        done, killed, ended = 0, "", False
        try:
            with os.fdopen(reading, "rb", buffering=0) as lines:
                for line in _lines(lines, child, limits.memory):
                    if isinstance(line, str):
                        killed = line
                        break
                    outcomes, fault = json.loads(line)
                    yield Result(numbers[done], tuple(outcomes), fault)
                    done += 1
                else:
                    ended = True
        finally:
            if not ended:
                os.kill(child, signal.SIGKILL)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if done < len(numbers):
            yield Result(numbers[done], fault=killed or _how_it_ended(status, errors, limits))


def _serve(work: Callable[[int], Sequence[str]], numbers: range, writing: int, limits: Limits) -> None:
    """The forked process; does not return."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    gc.freeze()  # what the parent made stays where it is, in pages that the processes share
    for number in numbers:
        signal.alarm(limits.seconds)
        before = _peak()
        try:
            answer: tuple[Any, str] = list(work(number)), ""
        except Exception as error:
            answer = [], f"{type(error).__name__}: {error}"
        if _peak() - before > limits.memory:
            answer = [], f"took {_peak() - before >> 20} MB"
        signal.alarm(0)
        os.write(writing, json.dumps(answer).encode() + b"\n")
    os._exit(0)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _lines(pipe: IO[bytes], child: int, memory: int) -> Iterator[bytes | str]:
    """Lines that the process writes; a text, the last, says that it holds more than it may."""
    start, rest = _resident(child), b""
    while True:
        if not select.select([pipe], [], [], 0.25)[0]:
            if _resident(child) - start > memory:
                yield f"holds more than {memory >> 20} MB beyond its start"
            continue
        part = pipe.read(1 << 16)
        if not part:
            return
        *whole, rest = (rest + part).split(b"\n")
        yield from whole


def _resident(child: int) -> int:
    try:
        return int(Path(f"/proc/{child}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    except (OSError, IndexError):
        return 0


def _how_it_ended(status: int, errors: IO[bytes], limits: Limits) -> str:
    errors.seek(0)
    said = errors.read().decode(errors="replace")[-6000:]
    if status == -signal.SIGALRM:
        return f"took more than {limits.seconds} s"
    name = signal.Signals(-status).name if status < 0 else f"exit {status}"
    return f"ended by {name}: {said}"
