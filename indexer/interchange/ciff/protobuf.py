"""The part of protobuf's wire format that CIFF uses, read with every length and number checked.

Source: protobuf.dev, "Encoding": varints of 7 bits a byte, least first; a tag is field << 3 | wire type.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from indexer.errors import DataError
from indexer.interchange.input import READ_FAULTS

LARGEST_MESSAGE = (1 << 31) - 1
"""Bytes of the longest message protobuf allows."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_PIECE = 1 << 24

Value = int | bytes


class WireError(ValueError):
    """Bytes that are no protobuf message; readers turn it into a DataError with the place."""


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """(value, position after it) of an unsigned varint of at most 64 bits.

    Raises
    ------
    WireError : it is cut, or longer than 64 bits.
    """
    value = shift = 0
    while True:
        if position >= len(data):
            raise WireError("a number is cut")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 63:
            raise WireError("a number of more than 64 bits")
    if value >> 64:
        raise WireError("a number of more than 64 bits")
    return value, position


def signed(value: int) -> int:
    """The int32 or int64 that a varint encodes: negative numbers are written as 64-bit two's complement."""
    return value - (1 << 64) if value >> 63 else value


def read_fields(data: bytes, position: int = 0) -> Iterator[tuple[int, int, Value, int]]:
    """(field number, position of its tag, value, position after it) of each field of a message, unknown ones included.

    Raises
    ------
    WireError
    """
    while position < len(data):
        start = position
        tag, position = read_varint(data, position)
        field, kind = tag >> 3, tag & 7
        if field == 0:
            raise WireError("field number 0")
        value: Value
        if kind == _VARINT:
            value, position = read_varint(data, position)
        elif kind in (_BYTES, _FIXED64, _FIXED32):
            size = {_FIXED64: 8, _FIXED32: 4}.get(kind, 0)
            if kind == _BYTES:
                size, position = read_varint(data, position)
            if size > len(data) - position:
                raise WireError(f"field {field} of {size} bytes reaches beyond its message")
            value, position = data[position : position + size], position + size
        else:
            raise WireError(f"wire type {kind}")
        yield field, start, value, position


def as_int(value: Value, what: str) -> int:
    if not isinstance(value, int):
        raise WireError(f"{what} is not a number")
    return signed(value)


def as_text(value: Value, what: str) -> str:
    if not isinstance(value, bytes):
        raise WireError(f"{what} is not a string")
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise WireError(f"{what} is not UTF-8 ({error.reason})") from None


class MessageReader:
    """Length-delimited messages of a stream, one after the other."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file, self._path = file, path

    def next(self, what: str) -> bytes:
        """The bytes of the next message.

        Raises
        ------
        DataError : the stream ends before it or inside it, or its length is impossible.
        """
        size = self._length(what)
        pieces = []
        while size:  # in pieces, so that a wrong length takes no more memory than the file has bytes
            piece = self._read(min(size, _PIECE), what)
            if not piece:
                raise DataError(f"{what} is cut: {size} bytes are missing", path=self._path)
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def finish(self) -> None:
        """Raises DataError when bytes are left."""
        if self._read(1, "the end"):
            raise DataError("bytes are left after the last document the header counts", path=self._path)

    def _length(self, what: str) -> int:
        raw = b""
        while True:
            byte = self._read(1, what)
            if not byte:
                raise DataError(f"{what} is missing: the file ends before it", path=self._path)
            raw += byte
            if byte[0] < 0x80:
                break
            if len(raw) > 9:
                break
        try:
            size, _ = read_varint(raw, 0)
        except WireError as error:
            raise DataError(f"the length of {what}: {error}", path=self._path) from None
        if size > LARGEST_MESSAGE:
            raise DataError(f"{what} has {size} bytes; a message has at most {LARGEST_MESSAGE}", path=self._path)
        return size

    def _read(self, size: int, what: str) -> bytes:
        try:
            return self._file.read(size)
        except READ_FAULTS as error:
            raise DataError(f"damaged or cut at {what}: {error}", path=self._path) from error


def varint(value: int) -> bytes:
    """Bytes of an unsigned number below 2**64."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def int_field(field: int, value: int) -> bytes:
    """A number field; zero is left out, as proto3 does."""
    return varint(field << 3 | _VARINT) + varint(value) if value else b""


def bytes_field(field: int, value: bytes) -> bytes:
    """A string or message field; empty is left out, as proto3 does."""
    return varint(field << 3 | _BYTES) + varint(len(value)) + value if value else b""


def double_field(field: int, value: float) -> bytes:
    """A float64 field; zero is left out, as proto3 does."""
    return varint(field << 3 | _FIXED64) + struct.pack("<d", value) if value else b""
