"""An index back to vectors: its live documents in order of their ordinals."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from indexer.documents import Documents
from indexer.errors import ConfigError
from indexer.format.partial import spool_folder
from indexer.format.term_lists import pieces
from indexer.index import Index
from indexer.interchange.batches import BatchLimits
from indexer.interchange.ciff.writer import CiffCounts, ListSpool, document_message
from indexer.interchange.live import PIECE, LiveDocuments, Weights, check_weights, live_lists, live_postings
from indexer.interchange.matrices.transpose import Transposer, Triples, by_key, row_batches
from indexer.interchange.output import replacing
from indexer.interchange.sources import format_of
from indexer.interchange.vocabulary import Vocabulary
from indexer.interchange.write import Written, write_vectors
from indexer.progress import Progress, silent


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
    documents: LiveDocuments | None = None,
    progress: Progress = silent,
) -> Iterator[Documents]:
    """Live documents by ordinal, as rows with their docnos, in bounded batches.

    Parameters
    ----------
    folder : where temporary runs go (12 bytes a posting); left out, the system's temporary folder.
    documents : the rows, where the caller has them already: making them checks the whole index.

    Raises
    ------
    ConfigError : stored weights of an index that has none.
    IndexFormatError : damage anywhere in the segments.
    """
    check_weights(index, weights)
    documents = documents or LiveDocuments(index)
    bounds = limits or BatchLimits()
    with spool_folder((folder or Path(tempfile.gettempdir())) / "sparseir-export") as runs:
        transposer = Transposer(runs)
        for number, segment in enumerate(index.segments):
            for terms, rows, values in live_postings(segment, documents.rows[number], weights, index.doc_scale):
                transposer.add(rows, terms, values)
            progress("exporting", number + 1, len(index.segments))
        groups = transposer.groups(bounds.postings)
        shape, first = (documents.count, index.num_terms), 0
        for vectors in row_batches(groups, shape, bounds, floats=weights != "impact", source=str(index.path)):
            yield Documents(vectors, documents.docnos(first, first + len(vectors)))
            first += len(vectors)


def _export_ciff(index: Index, path: Path, vocabulary: Vocabulary, progress: Progress) -> Written:
    documents = LiveDocuments(index)
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
        for first in range(0, documents.count, PIECE):
            names = documents.docnos(first, min(first + PIECE, documents.count))
            totals = lengths[first : first + len(names)].tolist()
            records = (document_message(first + i, *pair) for i, pair in enumerate(zip(names, totals, strict=True)))
            file.write(b"".join(records))
    return Written(documents.count, num_postings, index.num_terms)


def _joined(index: Index, documents: LiveDocuments, progress: Progress) -> Iterator[Triples]:
    """Live postings of all segments by term, then row; every piece holds whole lists."""
    tables = [segment.section("TERM") for segment in index.segments]
    terms = np.unique(np.concatenate([np.zeros(0, np.uint32), *tables]))
    df = np.zeros(len(terms), np.int64)
    for segment, table in zip(index.segments, tables, strict=True):
        df[np.searchsorted(terms, table)] += segment.section("TREC")["df"]
    for begin, end in pieces(df, PIECE):
        parts = []
        for segment, table, rows in zip(index.segments, tables, documents.rows, strict=True):
            low = int(np.searchsorted(table, terms[begin]))
            high = int(np.searchsorted(table, terms[end - 1], side="right"))
            if low < high:
                parts.append(live_lists(segment, (low, high), rows, "impact", index.doc_scale))
        progress("exporting", end, len(terms))
        yield by_key(parts)
