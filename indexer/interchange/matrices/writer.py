"""Writing CSR matrices: scipy's .npz and Big-ANN's .csr, row batches in, bounded memory."""

from __future__ import annotations

import shutil
import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np

from indexer.documents import Documents
from indexer.errors import DataError
from indexer.interchange.docnos import DOCNOS_SUFFIX, TERMS_SUFFIX, beside
from indexer.interchange.matrices.npz import DOCNOS_MEMBER, TERMS_MEMBER
from indexer.interchange.output import replacing
from indexer.interchange.vocabulary import Vocabulary, write_strings

_LARGEST_INT32 = (1 << 31) - 1
_COPY = 1 << 22
_EPOCH = (1980, 1, 1, 0, 0, 0)  # as numpy.savez: the same matrix gives the same bytes


class CsrSpool:
    """Columns of a matrix in temporary files: the file to be made begins with their lengths, known only at the end.

    Parameters
    ----------
    folder : for the temporary files; the caller's to remove. They take as much room as the result.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.rows = self.nnz = 0
        self.num_terms = 1
        self.largest_id = 0
        self.named = False
        with self.open("indptr", "wb") as file:
            file.write(np.zeros(1, "<i8").tobytes())
        for name in ("term_ids", "weights", "docnos"):
            self.open(name, "wb").close()

    def open(self, name: str, mode: str) -> IO[bytes]:
        """One of the files "indptr" (int64), "term_ids" (uint32), "weights" (float32), "docnos" (JSON lines)."""
        return (self._folder / name).open(mode)

    def add(self, batch: Documents) -> None:
        """Append the rows of a batch."""
        vectors = batch.vectors
        with self.open("indptr", "ab") as file:
            file.write((vectors.indptr[1:] - vectors.indptr[0] + self.nnz).astype("<i8", copy=False).data)
        with self.open("term_ids", "ab") as file:
            file.write(np.ascontiguousarray(vectors.term_ids, "<u4").data)
        with self.open("weights", "ab") as file:
            file.write(np.ascontiguousarray(vectors.weights, "<f4").data)
        if batch.docnos is not None:
            self.named = True
            with self.open("docnos", "ab") as file:
                write_strings(file.write, batch.docnos)
        self.rows += len(vectors)
        self.nnz += vectors.nnz
        self.num_terms = max(self.num_terms, vectors.num_terms)
        self.largest_id = max(self.largest_id, int(vectors.term_ids.max(initial=0)))

    def copy(self, name: str, target: IO[bytes], dtype: str | None = None) -> None:
        """Append a file to `target`; term ids as another type if asked."""
        with self.open(name, "rb") as source:
            if dtype is None:
                shutil.copyfileobj(source, target, _COPY)
                return
            while raw := source.read(_COPY):
                target.write(np.frombuffer(raw, "<u4").astype(dtype).data)


class NpzWriter:
    """scipy's CSR .npz, members stored so that a reader can stream or map them.

    indptr is int64, indices int32 (int64 where an id needs it), data float32; docnos and terms go into members
    docnos.jsonl and terms.jsonl, which scipy passes over.
    """

    def __init__(self, file: IO[bytes], vocabulary: Vocabulary | None, spool: CsrSpool) -> None:
        self._file, self._vocabulary, self._spool = file, vocabulary, spool

    def add(self, batch: Documents, docnos: list[str]) -> None:
        self._spool.add(batch)

    def finish(self, path: Path) -> None:
        """Put the archive together."""
        spool = self._spool
        terms = self._vocabulary.terms if self._vocabulary else None
        columns = max(spool.num_terms, len(terms or ()))
        ids = "<i4" if spool.largest_id <= _LARGEST_INT32 else "<i8"
        with zipfile.ZipFile(self._file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            self._array(archive, "format", np.array(b"csr"))
            self._array(archive, "shape", np.array([spool.rows, columns], "<i8"))
            for name, column, count, dtype in (
                ("indptr", "indptr", spool.rows + 1, "<i8"),
                ("indices", "term_ids", spool.nnz, ids),
                ("data", "weights", spool.nnz, "<f4"),
            ):
                with _member(archive, f"{name}.npy") as member:
                    _write_header(member, dtype, (count,))
                    spool.copy(column, member, "<i8" if (column, dtype) == ("term_ids", "<i8") else None)
            if spool.named:
                with _member(archive, DOCNOS_MEMBER) as member:
                    spool.copy("docnos", member)
            if terms is not None:
                with _member(archive, TERMS_MEMBER) as member:
                    write_strings(member.write, terms)

    def _array(self, archive: zipfile.ZipFile, name: str, value: np.ndarray[Any, Any]) -> None:
        with _member(archive, f"{name}.npy") as member:
            _write_header(member, value.dtype.str, value.shape)
            member.write(value.tobytes())


def _member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    return archive.open(zipfile.ZipInfo(name, _EPOCH), "w", force_zip64=True)


def _write_header(member: IO[bytes], dtype: str, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(member, {"descr": dtype, "fortran_order": False, "shape": shape})


class BigAnnWriter:
    """Big-ANN's .csr. The format holds no strings: docnos and terms go into PATH.docnos and PATH.terms.

    Those are renamed into place before the matrix itself, whose old file is removed first: after a crash between the
    renames there is no matrix rather than one beside the names of another.
    """

    def __init__(self, file: IO[bytes], vocabulary: Vocabulary | None, spool: CsrSpool) -> None:
        self._file, self._vocabulary, self._spool = file, vocabulary, spool

    def add(self, batch: Documents, docnos: list[str]) -> None:
        self._spool.add(batch)

    def finish(self, path: Path) -> None:
        """Put the file together.

        Raises
        ------
        DataError : a term id or the vocabulary is beyond int32.
        """
        spool = self._spool
        if spool.largest_id > _LARGEST_INT32:
            raise DataError(f"term id {spool.largest_id}; Big-ANN CSR holds int32, use .npz", path=path)
        terms = self._vocabulary.terms if self._vocabulary else None
        columns = max(spool.num_terms, len(terms or ()))
        self._file.write(np.array([spool.rows, columns, spool.nnz], "<i8").tobytes())
        for column in ("indptr", "term_ids", "weights"):
            spool.copy(column, self._file)
        with ExitStack() as renames:
            if spool.named:
                spool.copy("docnos", renames.enter_context(replacing(beside(path, DOCNOS_SUFFIX))))
            if terms is not None:
                write_strings(renames.enter_context(replacing(beside(path, TERMS_SUFFIX))).write, terms)
            path.unlink(missing_ok=True)
        for suffix, present in ((DOCNOS_SUFFIX, spool.named), (TERMS_SUFFIX, terms is not None)):
            if not present:
                beside(path, suffix).unlink(missing_ok=True)
