"""Numbered lines of a plain file, a .gz file or a member of a zip archive; nothing is unpacked to disk."""

from __future__ import annotations

import gzip
import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

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
        except (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise DataError(f"damaged archive ({error}); fetch it again", path=self.label) from error

    def lines(self) -> Iterator[tuple[int, str]]:
        """(number from 1, line without its end), blank lines left out.

        Raises
        ------
        DataError : a line that is not UTF-8, besides what `open` raises.
        """
        with self.open() as stream:
            for number, raw in enumerate(stream, start=1):
                try:
                    line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                except UnicodeDecodeError as error:
                    raise DataError(f"not UTF-8 ({error})", path=self.label, line=number) from error
                if line and not line.isspace():
                    yield number, line

    def objects(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """(line number, JSON object) of every line.

        Raises
        ------
        DataError : a line that is not a JSON object, or escapes half a character (a lone surrogate).
        """
        for number, line in self.lines():
            try:
                value = json.loads(line)
            except json.JSONDecodeError as error:
                raise DataError(
                    f"not valid JSON: {error.msg} at column {error.colno}; expected one JSON object a line",
                    path=self.label,
                    line=number,
                ) from error
            if "\\ud" in line or "\\uD" in line:
                self._refuse_half_characters(value, number)
            if not isinstance(value, dict):
                raise DataError(f"expected a JSON object, found {type(value).__name__}", path=self.label, line=number)
            yield number, value

    def _refuse_half_characters(self, value: Any, line: int) -> None:
        """JSON can escape what no text holds; tokenizers and UTF-8 refuse it later, without the place."""
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            half = error.object[error.start : error.start + 1]
            raise DataError(f"{half!a} is half a character, which no text holds", path=self.label, line=line) from None


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
