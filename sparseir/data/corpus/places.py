"""Where a row of a corpus stands, for errors to name; and the files that rows are in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from sparseir.data.lines import LineSource
from sparseir.errors import DataError


class Place(NamedTuple):
    """One row of one file.

    path : the file. number : of the row, from 1; 0 for a file that is one row. unit : what is counted.
    """

    path: Path
    number: int
    unit: str = "line"

    def fault(self, message: str) -> DataError:
        """An error that names the place."""
        if self.unit == "line" and self.number:
            return DataError(message, path=self.path, line=self.number)
        return DataError(f"{self.unit} {self.number}: {message}" if self.number else message, path=self.path)

    def __str__(self) -> str:
        return f"{self.path}" + (f", {self.unit} {self.number}" if self.number else "")


def check_differ(names: Sequence[str], place: Place) -> None:
    """Refuse a header that names a column twice.

    Raises
    ------
    DataError
    """
    doubled = next((name for name in names if names.count(name) > 1), None)
    if doubled is not None:
        raise place.fault(f"the header names column '{doubled}' twice")


Row = tuple[Place, dict[str, Any]]


class RowFile(Protocol):
    """A file whose rows are documents.

    label : its name in errors. is_stream : whether it can be read only once.
    """

    @property
    def label(self) -> Path: ...

    @property
    def is_stream(self) -> bool: ...

    def rows(self) -> Iterator[Row]:
        """Every row, values by key.

        Raises
        ------
        DataError : with the place of the fault.
        """
        ...


@dataclass(frozen=True, slots=True)
class SourceFile:
    """What every `RowFile` over one source says of itself."""

    source: LineSource

    @property
    def label(self) -> Path:
        return self.source.label

    @property
    def is_stream(self) -> bool:
        return self.source.is_stream
