"""An index back to vectors: its live documents in order of their ordinals."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from indexer.documents import Documents
from indexer.errors import ConfigError
from indexer.format.term_lists import pieces, read_lists
from indexer.index import Index, Segment
from indexer.interchange.batches import BatchLimits
from indexer.interchange.ciff_writer import CiffCounts, ListSpool, document_message
from indexer.interchange.output import replacing, spool_folder
from indexer.interchange.sources import format_of
from indexer.interchange.transpose import Transposer, Triples, by_key, row_batches
from indexer.interchange.vocabulary import Vocabulary
from indexer.interchange.write import Written, write_vectors
from indexer.progress import Progress, silent
from indexer.soundness import check_to_copy

Weights = Literal["impact", "scaled", "stored"]
"""impact: the integers 1..255 an index scores with. scaled: float32(impact · doc_scale). stored: the float weights of an
index built with stored_weights."""

_DROPPED = np.uint32(2**32 - 1)
_PIECE = 1 << 20


def export_index(
    index: Index,
    path: str | Path,
    *,
    weights: Weights = "impact",
    vocabulary: Vocabulary | None = None,
    progress: Progress = silent,
) -> Written:
    """Write the live documents of an index as vectors; the file appears whole or not at all.

    Impacts rank as the index does (query weights aside) and are what Lucene and PISA need; multiplied by doc_scale they
    are the weights again, to within half a step. Row i is the i-th live document by ordinal.

    Memory: 24 bytes a document, a piece of the transposition, the longest posting list. Disk beside the output: 12 bytes
    a posting. CIFF goes from lists to lists without a transposition.

    Parameters
    ----------
    path : its ending says the format, as in `write_vectors`.
    weights : see Weights.
    vocabulary : strings of the terms; left out, those the index carries, else decimal ids.

    Raises
    ------
    ConfigError : weights that the index or the format does not hold.
    DataError : a path that cannot be written.
    IndexFormatError : damage anywhere in the segments.
    """
    target = Path(path)
    terms = vocabulary or Vocabulary.of_index(index.query_files, index.num_terms)
    if format_of(target) == "ciff":
        if weights != "impact":
            raise ConfigError(f"CIFF holds integers; weights {weights!r} cannot be written, 'impact' can")
        return _export_ciff(index, target, terms, progress)
    batches = index_batches(index, weights=weights, folder=target.parent, progress=progress)
    return write_vectors(target, batches, vocabulary=terms)


def index_batches(
    index: Index,
    *,
    weights: Weights = "impact",
    limits: BatchLimits | None = None,
    folder: Path | None = None,
    progress: Progress = silent,
) -> Iterator[Documents]:
    """Live documents by ordinal, as rows with their docnos, in bounded batches.

    Parameters
    ----------
    folder : where temporary runs go (12 bytes a posting); left out, the system's temporary folder.

    Raises
    ------
    ConfigError : stored weights of an index that has none.
    IndexFormatError : damage anywhere in the segments.
    """
    if weights not in get_args(Weights):
        raise ConfigError(f"weights is {weights!r}; expected one of {', '.join(get_args(Weights))}")
    if weights == "stored" and any(len(s.section("FWGT")) == 0 and s.header.num_postings for s in index.segments):
        raise ConfigError("this index stores no float weights; export impacts, or build it with stored_weights")
    documents = _LiveDocuments(index)
    bounds = limits or BatchLimits()
    with spool_folder((folder or Path(tempfile.gettempdir())) / "sparseir-export") as runs:
        transposer = Transposer(runs)
        for number, segment in enumerate(index.segments):
            for terms, rows, values in _postings(segment, documents.rows[number], weights, index.doc_scale):
                transposer.add(rows, terms, values)
            progress("exporting", number + 1, len(index.segments))
        groups = transposer.groups(bounds.postings)
        shape, first = (documents.count, index.num_terms), 0
        for vectors in row_batches(groups, shape, bounds, floats=weights != "impact", source=str(index.path)):
            yield Documents(vectors, documents.docnos(first, first + len(vectors)))
            first += len(vectors)


class _LiveDocuments:
    """Rows of the export: live documents by ordinal, of an index checked before.

    Attributes
    ----------
    count : number of rows.
    rows : for each segment uint32 (num_docs,), the row of each doc_id, _DROPPED for deleted ones.
    """

    def __init__(self, index: Index) -> None:
        check_to_copy(index)
        self._segments = index.segments
        ids = [np.flatnonzero(s.live).astype(np.uint32) for s in index.segments]
        nothing = np.zeros(0, np.int64)
        ordinals = np.concatenate([nothing, *(s.ordinals[i] for s, i in zip(index.segments, ids, strict=True))])
        order = np.argsort(ordinals, kind="stable")
        self.count = len(order)
        numbers = np.repeat(np.arange(len(ids), dtype=np.uint32), [len(i) for i in ids])
        self._segment_of = numbers[order]
        self._doc_of = np.concatenate([np.zeros(0, np.uint32), *ids])[order]
        row_of = np.empty(len(order), np.uint32)
        row_of[order] = np.arange(len(order), dtype=np.uint32)
        self.rows: list[NDArray[np.uint32]] = []
        start = 0
        for segment, live in zip(index.segments, ids, strict=True):
            rows = np.full(segment.num_docs, _DROPPED, np.uint32)
            rows[live] = row_of[start : start + len(live)]
            self.rows.append(rows)
            start += len(live)

    def docnos(self, first: int, last: int) -> list[str]:
        """Names of rows first..last."""
        places = zip(self._segment_of[first:last].tolist(), self._doc_of[first:last].tolist(), strict=True)
        return [self._segments[number].docno(doc_id) for number, doc_id in places]


def _postings(segment: Segment, rows: NDArray[np.uint32], weights: Weights, scale: float) -> Iterator[Triples]:
    """(term id, row, value) of the live postings of a segment; values are impacts, or the bits of float32 weights."""
    for begin, end in pieces(segment.section("TREC")["df"], _PIECE):
        yield _lists(segment, (begin, end), rows, weights, scale)


def _lists(
    segment: Segment, span: tuple[int, int], rows: NDArray[np.uint32], weights: Weights, scale: float
) -> Triples:
    lists = read_lists(segment, *span)
    here = slice(int(lists.start[0]), int(lists.start[-1]))
    at = rows[lists.doc_ids()]
    terms = np.repeat(lists.term_ids, np.diff(lists.start).astype(np.int64))
    if weights == "stored":
        assert lists.weights is not None
        values = lists.weights[here].astype(np.float32).view(np.uint32)
    elif weights == "scaled":
        values = (lists.impacts[here].astype(np.float64) * scale).astype(np.float32).view(np.uint32)
    else:
        values = lists.impacts[here].astype(np.uint32)
    if segment.num_deleted == 0:
        return terms, at, values
    live = at != _DROPPED
    return terms[live], at[live], values[live]


def _export_ciff(index: Index, path: Path, vocabulary: Vocabulary, progress: Progress) -> Written:
    documents = _LiveDocuments(index)
    lengths = np.zeros(documents.count, np.int64)
    with replacing(path) as file, spool_folder(path) as folder:
        with ListSpool(folder, vocabulary) as lists:
            num_postings = 0
            for terms, rows, impacts in _joined(index, documents, progress):
                lists.add(terms, rows, impacts)
                lengths += np.bincount(rows, impacts, documents.count).astype(np.int64)
                num_postings += len(rows)
            counts = CiffCounts(
                num_lists=lists.count,
                num_docs=documents.count,
                total_weight=int(lengths.sum()),
                description=f"sparseir impacts; weight = tf * {index.doc_scale!r}",
            )
            file.write(counts.message())
            lists.copy(file)
        for first in range(0, documents.count, _PIECE):
            names = documents.docnos(first, min(first + _PIECE, documents.count))
            totals = lengths[first : first + len(names)].tolist()
            records = (document_message(first + i, *pair) for i, pair in enumerate(zip(names, totals, strict=True)))
            file.write(b"".join(records))
    return Written(documents.count, num_postings, index.num_terms)


def _joined(index: Index, documents: _LiveDocuments, progress: Progress) -> Iterator[Triples]:
    """Live postings of all segments by term, then row; every piece holds whole lists."""
    tables = [segment.section("TERM") for segment in index.segments]
    terms = np.unique(np.concatenate([np.zeros(0, np.uint32), *tables]))
    df = np.zeros(len(terms), np.int64)
    for segment, table in zip(index.segments, tables, strict=True):
        df[np.searchsorted(terms, table)] += segment.section("TREC")["df"]
    for begin, end in pieces(df, _PIECE):
        parts = []
        for segment, table, rows in zip(index.segments, tables, documents.rows, strict=True):
            low = int(np.searchsorted(table, terms[begin]))
            high = int(np.searchsorted(table, terms[end - 1], side="right"))
            if low < high:
                parts.append(_lists(segment, (low, high), rows, "impact", index.doc_scale))
        progress("exporting", end, len(terms))
        yield by_key(parts)
