"""Anserini's JSON vectors: {"id": …, "contents": …, "vector": {term: weight, …}}, and what else stands in their lines."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.documents import Documents
from indexer.errors import DataError
from indexer.interchange.batches import BatchLimits, VectorSource
from indexer.interchange.docnos import DuplicateCheck, Place
from indexer.interchange.jsonl.stream import json_objects
from indexer.interchange.vocabulary import UnknownTermError, Vocabulary
from indexer.vectors import SparseVectors

SUFFIXES = (".jsonl", ".json", ".jsonl.gz", ".json.gz")
ID_KEYS = ("id", "_id", "docid", "qid")
VECTOR_KEY = "vector"
TEXT_KEYS = ("title", "text")

_NUMBERS = frozenset((int, float))


class JsonlSource(VectorSource):
    """JSON vectors in one file or several.

    Parameters
    ----------
    path : file or folder, for messages.
    files : the files, in the order of their rows.
    vocabulary : what terms mean; see Vocabulary.
    """

    format = "jsonl"

    def __init__(self, path: Path, files: Iterable[Path], vocabulary: Vocabulary, limits: BatchLimits) -> None:
        self.path = path
        self._files = tuple(files)
        self._vocabulary = vocabulary
        self._limits = limits

    @property
    def num_terms(self) -> int:
        return self._vocabulary.num_terms

    @property
    def num_rows(self) -> int | None:
        return None

    @property
    def vocabulary(self) -> Vocabulary:
        return self._vocabulary

    def __iter__(self) -> Iterator[Documents]:
        duplicates = DuplicateCheck(self._names)
        pending = _Pending(self._vocabulary)
        for place, record in self._records():
            vector = _vector(record, place)
            if pending and pending.full_with(len(vector), self._limits):
                duplicates.add(pending.docnos)
                yield pending.finish()
                pending = _Pending(self._vocabulary)
            pending.add(_docno(record, place), vector, place, _fields(record, place))
        if pending:
            duplicates.add(pending.docnos)
            yield pending.finish()

    def _records(self) -> Iterator[tuple[Place, dict[str, Any]]]:
        for file in self._files:
            for line, record in json_objects(file):
                yield (file, line), record

    def _names(self) -> Iterator[tuple[str, Place]]:
        for place, record in self._records():
            yield _docno(record, place), place


def _id_key(record: dict[str, Any]) -> str | None:
    return next((key for key in ID_KEYS if key in record), None)


def _docno(record: dict[str, Any], place: Place) -> str:
    key = _id_key(record)
    if key is None:
        raise DataError(f"missing key 'id' (found: {_keys(record)})", path=place[0], line=place[1])
    value = record[key]
    if type(value) is int:
        return str(value)
    if not isinstance(value, str) or not value:
        raise DataError(f"{key!r} is {value!r}; expected a name", path=place[0], line=place[1])
    return value


def _vector(record: dict[str, Any], place: Place) -> dict[str, Any]:
    vector = record.get(VECTOR_KEY)
    if isinstance(vector, dict):
        return vector
    if VECTOR_KEY not in record:
        fault = f"missing key 'vector' (found: {_keys(record)})"
    elif isinstance(vector, list):
        fault = "'vector' is a list: a dense vector; expected an object of terms and weights"
    else:
        fault = f"'vector' is {type(vector).__name__}; expected an object of terms and weights"
    raise DataError(fault, path=place[0], line=place[1])


def _fields(record: dict[str, Any], place: Place) -> dict[str, Any]:
    """Every other key, to be stored with the document; Anserini's contents are its text."""
    left_out = (_id_key(record), VECTOR_KEY, "contents")
    fields = {key: value for key, value in record.items() if key not in left_out and value is not None}
    if record.get("contents"):
        fields.setdefault("text", record["contents"])
    for key in TEXT_KEYS:
        if not isinstance(fields.get(key, ""), str):
            raise DataError(f"{key!r} is {fields[key]!r:.80}; expected a string", path=place[0], line=place[1])
    return fields


def _keys(record: dict[str, Any]) -> str:
    return ", ".join(repr(key) for key in list(record)[:8]) or "none"


class _Pending:
    """Rows on their way into a batch."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.docnos: list[str] = []
        self._fields: list[dict[str, Any]] = []
        self._vocabulary = vocabulary
        self._places: list[Place] = []
        self._lengths = array("q")
        self._ids = array("q")
        self._weights = array("d")

    def __len__(self) -> int:
        return len(self.docnos)

    def full_with(self, terms: int, limits: BatchLimits) -> bool:
        return len(self.docnos) >= limits.rows or len(self._ids) + terms > limits.postings

    def add(self, docno: str, vector: dict[str, Any], place: Place, fields: dict[str, Any]) -> None:
        if vector:
            if not _NUMBERS.issuperset(map(type, vector.values())):
                term, weight = next((t, w) for t, w in vector.items() if type(w) not in _NUMBERS)
                raise DataError(
                    f"term {term!r} has the weight {weight!r}; expected a number", path=place[0], line=place[1]
                )
            try:
                self._ids.extend(map(self._vocabulary.lookup, vector))
                self._weights.extend(vector.values())
            except UnknownTermError as error:
                raise DataError(str(error), path=place[0], line=place[1]) from None
            except OverflowError:
                raise DataError("a weight too large for a number", path=place[0], line=place[1]) from None
        self._lengths.append(len(vector))
        self._places.append(place)
        self.docnos.append(docno)
        self._fields.append(fields)

    def finish(self) -> Documents:
        indptr = np.zeros(len(self.docnos) + 1, np.int64)
        np.cumsum(np.frombuffer(self._lengths, np.int64), out=indptr[1:])
        ids = np.frombuffer(self._ids, np.int64) if self._ids else np.zeros(0, np.int64)
        with np.errstate(over="ignore"):
            weights = np.array(self._weights, np.float64).astype(np.float32)
        self._check(indptr, ids, weights)
        if len(ids) and int(ids.min()) < 0:  # terms to be ignored
            keep = ids >= 0
            indptr = np.concatenate([[0], np.cumsum(keep)])[indptr]
            ids, weights = ids[keep], weights[keep]
        vectors = SparseVectors.from_arrays(indptr, ids, weights, self._vocabulary.num_terms)
        return Documents(vectors, self.docnos, self._fields if any(self._fields) else None)

    def _check(self, indptr: NDArray[np.int64], ids: NDArray[np.int64], weights: NDArray[np.float32]) -> None:
        bad = ~(np.isfinite(weights) & (weights >= 0))
        if bad.any():
            at = int(np.flatnonzero(bad)[0])
            file, line = self._places[int(np.searchsorted(indptr, at, side="right")) - 1]
            term = self._vocabulary.term(int(ids[at]))
            raise DataError(
                f"term {term!r} has the weight {self._weights[at]}; weights must be finite and not negative",
                path=file,
                line=line,
            )
        for fields, (file, line) in zip(self._fields, self._places, strict=True):
            if fields:
                _refuse_half_characters(fields, file, line)
        try:
            "".join(self.docnos).encode()
        except UnicodeEncodeError:
            for name, (file, line) in zip(self.docnos, self._places, strict=True):
                if any("\ud800" <= char <= "\udfff" for char in name):
                    raise DataError(f"docno {name!r} is not valid Unicode", path=file, line=line) from None
            # Joining two names may form a pair of surrogate halves; each half alone would have been caught above.


def _refuse_half_characters(fields: dict[str, Any], file: Path, line: int) -> None:
    """Halves of characters, which JSON can escape and UTF-8 cannot hold."""
    flat = all(type(value) is str or type(value) in _NUMBERS for value in fields.values())
    try:
        for key, value in fields.items():
            text = value if type(value) is str else "" if flat else json.dumps(value, ensure_ascii=False)
            (key + text).encode()
    except UnicodeEncodeError:
        raise DataError(f"{key!r} holds half a character, which no text has", path=file, line=line) from None
