"""scipy's .npz of a CSR matrix, read as a stream: no member is ever loaded whole and nothing is unpickled."""

from __future__ import annotations

import ast
import re
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from indexer.documents import Documents
from indexer.errors import DataError
from indexer.interchange.batches import BatchLimits
from indexer.interchange.docnos import RowNames, read_strings
from indexer.interchange.input import ARCHIVE_FAULTS
from indexer.interchange.matrices.csr_stream import (
    CsrStream,
    MatrixSource,
    checked_vocabulary,
    sidecar_names,
    sidecar_vocabulary,
    wider,
)
from indexer.interchange.vocabulary import Vocabulary

DOCNOS_MEMBER = "docnos.jsonl"
TERMS_MEMBER = "terms.jsonl"

_LARGEST_HEADER = 10_000
_PLAIN_TYPE = re.compile(r"[<>|=]?[?biufcSUV]\d{0,9}")


def load_array(path: str | Path, mmap_mode: Literal["r"] | None = None) -> NDArray[Any]:
    """The array of a .npy file.

    Parameters
    ----------
    path : the file. mmap_mode : as of `numpy.load`.

    Raises
    ------
    ValueError : it holds none, whatever numpy raises over its header (SyntaxError for some).
    OSError
    """
    try:
        found = np.load(path, mmap_mode=mmap_mode, allow_pickle=False)
    except (OSError, ValueError):
        raise
    except Exception as error:
        raise ValueError(f"not a numpy array ({type(error).__name__})") from error
    if not isinstance(found, np.ndarray):
        raise ValueError("an archive, not a numpy array")
    return found


class NpzMember:
    """One array of the archive, taken piece by piece.

    Attributes
    ----------
    dtype, count : element type and number of elements, checked against the bytes the archive declares.
    """

    def __init__(self, archive: zipfile.ZipFile, name: str, path: Path) -> None:
        self._name, self._path = name, path
        try:
            info = archive.getinfo(name + ".npy")
        except KeyError:
            raise DataError(
                f"no member {name!r} (found: {', '.join(_names(archive))}); expected a CSR matrix as scipy saves it",
                path=path,
            ) from None
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DataError(f"member {name!r} is neither stored nor deflated", path=path)
        try:
            self._stream: IO[bytes] = archive.open(info)
            self.dtype, self.shape, header_bytes = self._header()
        except ARCHIVE_FAULTS as error:
            raise DataError(f"member {name!r} is damaged: {error}", path=path) from error
        self.count = 1
        for size in self.shape:
            self.count *= size
        expected = header_bytes + self.count * self.dtype.itemsize
        if info.file_size != expected:
            raise DataError(
                f"member {name!r} has {info.file_size} bytes, its shape {self.shape} of {self.dtype} needs {expected}",
                path=path,
            )
        self._left = self.count

    def _header(self) -> tuple[np.dtype[Any], tuple[int, ...], int]:
        lead = self._stream.read(8)
        if len(lead) < 8 or lead[:6] != b"\x93NUMPY" or lead[6] not in (1, 2, 3):
            raise ValueError("not a numpy array")
        width = 2 if lead[6] == 1 else 4
        size = int.from_bytes(self._stream.read(width), "little")
        if size > _LARGEST_HEADER:
            raise ValueError(f"a header of {size} bytes")
        try:
            header = ast.literal_eval(self._stream.read(size).decode("utf-8" if lead[6] == 3 else "latin1").strip())
            descr, shape = header["descr"], header["shape"]
        except (SyntaxError, ValueError, TypeError, KeyError, RecursionError, MemoryError) as error:
            raise ValueError(f"its header cannot be read ({type(error).__name__})") from None
        if (
            not isinstance(descr, str)
            or not isinstance(shape, tuple)
            or not all(type(n) is int and n >= 0 for n in shape)
        ):
            raise ValueError(f"type {descr!r} and shape {shape!r}; expected a plain array")
        if "O" in descr:
            raise ValueError("it holds Python objects, which would have to be unpickled; save plain numbers")
        if not _PLAIN_TYPE.fullmatch(descr):  # of other texts numpy makes records, or raises whatever its parser does
            raise ValueError(f"type {descr[:100]!r} is unknown; expected numbers or text, '<f4' for example")
        try:
            return np.dtype(descr), shape, 8 + width + size
        except (TypeError, ValueError) as error:
            raise ValueError(f"type {descr!r} is unknown ({error})") from None

    def expect(self, kinds: str, what: str) -> None:
        """Raises DataError unless this is a vector of one of numpy's kinds."""
        if len(self.shape) != 1 or self.dtype.kind not in kinds:
            raise DataError(
                f"member {self._name!r} is {self.dtype} of shape {self.shape}; expected a vector of {what}",
                path=self._path,
            )

    def take(self, count: int) -> NDArray[Any]:
        """The next `count` elements, in native byte order."""
        size = count * self.dtype.itemsize
        try:
            raw = self._stream.read(size)
        except ARCHIVE_FAULTS as error:
            raise DataError(f"member {self._name!r} is damaged: {error}", path=self._path) from error
        if len(raw) != size:
            raise DataError(f"member {self._name!r} is cut", path=self._path)
        self._left -= count
        return np.frombuffer(raw, self.dtype).astype(self.dtype.newbyteorder("="), copy=False)

    def finish(self) -> None:
        """After the last element: the archive's checksum is compared here."""
        try:
            rest = self._stream.read(1)
        except ARCHIVE_FAULTS as error:
            raise DataError(f"member {self._name!r} is damaged: {error}", path=self._path) from error
        if rest or self._left:
            raise DataError(f"member {self._name!r} is longer than its shape says", path=self._path)


def _names(archive: zipfile.ZipFile) -> list[str]:
    return [name.removesuffix(".npy") for name in archive.namelist()[:8]] or ["nothing"]


class NpzSource(MatrixSource):
    """A CSR matrix in scipy's .npz: members indptr, indices, data, shape, and format when scipy wrote it.

    Names of rows and terms are found in the members docnos.jsonl and terms.jsonl, which `write_vectors` adds and
    other readers of .npz pass over, or else in the files PATH.docnos and PATH.terms; one JSON string a line.

    Raises
    ------
    DataError : no such archive, a member missing or of another type or size than it must be.
    """

    format = "npz"

    def __init__(self, path: Path, num_terms: int | None, limits: BatchLimits) -> None:
        self.path = path
        self._limits = limits
        with ExitStack() as stack:
            archive = self._open(stack)
            names = archive.namelist()
            if len(set(names)) != len(names):
                raise DataError("the archive holds two members of one name", path=path)
            self._check_format(archive)
            self._rows, columns = self._shape(archive)
            self._vocabulary = self._terms(archive, columns)
        self._num_terms = wider(columns, num_terms, path)

    def __iter__(self) -> Iterator[Documents]:
        with ExitStack() as stack:
            archive = self._open(stack)
            members = {name: NpzMember(archive, name, self.path) for name in ("indptr", "indices", "data")}
            members["indptr"].expect("iu", "integers")
            members["indices"].expect("iu", "integers")
            members["data"].expect("fiu", "numbers")
            stream = CsrStream(
                path=self.path,
                rows=self._rows,
                num_terms=self._num_terms,
                indptr=members["indptr"],
                term_ids=members["indices"],
                weights=members["data"],
            )
            yield from stream.batches(self._limits, self._names(archive))

    def _open(self, stack: ExitStack) -> zipfile.ZipFile:
        try:
            return stack.enter_context(zipfile.ZipFile(self.path))
        except FileNotFoundError as error:
            raise DataError("no such file", path=self.path) from error
        except ARCHIVE_FAULTS as error:
            raise DataError(f"not an .npz archive, or a damaged one: {error}", path=self.path) from error

    def _check_format(self, archive: zipfile.ZipFile) -> None:
        if "format.npy" not in archive.namelist():
            return
        member = NpzMember(archive, "format", self.path)
        if member.dtype.kind not in "SU" or member.count != 1 or not 0 < member.dtype.itemsize <= 64:
            raise DataError("member 'format' is no word; expected 'csr'", path=self.path)
        value = member.take(1)[0]
        word = value.decode("latin1") if isinstance(value, bytes) else str(value)
        if word != "csr":
            raise DataError(f"a matrix in {word!r} format; convert it with .tocsr() before saving", path=self.path)

    def _shape(self, archive: zipfile.ZipFile) -> tuple[int, int]:
        member = NpzMember(archive, "shape", self.path)
        member.expect("iu", "two integers")
        if member.count != 2:
            raise DataError(f"member 'shape' has {member.count} values; expected rows and columns", path=self.path)
        rows, columns = (int(n) for n in member.take(2))
        if rows < 0:
            raise DataError(f"member 'shape' says {rows} rows", path=self.path)
        return rows, columns

    def _terms(self, archive: zipfile.ZipFile, columns: int) -> Vocabulary | None:
        if TERMS_MEMBER in archive.namelist():
            return checked_vocabulary(self._member_strings(TERMS_MEMBER), columns, self.path)
        return sidecar_vocabulary(self.path, columns)

    def _names(self, archive: zipfile.ZipFile) -> RowNames | None:
        if DOCNOS_MEMBER in archive.namelist():
            return RowNames(lambda: self._member_strings(DOCNOS_MEMBER), self.path / DOCNOS_MEMBER)
        return sidecar_names(self.path)

    def _member_strings(self, name: str) -> Iterator[str]:
        with ExitStack() as stack:
            try:
                stream = stack.enter_context(self._open(stack).open(name))
            except ARCHIVE_FAULTS as error:
                raise DataError(f"member {name!r} is damaged: {error}", path=self.path) from error
            yield from read_strings(stream, self.path / name)
