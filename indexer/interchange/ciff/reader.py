"""CIFF, the Common Index File Format: an inverted index of integer weights, read back into rows.

Source: Lin et al., "Supporting Interoperability Between Open-Source Search Engines with the Common Index File Format",
SIGIR 2020, and its CommonIndexFileFormat.proto: a header, the posting lists and the document records, each a
protobuf message after its length.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.documents import Documents
from indexer.errors import DataError
from indexer.format.partial import spool_folder
from indexer.interchange.batches import BatchLimits, VectorSource
from indexer.interchange.ciff.postings_codec import POSTING_FIELD, Pair, decode_postings, parse_posting
from indexer.interchange.ciff.protobuf import MessageReader, Value, WireError, as_int, as_text, read_fields
from indexer.interchange.docnos import DuplicateCheck, Place
from indexer.interchange.input import opened
from indexer.interchange.matrices.transpose import Transposer, row_batches
from indexer.interchange.vocabulary import UnknownTermError, Vocabulary

CIFF_VERSION = 1
LARGEST_TF = (1 << 31) - 1
_MOST_DOCS = 1 << 32


@dataclass(frozen=True, slots=True)
class CiffHeader:
    """Counts a CIFF file declares."""

    num_lists: int
    num_docs: int


class CiffSource(VectorSource):
    """A CIFF file as rows: tf is the weight, docid the row, collection_docid the name.

    The file holds posting lists, so they are transposed to give rows: postings that are more than one piece holds go
    through runs in a temporary folder (12 bytes each; TMPDIR says where). Memory is bounded by the longest posting list
    (its bytes and 16 bytes a posting), a piece of the runs, one batch, and 8 bytes a document for the check of names.

    Lists may come in any order of terms; documents must come in order of docid, as every exporter writes them.
    """

    format = "ciff"

    def __init__(self, path: Path, vocabulary: Vocabulary, limits: BatchLimits) -> None:
        self.path = path
        self._vocabulary = vocabulary
        self._limits = limits
        with opened(path) as file:
            self._header = self._read_header(MessageReader(file, path))

    @property
    def num_terms(self) -> int:
        return self._vocabulary.num_terms

    @property
    def num_rows(self) -> int:
        return self._header.num_docs

    @property
    def vocabulary(self) -> Vocabulary:
        return self._vocabulary

    def __iter__(self) -> Iterator[Documents]:
        duplicates = DuplicateCheck(self._names)
        spool = Path(tempfile.gettempdir()) / "sparseir-ciff"
        with opened(self.path) as file, spool_folder(spool) as folder:
            messages = MessageReader(file, self.path)
            header = self._read_header(messages)
            postings = Transposer(folder)
            self._read_lists(messages, header, postings)
            next_row = 0
            shape = (header.num_docs, self.num_terms)
            groups = postings.groups(self._limits.postings)
            for vectors in row_batches(groups, shape, self._limits, source=str(self.path)):
                names = [self._docno(messages, next_row + i) for i in range(len(vectors))]
                duplicates.add(names)
                next_row += len(vectors)
                yield Documents(vectors, names)
            messages.finish()

    def _read_header(self, messages: MessageReader) -> CiffHeader:
        fields = dict.fromkeys(range(1, 5), 0)
        try:
            for field, _, value, _ in read_fields(messages.next("the header")):
                if field in fields:
                    fields[field] = as_int(value, f"field {field}")
        except WireError as error:
            raise DataError(f"no CIFF header: {error}", path=self.path) from None
        version, lists, docs, _ = fields.values()
        if version != CIFF_VERSION:
            raise DataError(f"CIFF version {version}; expected {CIFF_VERSION}", path=self.path)
        if lists < 0 or not 0 <= docs < _MOST_DOCS:
            raise DataError(f"the header counts {lists} posting lists and {docs} documents", path=self.path)
        return CiffHeader(lists, docs)

    def _read_lists(self, messages: MessageReader, header: CiffHeader, out: Transposer) -> None:
        seen: set[str] = set()
        for number in range(header.num_lists):
            place = f"posting list {number}"
            try:
                term, docs, tfs = _parse_list(messages.next(place), header.num_docs)
                place += f" ({term!r})"
                if term in seen:
                    raise WireError("its term has a list already")
                seen.add(term)
                term_id = self._vocabulary.id_of(term)
            except (WireError, UnknownTermError) as error:
                raise DataError(f"{place}: {error}", path=self.path) from None
            if term_id >= 0:
                out.add(docs, np.full(len(docs), term_id, np.uint32), tfs)

    def _docno(self, messages: MessageReader, row: int) -> str:
        docid, name = 0, ""
        try:
            for field, _, value, _ in read_fields(messages.next(f"document {row}")):
                if field == 1:
                    docid = as_int(value, "docid")
                elif field == 2:
                    name = as_text(value, "collection_docid")
        except WireError as error:
            raise DataError(f"document {row}: {error}", path=self.path) from None
        if docid != row:
            raise DataError(f"document {row} has docid {docid}; expected documents in order of docid", path=self.path)
        if not name:
            raise DataError(f"document {row} has no collection_docid", path=self.path)
        return name

    def _names(self) -> Iterator[tuple[str, Place]]:
        with opened(self.path) as file:
            messages = MessageReader(file, self.path)
            header = self._read_header(messages)
            for number in range(header.num_lists):
                messages.next(f"posting list {number}")
            for row in range(header.num_docs):
                yield self._docno(messages, row), (self.path, row)


def _parse_list(data: bytes, num_docs: int) -> tuple[str, NDArray[np.uint32], NDArray[np.uint32]]:
    """(term, docids ascending, tfs > 0) of a PostingsList message.

    Raises
    ------
    WireError : the format is broken, df is wrong, a docid does not rise or is no document, a tf is no positive int32.
    """
    term, df = "", 0
    pairs: list[Pair] = []
    loose: list[tuple[int, int]] = []
    for field, value in _other_fields(data, pairs):
        if field == 1:
            term = as_text(value, "the term")
        elif field == 2:
            df = as_int(value, "df")
        elif field == POSTING_FIELD:
            loose.append(parse_posting(value))
    table = np.array(loose, np.int64).reshape(-1, 2)
    pairs.append((table[:, 0], table[:, 1]))
    gaps = np.concatenate([pair[0] for pair in pairs])
    tfs = np.concatenate([pair[1] for pair in pairs])
    if len(gaps) != df:
        raise WireError(f"{len(gaps)} postings where df is {df}")
    if len(gaps) and (gaps[0] < 0 or (gaps[1:] <= 0).any()):
        raise WireError("a docid does not rise")
    # A gap alone may be larger than every document number; the sum of checked ones cannot overflow.
    if (gaps >= _MOST_DOCS).any() or (len(gaps) and int(gaps.sum()) >= num_docs):
        raise WireError(f"a docid beyond the {num_docs} documents")
    if ((tfs <= 0) | (tfs > LARGEST_TF)).any():
        raise WireError("a tf that is no positive 32-bit integer")
    return term, np.cumsum(gaps).astype(np.uint32), tfs.astype(np.uint32)


def _other_fields(data: bytes, pairs: list[Pair]) -> Iterator[tuple[int, Value]]:
    """Fields of a PostingsList one by one, except the regular run of postings, which is added to `pairs` as arrays."""
    for field, start, value, _ in read_fields(data):
        if field == POSTING_FIELD:
            regular, rest = decode_postings(data, start)
            pairs += regular
            break
        yield field, value
    else:
        return
    for field, _, value, _ in read_fields(data, rest):
        yield field, value
