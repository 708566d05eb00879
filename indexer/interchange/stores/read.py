"""The documents of an export, read back from its files as the target will read them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexer.errors import DataError
from indexer.interchange.input import opened, raw_lines
from indexer.interchange.stores.store import Layout, Parsed, Store
from indexer.interchange.vocabulary import Vocabulary

_ROWS, _POSTINGS = 1 << 16, 1 << 21


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Some consecutive documents.

    Parameters
    ----------
    rows : int64 (n,), place of each among the live documents of the index, ascending. docnos : their names.
    indptr : int64 (n + 1,). term_ids : uint32, in the order of the file. weights : float32, as the file says.
    """

    rows: NDArray[np.int64]
    docnos: list[str | None]
    indptr: NDArray[np.int64]
    term_ids: NDArray[np.uint32]
    weights: NDArray[np.float32]


def read_export(
    path: Path, store: Store, layout: Layout, vocabulary: Vocabulary, used: NDArray[np.uint32]
) -> Iterator[Batch]:
    """Documents of the bulk files, in bounded batches.

    Parameters
    ----------
    path : the folder. layout : of its description.
    vocabulary, used : of the index: which terms the keys in the files name.

    Raises
    ------
    DataError : a line that is not as the export wrote it, a key of no term of the index; with file and line.
    """
    ids = {store.key(term_id, vocabulary): term_id for term_id in used.tolist()}
    pending: list[Parsed] = []
    first = size = 0
    for parsed in _parsed(path, store, layout):
        pending.append(parsed)
        size += len(parsed.keys)
        if len(pending) == _ROWS or size >= _POSTINGS:
            yield _batch(pending, ids, first, path)
            first, size, pending = first + len(pending), 0, []
    if pending:
        yield _batch(pending, ids, first, path)


def bulk_files(path: Path, store: Store) -> list[Path]:
    """The bulk files of an export, in their order."""
    before, _, after = store.file.partition("{:05d}")
    return sorted(path.glob(f"{before}*{after}" if after else before))


def _parsed(path: Path, store: Store, layout: Layout) -> Iterator[Parsed]:
    for file in bulk_files(path, store):
        number = 0

        with opened(file) as stream:
            for number, line in enumerate(store.document_lines(raw_lines(stream)), 1):
                try:
                    yield store.parse(line, layout)
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    raise DataError(
                        f"document {number} of this file is damaged ({error}); export again", path=file
                    ) from None


def _batch(parsed: list[Parsed], ids: dict[str, int], first: int, path: Path) -> Batch:
    keys = [key for document in parsed for key in document.keys]
    try:
        term_ids = np.array(list(map(ids.__getitem__, keys)), np.uint32)
    except KeyError as error:
        raise DataError(f"term {error.args[0]!r} is none of the index; export again", path=path) from None
    weights = np.array([weight for document in parsed for weight in document.weights], np.float32)
    indptr = np.concatenate([[0], np.cumsum([len(document.keys) for document in parsed])]).astype(np.int64)
    rows = [first + i if document.number is None else document.number for i, document in enumerate(parsed)]
    return Batch(np.array(rows, np.int64), [document.docno for document in parsed], indptr, term_ids, weights)
