"""The one tree of errors.

Both halves raise these classes, so they live where both may import them; `sparseir.errors` exports them under the name
that users import. A message says what was given, what was expected and what to do.
"""

from __future__ import annotations

from pathlib import Path


class SparseIRError(Exception):
    """Anything this project refuses on purpose. The command line prints it without a traceback."""


class ConfigError(SparseIRError):
    """A configuration that cannot be used; the message lists every fault found, not only the first."""


class DataError(SparseIRError):
    """Input data that cannot be used.

    Parameters
    ----------
    message : what was found, what was expected, what to do.
    path, line : the place, when the input is a file; lines count from 1. Both lead the message.
    """

    def __init__(self, message: str, *, path: str | Path | None = None, line: int | None = None) -> None:
        place = "" if path is None else f"{path}: " if line is None else f"{path}:{line}: "
        super().__init__(place + message)
        self.path = None if path is None else Path(path)
        self.line = line


class IndexFormatError(SparseIRError):
    """A file of an index breaks the format.

    Parameters
    ----------
    message : what is wrong and what to do.
    section : the section at fault (four-letter name), when one is.
    invariant : the short name of the broken rule, as listed in docs/index-format.md.
    """

    def __init__(self, message: str, *, section: str | None = None, invariant: str | None = None) -> None:
        super().__init__(message)
        self.section = section
        self.invariant = invariant


class NativeError(SparseIRError):
    """The C library is missing or refused a call."""


class LockedError(SparseIRError):
    """Another writer holds the index; the message names it."""


class MissingExtraError(SparseIRError):
    """An optional dependency is not installed; the message holds the pip line that installs it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs {package}, which is not installed; install it with: pip install 'sparseir[{extra}]'"
        )
        self.package = package
        self.extra = extra


def is_panic(error: BaseException) -> bool:
    """Whether a library in Rust failed where it did not mean to: Python has that as a BaseException of no public class."""
    return type(error).__name__ == "PanicException"
