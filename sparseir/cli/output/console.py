"""What the commands show: results on stdout, everything else on stderr; progress as bars, or a line a minute where piped."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from indexer.errors import SparseIRError

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

    from indexer.progress import Progress


_SECONDS_A_LINE = 60.0
"""Between two lines of progress where stderr is no terminal."""


def note(message: str) -> None:
    """One line for the person at the terminal, kept out of the results."""
    print(message, file=sys.stderr, flush=True)


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """'1 document', '2,000 documents'; the plural is given for nouns that do not take an s."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def emit_json(value: Any) -> None:
    """One JSON object on one line of stdout.

    Raises
    ------
    SparseIRError : an infinity or NaN in it, which JSON does not have.
    """
    try:
        line = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise SparseIRError(f"a result is infinite or no number, which JSON does not have ({error})") from None
    print(line)


@contextmanager
def progress_bars(*, quiet: bool = False) -> Iterator[Progress]:
    """A progress callback: one bar a stage on a terminal, a line a minute where stderr is piped, nothing if quiet."""
    from indexer.progress import silent

    if quiet or not sys.stderr.isatty():
        yield silent if quiet else ProgressLines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with RichProgress(*columns, console=Console(stderr=True)) as bars:
        yield _Stages(bars)


class ProgressLines:
    """`training: 120 of 1,000 (12%), 3 min, about 22 min left`, at most a line a minute; work of less has none."""

    def __init__(self) -> None:
        self._said = time.monotonic()
        self._stages: dict[str, tuple[float, int, int, int | None]] = {}

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        # A stage may set out from where an earlier run stopped; how fast it is says what it did since. One that falls back far begins
        # anew: the next collection of an evaluation.
        began, first, last, all_of_it = self._stages.get(stage, (now, done, done, total))
        if _begins_anew(done, total, last, all_of_it):
            began, first = now, done
        self._stages[stage] = began, first, done, total
        if now - self._said < _SECONDS_A_LINE:
            return
        self._said = now
        line = f"{stage}: {done:,}"
        if total:
            line += f" of {total:,} ({done / total:.0%})"
        line += f", {_duration(now - began)}"
        if total and first < done < total:
            line += f", about {_duration((now - began) * (total - done) / (done - first))} left"
        note(line)


def _begins_anew(done: int, total: int | None, last: int, all_of_it: int | None) -> bool:
    """Whether a stage has started over: it falls back from its end, or far; threads that report out of order fall back a little."""
    return done < last and (last == all_of_it or total != all_of_it or 2 * done < last)


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


class _Stages:
    def __init__(self, bars: RichProgress) -> None:
        self._bars = bars
        self._tasks: dict[str, tuple[Any, int, int | None]] = {}

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        task, last, all_of_it = self._tasks.get(stage, (None, done, total))
        if task is not None and _begins_anew(done, total, last, all_of_it):
            self._bars.remove_task(task)
            task = None
        if task is None:
            task = self._bars.add_task(stage, total=total)
        self._tasks[stage] = task, done, total
        self._bars.update(task, completed=done, total=total)


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], *, wide: bool = False) -> None:
    """A table on stdout: drawn by rich on a terminal, aligned plain text when piped (never wrapped or cut)."""
    if sys.stdout.isatty() and not wide:
        from rich.console import Console
        from rich.table import Table

        table = Table(title=title, title_justify="left")
        for i, name in enumerate(header):
            table.add_column(name, justify="left" if i == 0 else "right")
        for row in rows:
            table.add_row(*row)
        Console().print(table)
        return
    widths = [max(len(r[i]) for r in (header, *rows)) for i in range(len(header))]
    if title:
        print(title)
    for row in (header, *rows):
        cells = [c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        print("  ".join(cells).rstrip())
