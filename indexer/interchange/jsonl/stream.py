"""Objects out of a stream of JSON text: one after the other, on lines of their own or not, or inside arrays."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NoReturn

from indexer.errors import DataError
from indexer.interchange.input import READ_FAULTS, opened
from indexer.interchange.jsonl.text import RefusedError, no_constant

CHUNK = 1 << 20
LARGEST_OBJECT = 1 << 28
"""Characters of the longest object read; without a limit an unclosed bracket would read the whole file into memory."""

_SPACE = re.compile(r"[ \t\r\n]*")
# An error this close to the end of the buffer may only mean that more text is needed; the longest literal, "-Infinity",
# is shorter.
_CUT_MARGIN = 16


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise RefusedError(f"key {twice!r} stands twice in one object")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=no_constant)


def json_objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line, object) for every object of a file, plain or .gz, holding one object at a time.

    Objects may be on a line each, spread over lines, follow one another without a break, or be the elements of
    arrays; `line` is where the object begins, from 1. Memory: the longest object and a chunk of a megabyte.

    Raises
    ------
    DataError : not UTF-8, not JSON, NaN and Infinity, a key given twice, a value that is no object, a damaged or
        truncated file; with the line.
    """
    with opened(path) as file:
        yield from _Scanner(path, file).objects()


class _Scanner:
    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path = path
        self._file = file
        self._decode = codecs.getincrementaldecoder("utf-8-sig")()
        self._buffer, self._pos, self._ended = "", 0, False
        self._line, self._counted = 1, 0  # the line at position _counted of the buffer

    def objects(self) -> Iterator[tuple[int, dict[str, Any]]]:
        in_array = between = False  # between: after an element, where a comma or the end of the array is due
        while char := self._next_char():
            if char == "[" and not in_array:
                in_array, between = True, False
            elif char == "]" and in_array:
                in_array = False
            elif char == "," and in_array and between:
                between = False
                self._pos += 1
                if self._next_char() != "{":
                    self._fail("expected an object after the comma")
                continue
            elif char == "{" and not (in_array and between):
                line = self._line_at(self._pos)
                yield line, self._object(line)
                between = True
                continue
            else:
                self._fail(f"expected an object, found {char!r}")
            self._pos += 1
        if in_array:
            self._fail("the array is not closed; the file may be cut")

    def _object(self, line: int) -> dict[str, Any]:
        while True:
            try:
                value, self._pos = _DECODER.raw_decode(self._buffer, self._pos)
                return value
            except json.JSONDecodeError as error:
                cut = error.pos >= len(self._buffer) - _CUT_MARGIN or error.msg.startswith("Unterminated string")
                if not cut or self._ended:
                    self._pos = min(error.pos, len(self._buffer))
                    begun = f" in the object that begins on line {line}" if self._line_at(self._pos) != line else ""
                    self._fail(f"not JSON: {error.msg}{begun}" + ("; the file may be cut" if cut else ""))
            except RecursionError:
                self._fail("nested too deeply")
            except ValueError as error:  # ours, or a number with thousands of digits
                self._fail(str(error))
            if len(self._buffer) - self._pos > LARGEST_OBJECT:
                self._fail(f"an object of more than {LARGEST_OBJECT} characters")
            self._refill()

    def _next_char(self) -> str:
        """The next character that is no space, left in place; "" at the end."""
        while True:
            match = _SPACE.match(self._buffer, self._pos)
            assert match is not None
            self._pos = match.end()
            if self._pos < len(self._buffer):
                return self._buffer[self._pos]
            if self._ended:
                return ""
            self._refill()

    def _refill(self) -> None:
        """Drop what is consumed and double the rest by reading, so that a long object is parsed few times."""
        self._line_at(self._pos)
        rest = self._buffer[self._pos :]
        try:
            raw = self._file.read(max(CHUNK, len(rest)))
        except READ_FAULTS as error:
            self._fail(f"damaged or cut: {error}")
        try:
            self._buffer = rest + self._decode.decode(raw, final=not raw)
        except UnicodeDecodeError as error:
            good = raw[: max(0, error.start)].count(b"\n")
            raise DataError(
                f"not UTF-8: {error.reason}", path=self._path, line=self._line + rest.count("\n") + good
            ) from error
        self._pos = self._counted = 0
        self._ended = not raw

    def _line_at(self, position: int) -> int:
        self._line += self._buffer.count("\n", self._counted, position)
        self._counted = position
        return self._line

    def _fail(self, message: str) -> NoReturn:
        raise DataError(message, path=self._path, line=self._line_at(max(self._pos, self._counted)))
