"""Rows that are put together when they are asked for."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TypeVar, overload

T = TypeVar("T")


class Rows(Sequence[T]):
    """A sequence whose slices are lists of its rows; what is one of them says `__len__` and `row_at`."""

    @abstractmethod
    def row_at(self, number: int) -> T:
        """The row of a number as it was given, which may be negative or none of the rows'.

        Raises
        ------
        IndexError : no such row.
        """

    @overload
    def __getitem__(self, number: int) -> T: ...

    @overload
    def __getitem__(self, number: slice) -> list[T]: ...

    def __getitem__(self, number: int | slice) -> T | list[T]:
        if isinstance(number, slice):
            return [self.row_at(i) for i in range(*number.indices(len(self)))]
        return self.row_at(number)
