"""One stream of batches as several iterators that may run apart."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any


class Columns:
    """Splits batches of parallel columns: vectors, names and fields of the same documents, say.

    What one column has not taken yet waits in that column's queue only, so reading vectors ahead keeps names, not vectors.

    Parameters
    ----------
    batches : each a tuple with one iterable a column.
    at_end : called once when the batches are exhausted, before any column ends.
    """

    def __init__(self, batches: Iterable[tuple[Iterable[Any], ...]], at_end: Callable[[], None] | None = None) -> None:
        self._batches = iter(batches)
        self._at_end = at_end
        self._queues: dict[int, deque[Any]] = {}

    def column(self, number: int) -> Iterator[Any]:
        """The items of one column, in order; a column is asked for once, and before any is read."""
        queue = self._queues[number] = deque()
        return self._drain(queue)

    def _drain(self, queue: deque[Any]) -> Iterator[Any]:
        while queue or self._advance():
            while queue:
                yield queue.popleft()

    def _advance(self) -> bool:
        batch = next(self._batches, None)
        if batch is None:
            if self._at_end is not None:
                self._at_end()
                self._at_end = None
            return False
        for number, queue in self._queues.items():
            queue.extend(batch[number])
        return True
