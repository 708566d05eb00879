"""The request log: one JSON object a request."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from pydantic_core import to_json

from sparseir.errors import ConfigError


class Journal:
    """Appends to a file, or writes to the standard output; to neither without a target.

    Parameters
    ----------
    target : path, '-' or None.
    queries : with the text of queries, which may say much about the people who ask.

    Raises
    ------
    ConfigError : the file cannot be written.
    """

    def __init__(self, target: str | None, *, queries: bool) -> None:
        self.queries = queries
        self._file: IO[bytes] | None = None
        if target == "-":
            self._file = sys.stdout.buffer
        elif target is not None:
            try:
                self._file = Path(target).open("ab", buffering=0)  # noqa: SIM115 - open as long as the service is
            except OSError as error:
                raise ConfigError(f"request log {target}: {error.strerror}") from None
        self._owned = target not in (None, "-")

    @property
    def wanted(self) -> bool:
        """Whether anything is written."""
        return self._file is not None

    def write(self, entry: dict[str, Any]) -> None:
        """One line, in one write, so that lines of two processes do not mix."""
        if self._file is not None:
            self._file.write(to_json({"time": round(time.time(), 3), **entry}, inf_nan_mode="null") + b"\n")
            if not self._owned:
                self._file.flush()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None and self._owned:
            self._file.close()
