"""Scores in a pickle, {query: {document: score}}, read as a stream of numbers, strings and dictionaries; nothing is ever run.

`pickle.load` would run whatever a file asks for, and hold 160 million scores at once. Here the opcodes are read one at a time:
one that makes anything else than a number, a string or a dictionary is refused, and each query's scores are given out as soon
as they are complete.

Source: the opcodes as the standard library's pickletools describes them.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from typing import Any

from sparseir.data.lines import LineSource
from sparseir.errors import DataError

_VALUES = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE",
}  # fmt: skip
_MEMO = {"PUT", "BINPUT", "LONG_BINPUT", "GET", "BINGET", "LONG_BINGET", "MEMOIZE"}
_MARK = object()
_MOST = 1 << 20
"""Documents of one query; a dictionary of more is no query's scores."""

LARGEST_SCORE = 3e38
"""Of either sign, as 32 bits hold them."""

Entry = tuple[int, Any, dict[Any, Any]]


def pickled_scores(source: LineSource) -> Iterator[Entry]:
    """(number from 1, query, {document: score}) of each query of a pickle, in its order.

    Raises
    ------
    DataError : a pickle that holds or does anything else, with the place in bytes and the opcode; one that is cut.
    """
    with source.open() as stream:
        machine = _Machine(source)
        try:
            for opcode, argument, position in pickletools.genops(stream):
                yield from machine.step(opcode.name, argument, position or 0)
        except (ValueError, IndexError, KeyError, TypeError, OverflowError, UnicodeDecodeError) as error:
            raise DataError(
                f"not a pickle of {{query: {{document: score}}}}, or one that was cut ({str(error)[:120]})",
                path=source.label,
            ) from error
        if not machine.ended:
            raise DataError("the pickle ends before its last opcode", path=source.label)


class _Machine:
    """The stack of a pickle, of which only the dictionary under construction and what waits for it are kept."""

    def __init__(self, source: LineSource) -> None:
        self._label = source.label
        self._stack: list[Any] = []
        self._outer: dict[Any, Any] | None = None
        self._memo: dict[int, Any] = {}
        self._count = self._begun = 0
        self.ended = False

    def step(self, name: str, argument: Any, position: int) -> Iterator[Entry]:
        stack = self._stack
        if name in _VALUES:
            stack.append(argument)
        elif name == "MARK":
            stack.append(_MARK)
        elif name in ("EMPTY_DICT", "DICT"):
            self._begin(name, position)
        elif name in ("SETITEMS", "SETITEM"):
            yield from self._set(name, position)
        elif name in _MEMO:
            self._remember(name, argument, position)
        elif name == "STOP":
            if len(stack) != 1 or stack[0] is not self._outer:
                raise self._fault("the pickle holds no dictionary of queries", position)
            self.ended = True
        elif name not in ("PROTO", "FRAME"):
            raise self._fault(
                f"its opcode {name} makes something else than numbers, strings and dictionaries, and is not run; write the "
                'scores as JSON lines {"query", "document", "score"} where you trust the file',
                position,
            )

    def _begin(self, name: str, position: int) -> None:
        made: dict[Any, Any] = {}
        self._begun += self._outer is not None
        if name == "DICT":  # protocol 0: a mark, then items, then the dictionary
            items = self._above_mark()
            self._fill(made, items, position)
            if made and self._outer is None:
                raise self._fault("a pickle of protocol 0 in one piece; write it with protocol 2 or later", position)
        self._stack.append(made)
        if self._outer is None:
            self._outer = made

    def _set(self, name: str, position: int) -> Iterator[Entry]:
        stack = self._stack
        if name == "SETITEM":
            items = stack[-2:]
            del stack[-2:]
        else:
            items = self._above_mark()
        target = stack[-1]
        if type(target) is not dict or len(items) % 2:
            raise self._fault("items that belong to no dictionary", position)
        if target is self._outer:
            for query, scores in zip(items[::2], items[1::2], strict=True):
                self._count += 1
                yield self._checked(query, scores, position)
        else:
            self._fill(target, items, position)

    def _fill(self, target: dict[Any, Any], items: list[Any], position: int) -> None:
        """Put items into a dictionary under construction; a key that comes again with another value is not passed over."""
        for key, value in zip(items[::2], items[1::2], strict=True):
            if key not in target:
                target[key] = value
            elif target[key] != value:
                raise self._fault(
                    f"entry {self._begun}: '{key}' has the score {target[key]!r:.60} and the score {value!r:.60}; a pair has one",
                    position,
                )
        if len(target) > _MOST:
            raise self._fault(f"a query with more than {_MOST:,} documents", position)

    def _checked(self, query: Any, scores: Any, position: int) -> Entry:
        if type(query) not in (int, str) or type(scores) is not dict:
            raise self._fault(f"entry {self._count}: expected a query with a dictionary of its scores", position)
        for document, score in scores.items():
            if type(document) not in (int, str):
                raise self._fault(f"entry {self._count}: a document is called {document!r:.60}", position)
            if type(score) not in (int, float) or not abs(score) <= LARGEST_SCORE:
                raise self._fault(
                    f"entry {self._count}: the score of '{document}' is {score!r:.60}; a score is a number of up to {LARGEST_SCORE:g}",
                    position,
                )
        return self._count, query, scores

    def _above_mark(self) -> list[Any]:
        stack = self._stack
        place = len(stack) - 1
        while stack[place] is not _MARK:
            place -= 1
            if place < 0:
                raise IndexError("no mark on the stack")
        items = stack[place + 1 :]
        del stack[place:]
        return items

    def _remember(self, name: str, argument: Any, position: int) -> None:
        """Strings are kept, as names come again; dictionaries and the rest are not, and cannot be asked for."""
        if name == "MEMOIZE":
            argument = len(self._memo)
        if not name.endswith("GET"):
            top = self._stack[-1]
            self._memo[int(argument)] = top if type(top) is str else None
            return
        value = self._memo[int(argument)]
        if value is None:
            raise self._fault("asks for a dictionary again, which scores have no reason to", position)
        self._stack.append(value)

    def _fault(self, message: str, position: int) -> DataError:
        return DataError(f"byte {position}: {message}", path=self._label)
