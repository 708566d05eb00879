"""Documents in and out of served indexes: one write at a time, durable before it is acknowledged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from indexer import Index, SparseVectors, add_documents
from indexer.update import terms_are_fixed
from sparseir.data.records import Document
from sparseir.encode.windows import delete_texts
from sparseir.lexical.channel import BM25_KIND, has_channel
from sparseir.serve.faults import ApiError, bad_request
from sparseir.serve.indexes import ServedIndex

if TYPE_CHECKING:
    from sparseir.models.encoder import SparseEncoder


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDocument:
    """A document of a write: its text, for the model to encode, or its vector.

    Parameters
    ----------
    docno : outside name. title, text, fields : stored.
    term_ids, weights : the vector; both None where the text is to be encoded.
    """

    docno: str
    title: str = ""
    text: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    term_ids: list[int] | None = None
    weights: list[float] | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did.

    Parameters
    ----------
    generation : of the commit that answers from now on.
    documents : written or deleted. missing : names that were to be deleted and are not there.
    notes : what the index has to say of them, such as weights that it cuts.
    """

    generation: int
    documents: int
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def _folder(served: ServedIndex) -> Path:
    """Where the index is written.

    Raises
    ------
    ApiError : 403, nowhere here.
    """
    if not isinstance(served.path, Path):
        raise ApiError(403, "read_only", "the shards of this index are on other machines; write to their services")
    return served.path


class Writer:
    """Writes for the service. Its methods run on the one thread of the writer.

    Parameters
    ----------
    encoder : encodes texts, or None.
    """

    def __init__(self, encoder: SparseEncoder | None) -> None:
        self._encoder = encoder

    def put(self, served: ServedIndex, documents: Sequence[NewDocument], *, replace: bool) -> Written:
        """Add documents as one commit, all or none of them.

        Raises
        ------
        ApiError : 409, a name exists and `replace` was not given; 400, documents that cannot be indexed.
        """
        self._check(served, documents, replace=replace)
        records = [Document(d.docno, d.text, d.title, d.fields) for d in documents]
        if documents[0].term_ids is None:
            index = self._put_texts(served, records, replace=replace)
        else:
            from sparseir.encode.stream import stored_fields

            index = add_documents(
                _folder(served),
                self._vectors(served, documents),
                docnos=[r.docno for r in records],
                fields=[stored_fields(r) for r in records],
                replace_existing=replace,
            )
        served.refresh()
        return Written(index.generation, len(documents), notes=index.notes)

    def delete(self, served: ServedIndex, docnos: Sequence[str]) -> Written:
        """Delete documents by name; those that are not there are named."""
        report = delete_texts(_folder(served), list(docnos))
        served.refresh()
        return Written(served.current.generation, report.deleted, tuple(map(str, report.missing)))

    def _check(self, served: ServedIndex, documents: Sequence[NewDocument], *, replace: bool) -> None:
        names: dict[str, int] = {}
        for number, document in enumerate(documents):
            if document.docno in names:
                first = names[document.docno]
                raise bad_request("documents", f"{first} and {number} are both named {document.docno[:200]!r}")
            names[document.docno] = number
        if len({d.term_ids is None for d in documents}) > 1:
            raise bad_request("documents", "some have vectors and some do not; send them in two requests")
        if replace:
            return
        served.refresh()
        taken = np.flatnonzero(served.current.main.index.ordinals(list(names)) >= 0)
        if len(taken):
            name = documents[int(taken[0])].docno
            raise ApiError(
                409, "exists", f"documents: {name[:200]!r} is in the index already; send 'replace': true", field="docno"
            )

    def _put_texts(self, served: ServedIndex, records: Sequence[Document], *, replace: bool) -> Index:
        """Texts go through the model, the lexical channel of the index, or both."""
        from sparseir.encode.indexing import index_documents
        from sparseir.encode.options import IndexingOptions

        entry = served.current.main.index.encoder
        of_words = entry is not None and entry.kind == BM25_KIND
        if self._encoder is None and not of_words:
            raise ApiError(
                400, "no_encoder", "documents: the service was started without --model; send a 'vector' for each"
            )
        options = IndexingOptions(mode="replace" if replace else "add", dtype="float32")
        return index_documents(_folder(served), None if of_words else self._encoder, records, options=options).index

    def _vectors(self, served: ServedIndex, documents: Sequence[NewDocument]) -> SparseVectors:
        index = served.current.main.index
        if has_channel(index.query_side):
            raise bad_request("documents", "the index has a lexical channel, which vectors cannot fill; send texts")
        num_terms = index.num_terms
        for number, document in enumerate(documents):
            largest = max(document.term_ids or (), default=0)
            if largest >= index.num_terms and terms_are_fixed(index):
                raise bad_request(
                    "documents", f"{number}: term id {largest}; the vocabulary is 0..{index.num_terms - 1}"
                )
            num_terms = max(num_terms, largest + 1)
        ids = [t for d in documents for t in d.term_ids or ()]
        weights = [w for d in documents for w in d.weights or ()]
        indptr = np.concatenate([[0], np.cumsum([len(d.term_ids or ()) for d in documents])])
        arrays = np.array(ids, np.uint32), np.array(weights, np.float32)
        return SparseVectors.from_arrays(indptr, *arrays, num_terms, source="documents")
