"""Numbered lines of a file, of standard input or of a member of a zip archive, packed or plain; nothing is unpacked to
disk."""

from __future__ import annotations

import io
import json
import math
import sys
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from indexer.interchange.input import ARCHIVE_FAULTS, LongLineError, raw_lines
from indexer.interchange.jsonl.text import json_value
from sparseir.data.compression import sniffed, unpacked
from sparseir.errors import DataError

STANDARD_INPUT = Path("-")


@dataclass(frozen=True, slots=True)
class LineSource:
    """A text file that may lie inside a zip archive; .gz and .zst are unpacked.

    Parameters
    ----------
    path : the file, or the archive; `-` is standard input.
    member : the name inside the archive; None for a file of its own.
    """

    path: Path
    member: str | None = None

    @property
    def label(self) -> Path:
        """The name that errors show."""
        if self.path == STANDARD_INPUT:
            return Path("standard input")
        return self.path if self.member is None else self.path / self.member

    @property
    def name(self) -> str:
        """Of the file or the member, without its folder."""
        return self.path.name if self.member is None else PurePosixPath(self.member).name

    @property
    def is_stream(self) -> bool:
        """Whether it can be read only once: standard input, a pipe."""
        return self.path == STANDARD_INPUT or (self.path.exists() and not (self.path.is_file() or self.path.is_dir()))

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
                    yield unpacked(stream, self.member)
            elif self.path == STANDARD_INPUT:
                yield sniffed(io.BufferedReader(sys.stdin.buffer, 1 << 16))  # type: ignore[arg-type]
            else:
                with self.path.open("rb") as stream:
                    yield sniffed(stream) if self.is_stream else unpacked(stream, self.path.name)
        except (FileNotFoundError, KeyError) as error:
            raise DataError("no such file", path=self.label) from error
        except IsADirectoryError as error:
            raise DataError("is a folder, expected a file", path=self.label) from error
        except RuntimeError as error:  # what Python lacks: a method of packing, a password
            raise DataError(
                f"cannot be read ({error}); unpack the archive and give its folder", path=self.label
            ) from error
        except ARCHIVE_FAULTS as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise DataError(f"cannot be read: {error.strerror}", path=self.label) from error
            raise DataError(
                f"damaged archive, or one that cannot be read ({error}); fetch it again", path=self.label
            ) from error

    def raw_text(self) -> Iterator[tuple[int, str]]:
        """(number from 1, line with its end) of every line.

        Raises
        ------
        DataError : a line that is not UTF-8 or endless, besides what `open` raises.
        """
        number = 0
        with self.open() as stream:
            try:
                for number, raw in enumerate(raw_lines(stream), start=1):
                    yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise DataError(
                    f"not UTF-8 ({error}); convert it, for example with iconv -t UTF-8", path=self.label, line=number
                ) from error
            except LongLineError as error:
                raise DataError(str(error), path=self.label, line=number + 1) from error

    def lines(self) -> Iterator[tuple[int, str]]:
        """(number from 1, line without its end), blank lines left out.

        Raises
        ------
        DataError : as `raw_text`.
        """
        for number, line in self.raw_text():
            line = line.rstrip("\r\n")
            if line and not line.isspace():
                yield number, line

    def objects(self, lines: Iterable[tuple[int, str]] | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
        """(line number, JSON object) of every line.

        Parameters
        ----------
        lines : what `lines` gives, where some of it has been looked at.

        Raises
        ------
        DataError : a line that is not a JSON object, with numbers and text that floats and UTF-8 can hold.
        """
        for number, line in self.lines() if lines is None else lines:
            try:
                value = json_value(line)
            except ValueError as error:
                raise DataError(
                    f"not valid JSON: {_key_of_constant(line)}{error}; expected one JSON object a line",
                    path=self.label,
                    line=number,
                ) from error
            if not isinstance(value, dict):
                raise DataError(f"expected a JSON object, found {type(value).__name__}", path=self.label, line=number)
            yield number, value


def _key_of_constant(line: str) -> str:
    """Which key of a line holds NaN or an infinity, which Python's parser lets pass: "'key': ", or nothing."""
    try:
        row = json.loads(line)
        return next(f"'{key}': " for key, value in row.items() if not _finite(value))
    except (ValueError, RecursionError, AttributeError, StopIteration):
        return ""


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict | list):
        return all(map(_finite, value.values() if isinstance(value, dict) else value))
    return True


def text_of(row: dict[str, Any], key: str, source: LineSource, line: int, *, name: bool = False) -> str:
    """The string under a key; null is "". A name may also be an integer, and must not be empty.

    Raises
    ------
    DataError : the key is missing (the keys found are named) or holds something else.
    """
    value = row.get(key)
    if isinstance(value, str) and (value or not name):
        return value
    if name and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is None and key in row and not name:
        return ""
    if key not in row:
        found = ", ".join(f"'{k}'" for k in row) or "none"
        message = f"missing key '{key}' (found: {found})"
    elif value is None or value == "":
        message = f"'{key}' is {'null' if value is None else 'empty'}, expected a string"
    else:
        message = f"'{key}' must be a string, found {type(value).__name__}"
    raise DataError(message, path=source.label, line=line)
