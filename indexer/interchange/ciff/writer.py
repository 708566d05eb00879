"""Writing CIFF: posting lists by term in byte order, as Lucene's exporter writes them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from indexer.documents import Documents
from indexer.errors import DataError
from indexer.interchange.ciff.postings_codec import encode_postings, encoded_size
from indexer.interchange.ciff.protobuf import bytes_field, double_field, int_field, varint
from indexer.interchange.ciff.reader import CIFF_VERSION, LARGEST_TF
from indexer.interchange.matrices.transpose import SPILL_POSTINGS, Transposer
from indexer.interchange.vocabulary import Vocabulary

_PIECE = 1 << 18
LARGEST_DOCS = LARGEST_TF


@dataclass(frozen=True, kw_only=True, slots=True)
class CiffCounts:
    """What the header of a whole index holds.

    Parameters
    ----------
    num_lists, num_docs : posting lists and documents.
    total_weight : sum of all tfs.
    description : for people.
    """

    num_lists: int
    num_docs: int
    total_weight: int
    description: str

    def message(self) -> bytes:
        """The delimited header."""
        mean = self.total_weight / self.num_docs if self.num_docs else 0.0
        body = b"".join(
            (
                int_field(1, CIFF_VERSION),
                int_field(2, self.num_lists),
                int_field(3, self.num_docs),
                int_field(4, self.num_lists),
                int_field(5, self.num_docs),
                int_field(6, self.total_weight),
                double_field(7, mean),
                bytes_field(8, self.description.encode()),
            )
        )
        return varint(len(body)) + body


def write_list(file: IO[bytes], term: str, docs: NDArray[Any], tfs: NDArray[Any]) -> int:
    """Write one posting list; the bytes written.

    Parameters
    ----------
    docs : document numbers, strictly ascending, below 2**31.
    tfs : positive weights below 2**31, equally long.
    """
    gaps = docs.astype(np.int64)
    gaps[1:] -= docs[:-1]
    weights = tfs.astype(np.int64)
    head = bytes_field(1, term.encode()) + int_field(2, len(docs)) + int_field(3, int(weights.sum()))
    pieces = range(0, len(gaps), _PIECE)
    size = len(head) + sum(encoded_size(gaps[i : i + _PIECE], weights[i : i + _PIECE]) for i in pieces)
    lead = varint(size)
    file.write(lead + head)
    for i in pieces:
        file.write(encode_postings(gaps[i : i + _PIECE], weights[i : i + _PIECE]))
    return len(lead) + size


def document_message(row: int, docno: str, length: int) -> bytes:
    """The delimited record of a document; `length` is the sum of its tfs."""
    body = int_field(1, row) + bytes_field(2, docno.encode()) + int_field(3, min(length, LARGEST_TF))
    return varint(len(body)) + body


class CiffWriter:
    """Rows turned into posting lists.

    Weights must be whole numbers 1 … 2³¹−1. Memory: a piece of the transposition, the longest posting list and about
    100 bytes a term; disk in `folder`: 12 bytes a posting and the lists once more, because terms are put in order at the end.
    """

    def __init__(self, file: IO[bytes], vocabulary: Vocabulary, folder: Path, description: str) -> None:
        self._file, self._vocabulary, self._folder = file, vocabulary, folder
        self._description = description
        self._postings = Transposer(folder)
        self._documents = folder / "documents"
        self._documents.touch()
        self._rows = self._total = 0

    def add(self, batch: Documents, docnos: list[str]) -> None:
        """Take the rows of a batch under these names.

        Raises
        ------
        DataError : a weight that is no whole number in range, more than 2³¹−1 documents.
        """
        vectors = batch.vectors
        tfs = vectors.weights.astype(np.int64)
        bad = (tfs != vectors.weights) | (tfs < 1) | (tfs > LARGEST_TF)
        if bad.any():
            at = int(np.flatnonzero(bad)[0])
            row = self._rows + int(np.searchsorted(vectors.indptr, vectors.indptr[0] + at, side="right")) - 1
            raise DataError(
                f"row {row} has the weight {vectors.weights[at]}; CIFF holds whole numbers 1..{LARGEST_TF}: "
                "give the weight of one step (scale)"
            )
        if self._rows + len(vectors) > LARGEST_DOCS:
            raise DataError(f"more than {LARGEST_DOCS} documents; CIFF numbers them in 31 bits")
        lengths = np.diff(vectors.indptr)
        rows = np.repeat(np.arange(self._rows, self._rows + len(vectors), dtype=np.uint32), lengths)
        self._postings.add(vectors.term_ids, rows, tfs.astype(np.uint32))
        sums = np.diff(np.concatenate([[0], np.cumsum(tfs)])[vectors.indptr - vectors.indptr[0]]).tolist()
        records = [
            document_message(self._rows + i, name, total)
            for i, (name, total) in enumerate(zip(docnos, sums, strict=True))
        ]
        with self._documents.open("ab") as file:
            file.write(b"".join(records))
        self._rows += len(vectors)
        self._total += sum(sums)

    def finish(self, path: Path) -> None:
        """Put the file together."""
        with self._documents.open("rb") as documents, ListSpool(self._folder, self._vocabulary) as lists:
            for group in self._postings.groups(SPILL_POSTINGS):
                lists.add(group.keys, group.others, group.values)
            counts = CiffCounts(
                num_lists=lists.count,
                num_docs=self._rows,
                total_weight=self._total,
                description=self._description,
            )
            self._file.write(counts.message())
            lists.copy(self._file)
            shutil.copyfileobj(documents, self._file)


class ListSpool:
    """Posting lists written as they come and copied in byte order of their terms.

    Parameters
    ----------
    folder : for the file of the lists; the caller's to remove.
    vocabulary : strings of the terms.
    """

    def __init__(self, folder: Path, vocabulary: Vocabulary) -> None:
        self._file = (folder / "lists").open("w+b")
        self._vocabulary = vocabulary
        self._places: list[tuple[bytes, int, int]] = []
        self._end = 0

    def __enter__(self) -> ListSpool:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    @property
    def count(self) -> int:
        return len(self._places)

    def add(self, terms: NDArray[np.uint32], docs: NDArray[np.uint32], tfs: NDArray[np.uint32]) -> None:
        """Write the lists of some terms: postings by term, then document; a term's postings come in one call."""
        starts = np.flatnonzero(np.diff(terms.astype(np.int64), prepend=-1)).tolist()
        for lo, hi in zip(starts, [*starts[1:], len(terms)][: len(starts)], strict=True):
            term = self._vocabulary.term(int(terms[lo]))
            size = write_list(self._file, term, docs[lo:hi], tfs[lo:hi])
            self._places.append((term.encode(), self._end, size))
            self._end += size

    def copy(self, target: IO[bytes]) -> None:
        """Append every list to `target`."""
        for _, start, size in sorted(self._places):
            self._file.seek(start)
            _copy(self._file, target, size)


def _copy(source: IO[bytes], target: IO[bytes], size: int) -> None:
    while size:
        piece = source.read(min(size, 1 << 22))
        target.write(piece)
        size -= len(piece)
