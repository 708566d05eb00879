"""Which reader a path gets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from indexer.documents import Documents
from indexer.errors import DataError
from indexer.interchange.batches import BatchLimits, VectorSource
from indexer.interchange.ciff import reader as ciff
from indexer.interchange.docnos import DuplicateCheck, Place
from indexer.interchange.jsonl import reader as jsonl
from indexer.interchange.matrices import bigann, npz
from indexer.interchange.vocabulary import Vocabulary

SUFFIXES = {
    **dict.fromkeys(jsonl.SUFFIXES, "jsonl"),
    ".npz": "npz",
    ".csr": "bigann",
    ".ciff": "ciff",
    ".ciff.gz": "ciff",
}

_NUMBER_FORMATS = ("npz", "bigann")


def format_of(path: Path) -> str | None:
    """Format that the ending of a file name means; None for any other name."""
    name = path.name.lower()
    return next((found for suffix, found in SUFFIXES.items() if name.endswith(suffix)), None)


def open_vectors(
    path: str | Path,
    *,
    num_terms: int | None = None,
    vocabulary: Vocabulary | None = None,
    limits: BatchLimits | None = None,
) -> VectorSource:
    """Sparse vectors of a file, or of a folder of files of one format (in the order of their paths).

    Parameters
    ----------
    path : Anserini JSON vectors (.jsonl, .json, either with .gz), scipy CSR .npz, Big-ANN .csr, CIFF (.ciff[.gz]).
    num_terms : vocabulary size, above every term id. Left out, that of the file or the vocabulary.
    vocabulary : what term strings mean, in the formats that hold strings (JSON, CIFF). Left out, terms take ids in the
        order they are first seen, and `source.vocabulary` holds them after one pass. Refused for .npz and .csr, whose
        terms are numbers.
    limits : size of a batch.

    Raises
    ------
    DataError : no such path, an unknown ending, a folder of several formats, a damaged header. Faults inside the data
        come while it is read.
    """
    path = Path(path)
    files = vector_files(path)
    chosen = {format_of(file) for file in files}
    if len(chosen) > 1:
        raise DataError(f"files of several formats ({', '.join(sorted(map(str, chosen)))}); expected one", path=path)
    kind = chosen.pop()
    bounds = limits or BatchLimits()
    if kind in _NUMBER_FORMATS:
        if vocabulary is not None:
            raise DataError("terms are numbers in this format; a vocabulary cannot apply", path=path)
        opener = npz.NpzSource if kind == "npz" else bigann.BigAnnSource
        parts: list[VectorSource] = [opener(file, num_terms, bounds) for file in files]
    else:
        terms = vocabulary or (Vocabulary.growing(num_terms=num_terms) if num_terms else Vocabulary.growing())
        if kind == "jsonl":
            return jsonl.JsonlSource(path, files, terms, bounds)
        parts = [ciff.CiffSource(file, terms, bounds) for file in files]
    return parts[0] if len(parts) == 1 else Shards(path, parts)


def open_vectors_of(
    path: str | Path,
    vocabulary: Callable[[], Vocabulary | None],
    *,
    num_terms: int | None = None,
    limits: BatchLimits | None = None,
) -> VectorSource:
    """Sparse vectors that go with a vocabulary: strings take its ids, numbers that come with strings must have them.

    Parameters
    ----------
    vocabulary : what terms mean; None for whatever the vectors say. Called only where the path holds strings.
    path, num_terms, limits : as for `open_vectors`.

    Raises
    ------
    DataError : as `open_vectors`; a term id that means one thing in the file and another in the vocabulary.
    """
    path = Path(path)
    numbers = format_of(vector_files(path)[0]) in _NUMBER_FORMATS
    source = open_vectors(path, num_terms=num_terms, vocabulary=None if numbers else vocabulary(), limits=limits)
    if numbers and source.vocabulary is not None:
        expected = vocabulary()
        if expected is not None:
            source.vocabulary.check_same_ids(expected, path)
    return source


def vector_files(path: Path) -> list[Path]:
    """The files of vectors at a path, in the order in which they are read; folders NAME.tokens hold none.

    Raises
    ------
    DataError : none, or a file that is none.
    """
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.is_file() and _holds_vectors(p, path))
        if not found:
            raise DataError(f"no vectors in this folder (looked for {', '.join(SUFFIXES)})", path=path)
        return found
    if not path.exists():
        raise DataError("no such file or folder", path=path)
    if format_of(path) is None:
        raise DataError(f"unknown ending; expected one of {', '.join(SUFFIXES)}", path=path)
    return [path]


def _holds_vectors(path: Path, folder: Path) -> bool:
    """Whether a file in a folder is one of vectors: neither hidden nor part of what stands beside such a file."""
    above = path.relative_to(folder).parts[:-1]
    beside = any(name.endswith(".tokens") for name in above)
    return format_of(path) is not None and not path.name.startswith(".") and not beside


class Shards(VectorSource):
    """Files of one format read one after the other as one collection.

    Raises
    ------
    DataError : a term id that means one thing in one file and another in the first.
    """

    def __init__(self, path: Path, parts: list[VectorSource]) -> None:
        self.path = path
        self.format = parts[0].format
        self._parts = parts
        for part in parts[1:]:
            if part.vocabulary is not None and parts[0].vocabulary is not None:
                part.vocabulary.check_same_ids(parts[0].vocabulary, part.path)

    @property
    def num_terms(self) -> int:
        return max(part.num_terms for part in self._parts)

    @property
    def num_rows(self) -> int | None:
        counts = [part.num_rows for part in self._parts]
        return None if None in counts else sum(filter(None, counts))

    @property
    def vocabulary(self) -> Vocabulary | None:
        return self._parts[0].vocabulary

    def __iter__(self) -> Iterator[Documents]:
        duplicates = DuplicateCheck(self._names)
        named: bool | None = None
        for part in self._parts:
            for batch in part:
                if named is None:
                    named = batch.docnos is not None
                if named != (batch.docnos is not None):
                    raise DataError("some files have docnos and some have none; give all or none", path=part.path)
                duplicates.add(batch.docnos or ())
                yield batch

    def _names(self) -> Iterator[tuple[str, Place]]:
        for part in self._parts:
            row = 0
            for batch in part:
                for name in batch.docnos or ():
                    yield name, (part.path, row)
                    row += 1
