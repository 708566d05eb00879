"""Numbered lines of a plain file, a .gz file or a member of a zip archive; nothing is unpacked to disk."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from indexer.interchange.input import ARCHIVE_FAULTS, LongLineError, json_value, raw_lines
from sparseir.errors import DataError


@dataclass(frozen=True, slots=True)
class LineSource:
    """A text file that may lie inside a zip archive.

    Parameters
    ----------
    path : the file, or the archive.
    member : the name inside the archive; None for a file of its own.
    """

    path: Path
    member: str | None = None

    @property
    def label(self) -> Path:
        """The name that errors show."""
        return self.path if self.member is None else self.path / self.member

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """The decompressed bytes.

        Raises
        ------
        DataError : no such file or member, not an archive, damaged compression.
        """
        try:
            if self.member is not None:
                with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as stream:
                    yield stream
            elif self.path.suffix == ".gz":
                with gzip.open(self.path, "rb") as stream:
                    yield cast(IO[bytes], stream)
            else:
                with self.path.open("rb") as stream:
                    yield stream
        except (FileNotFoundError, KeyError) as error:
            raise DataError("no such file", path=self.label) from error
        except IsADirectoryError as error:
            raise DataError("is a folder, expected a file", path=self.label) from error
        except ARCHIVE_FAULTS as error:
            raise DataError(
                f"damaged archive, or one that cannot be read ({error}); fetch it again", path=self.label
            ) from error

    def lines(self) -> Iterator[tuple[int, str]]:
        """(number from 1, line without its end), blank lines left out.

        Raises
        ------
        DataError : a line that is not UTF-8 or endless, besides what `open` raises.
        """
        number = 0
        with self.open() as stream:
            try:
                for number, raw in enumerate(raw_lines(stream), start=1):
                    line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                    if line and not line.isspace():
                        yield number, line
            except UnicodeDecodeError as error:
                raise DataError(f"not UTF-8 ({error})", path=self.label, line=number) from error
            except LongLineError as error:
                raise DataError(str(error), path=self.label, line=number + 1) from error

    def objects(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """(line number, JSON object) of every line.

        Raises
        ------
        DataError : a line that is not a JSON object, with numbers and text that floats and UTF-8 can hold.
        """
        for number, line in self.lines():
            try:
                value = json_value(line)
            except ValueError as error:
                raise DataError(
                    f"not valid JSON: {error}; expected one JSON object a line", path=self.label, line=number
                ) from error
            if not isinstance(value, dict):
                raise DataError(f"expected a JSON object, found {type(value).__name__}", path=self.label, line=number)
            yield number, value


def text_of(row: dict[str, Any], key: str, source: LineSource, line: int, *, required: bool = True) -> str:
    """The string under a key. Absent or null is "" where not required; an id may also be an integer.

    Raises
    ------
    DataError : the key is missing (the keys found are named) or holds something else.
    """
    value = row.get(key)
    if value is None:
        if key not in row and required:
            found = ", ".join(f"'{k}'" for k in row) or "none"
            raise DataError(f"missing key '{key}' (found: {found})", path=source.label, line=line)
        if required and key == "_id":
            raise DataError(f"'{key}' is null, expected a string", path=source.label, line=line)
        return ""
    if isinstance(value, str):
        if key == "_id" and not value:
            raise DataError("'_id' is empty", path=source.label, line=line)
        return value
    if key == "_id" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise DataError(f"'{key}' must be a string, found {type(value).__name__}", path=source.label, line=line)
