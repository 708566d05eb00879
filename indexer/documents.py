"""Batches of documents: what readers and exports yield, and what builders and writers take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from indexer.errors import DataError
from indexer.vectors import SparseVectors


@dataclass(frozen=True, slots=True, eq=False)
class Documents:
    """Some consecutive rows of a collection, with their names and stored fields.

    Parameters
    ----------
    vectors : one row a document.
    docnos : their names; None to call each document by its ordinal.
    fields : their stored fields, JSON values by name; None where there are none.

    Raises
    ------
    DataError : names or fields that are not one a row.
    """

    vectors: SparseVectors
    docnos: Sequence[str] | None = None
    fields: Sequence[Mapping[str, Any]] | None = None

    def __post_init__(self) -> None:
        for what, beside in (("docnos", self.docnos), ("fields", self.fields)):
            if beside is not None and len(beside) != len(self.vectors):
                raise DataError(f"{len(self.vectors)} rows beside {len(beside)} {what}; expected one a row")

    def __len__(self) -> int:
        return len(self.vectors)

    def slice(self, start: int, stop: int) -> Documents:
        """Documents start..stop; the vectors are views."""
        names = None if self.docnos is None else self.docnos[start:stop]
        fields = None if self.fields is None else self.fields[start:stop]
        return Documents(self.vectors.slice(start, stop), names, fields)

    @classmethod
    def concatenate(cls, parts: Sequence[Documents]) -> Documents:
        """All documents of some batches, the parts. Of a batch without fields each document has none, beside batches with fields.

        Raises
        ------
        DataError : names in some batches and none in others.
        """
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return cls(SparseVectors.empty(0, 1))
        named, stored = {p.docnos is not None for p in parts}, any(p.fields is not None for p in parts)
        if len(named) > 1:
            raise DataError("some batches have docnos and some have none; give all or none")
        return cls(
            SparseVectors.concatenate([p.vectors for p in parts]),
            [name for p in parts for name in p.docnos or ()] if True in named else None,
            [row for p in parts for row in p.fields or [{}] * len(p)] if stored else None,
        )


def is_whole(given: Any) -> bool:
    """Whether what a caller passes is all documents at once, not batches of them."""
    return isinstance(given, SparseVectors | Documents) or hasattr(given, "tocsr")


def read_documents(
    given: Any, docnos: Iterable[str] | None = None, fields: Iterable[Mapping[str, Any]] | None = None
) -> Iterator[Documents]:
    """Checked documents from what a caller passes.

    Parameters
    ----------
    given : a matrix (SparseVectors or a scipy sparse one), Documents, or an iterable of such batches.
    docnos, fields : of the rows of one matrix. Batches bring their own.

    Raises
    ------
    DataError : vectors that cannot be used; names or fields that are not one a row, or beside what brings its own.
    """
    beside = docnos is not None or fields is not None
    if isinstance(given, Documents) and beside:
        raise DataError("docnos or fields beside Documents, which hold their own; pass one or the other")
    if is_whole(given):
        documents = _as_documents(given, "vectors")
        if beside:
            documents = Documents(
                documents.vectors,
                None if docnos is None else list(docnos),
                None if fields is None else list(fields),
            )
        yield documents
        return
    if not isinstance(given, Iterable):
        raise DataError(f"vectors: expected a matrix, Documents or batches of them, not {type(given).__name__}")
    if beside:
        raise DataError(
            "docnos or fields beside batches; put them into the batches: Documents(vectors, docnos, fields)"
        )
    for number, batch in enumerate(given):
        yield _as_documents(batch, f"vectors, batch {number}")


def _as_documents(batch: Any, source: str) -> Documents:
    if isinstance(batch, Documents):
        return Documents(_checked(batch.vectors, source), batch.docnos, batch.fields)
    return Documents(_checked(batch, source))


def _checked(vectors: Any, source: str) -> SparseVectors:
    if isinstance(vectors, SparseVectors):
        # Checked even if it is one already: the plain constructor checks nothing, and ids decide where the C library
        # writes.
        return SparseVectors.from_arrays(
            vectors.indptr, vectors.term_ids, vectors.weights, vectors.num_terms, source=source
        )
    if hasattr(vectors, "tocsr"):
        return SparseVectors.from_scipy(vectors, source=source)
    raise DataError(f"{source}: expected SparseVectors or a scipy sparse matrix, not {type(vectors).__name__}")
