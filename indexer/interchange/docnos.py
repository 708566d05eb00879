"""Names of rows: finding duplicates, and the lists that hold names beside formats without a place for them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from indexer.errors import DataError
from indexer.interchange.input import READ_FAULTS, opened, raw_lines
from indexer.interchange.jsonl.text import json_value

DOCNOS_SUFFIX = ".docnos"
TERMS_SUFFIX = ".terms"
LARGEST_LINE = 1 << 20

Place = tuple[Path, int]
"""A file and a line (or row) in it."""


class DuplicateCheck:
    """Refuses a name seen before, in 8 bytes a name.

    It keeps hashes, in sorted arrays of growing size. When a hash occurs twice the input is read once more, so that the
    message can name both places and a mere collision of hashes is not refused.

    Parameters
    ----------
    replay : yields (name, place) of the whole input from the start.
    """

    def __init__(self, replay: Callable[[], Iterator[tuple[str, Place]]]) -> None:
        self._replay = replay
        self._levels: list[NDArray[np.int64]] = []

    def add(self, names: Sequence[str]) -> None:
        """Note the next names.

        Raises
        ------
        DataError : one of them was seen before, or is twice among them.
        """
        hashes = np.fromiter(map(hash, names), np.int64, len(names))
        ordered = np.sort(hashes)
        suspects = set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())
        for level in self._levels:
            at = np.minimum(np.searchsorted(level, ordered), len(level) - 1)
            suspects.update(ordered[level[at] == ordered].tolist())
        if suspects:
            self._look(suspects)
        if len(ordered):
            self._levels.append(ordered)
        while len(self._levels) > 1 and len(self._levels[-1]) >= len(self._levels[-2]):
            merged = np.concatenate([self._levels.pop(), self._levels.pop()])
            merged.sort()
            self._levels.append(merged)

    def _look(self, suspects: set[int]) -> None:
        first: dict[str, Place] = {}
        for name, place in self._replay():
            if hash(name) in suspects:
                known = first.setdefault(name, place)
                if known is not place:
                    where = f"line {known[1]}" if known[0] == place[0] else f"{known[0]}:{known[1]}"
                    raise DataError(
                        f"docno {name!r} stands here and before in {where}; docnos must differ",
                        path=place[0],
                        line=place[1],
                    )


def read_strings(stream: IO[bytes], path: Path) -> Iterator[str]:
    """Strings of a file that holds one JSON string a line, as docnos and terms are kept.

    Raises
    ------
    DataError : a line that is no JSON string, with its number; a damaged stream.
    """
    number, lines = 0, raw_lines(stream, LARGEST_LINE)
    while True:
        number += 1
        try:
            line = next(lines, None)
            if line is None:
                return
            value = json_value(line.decode())
            if isinstance(value, str):
                yield value
                continue
            fault = f"expected one JSON string a line, found {type(value).__name__}"
        except ValueError as error:
            fault = f"expected one JSON string a line: {error}"
        except READ_FAULTS as error:
            fault = f"damaged: {error}"
        raise DataError(fault, path=path, line=number)


class RowNames:
    """Names taken row by row from a list kept beside a matrix; each is met once.

    Parameters
    ----------
    read : yields the names from the start, each time it is called.
    path : of the list, for messages.
    """

    def __init__(self, read: Callable[[], Iterator[str]], path: Path) -> None:
        self._read, self._path = read, path
        self._names = read()
        self._taken = 0
        self._duplicates = DuplicateCheck(self._replay)

    def take(self, count: int) -> list[str]:
        """The next `count` names.

        Raises
        ------
        DataError : there are fewer, or one was seen before.
        """
        out = list(itertools.islice(self._names, count))
        if len(out) < count:
            raise DataError(f"{self._taken + len(out)} docnos for more rows than that; one a row", path=self._path)
        self._taken += count
        self._duplicates.add(out)
        return out

    def finish(self) -> None:
        """Raises DataError when names are left after the last row."""
        if next(self._names, None) is not None:
            raise DataError(f"more docnos than the {self._taken} rows; expected one a row", path=self._path)

    def _replay(self) -> Iterator[tuple[str, Place]]:
        for line, name in enumerate(self._read(), 1):
            yield name, (self._path, line)


def read_sidecar(path: Path) -> Iterator[str]:
    """Strings of a file beside a matrix: `PATH.docnos` or `PATH.terms`."""
    with opened(path) as stream:
        yield from read_strings(stream, path)


def beside(path: Path, suffix: str) -> Path:
    """Where the names of a matrix are kept when its format has no place for them."""
    return path.with_name(path.name + suffix)
