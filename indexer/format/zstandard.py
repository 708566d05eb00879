"""Zstandard, where a library for it is installed: Python's own from 3.14 on, else backports.zstd."""

from __future__ import annotations

import io
from typing import IO, Any

from indexer.errors import MissingExtraError


def zstandard(purpose: str) -> Any:
    """The module.

    Parameters
    ----------
    purpose : what needs it, for the message.

    Raises
    ------
    MissingExtraError : none is installed.
    """
    try:
        from compression import zstd  # Python 3.14
    except ImportError:
        try:
            from backports import zstd
        except ImportError:
            raise MissingExtraError("backports.zstd", "zstd", purpose) from None
    return zstd


class Unpacked(io.RawIOBase):
    """What a packed stream holds; its faults are the OSErrors of other archives.

    Raises
    ------
    MissingExtraError : no library.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        module = zstandard("reading .zst")
        self._file, self._fault = module.ZstdFile(stream), module.ZstdError

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            return int(self._file.readinto(buffer))
        except self._fault as error:
            raise OSError(str(error)) from error
