"""Counts of more strings than memory holds: a table that is written out, sorted, when it is full, and merged at the end."""

from __future__ import annotations

import contextlib
import heapq
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from types import TracebackType

from sparseir.errors import SparseIRError

MOST_STRINGS = 1 << 20
"""Strings counted in memory, about 150 MB of words."""

_MOST_RUNS = 64
"""Files that are merged at a time."""


class StringCounts:
    """How often each of any number of strings was added. A context: its files are in a temporary folder, removed at the end.

    Parameters
    ----------
    most : strings in memory; beyond them the table is written to disk and begun again.
    """

    def __init__(self, most: int = MOST_STRINGS) -> None:
        self._most = most
        self._counts: Counter[str] = Counter()
        self._runs: list[Path] = []
        self._written = 0
        self._folder = tempfile.TemporaryDirectory(prefix="sparseir-counts-")

    def __enter__(self) -> StringCounts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.cleanup()

    def add(self, strings: Iterable[str]) -> None:
        """Count each of these once more.

        Raises
        ------
        SparseIRError : the temporary folder takes no more.
        """
        self._counts.update(strings)
        if len(self._counts) > self._most:
            self._runs.append(self._write(sorted(self._counts.items())))
            self._counts.clear()
            if len(self._runs) == _MOST_RUNS:
                with contextlib.ExitStack() as opened:
                    merged = self._write(_summed([opened.enter_context(_run(path)) for path in self._runs]))
                for path in self._runs:
                    path.unlink()
                self._runs = [merged]

    def most_frequent(self, number: int) -> list[str]:
        """The `number` strings of the largest counts, largest first, ties by the string; exact, whatever was written to disk."""
        with contextlib.ExitStack() as opened:
            runs = [opened.enter_context(_run(path)) for path in self._runs]
            counted = _summed([*runs, iter(sorted(self._counts.items()))])
            return [string for string, _ in heapq.nsmallest(number, counted, key=lambda item: (-item[1], item[0]))]

    def _write(self, counted: Iterable[tuple[str, int]]) -> Path:
        path = Path(self._folder.name) / f"{self._written}.jsonl"
        self._written += 1
        try:
            with path.open("w", encoding="ascii") as file:
                file.writelines(f"{json.dumps(item)}\n" for item in counted)
        except OSError as error:
            raise SparseIRError(
                f"{self._folder.name}: cannot write counts ({error.strerror or error}); make room there, or name another "
                "place for temporary files in TMPDIR"
            ) from error
        return path


@contextlib.contextmanager
def _run(path: Path) -> Iterator[Iterator[tuple[str, int]]]:
    with path.open(encoding="ascii") as file:
        yield ((string, count) for string, count in map(json.loads, file))


def _summed(runs: Iterable[Iterator[tuple[str, int]]]) -> Iterator[tuple[str, int]]:
    """Strings in order with the sums of their counts, of runs in order."""
    for string, items in groupby(heapq.merge(*runs), key=itemgetter(0)):
        yield string, sum(count for _, count in items)
