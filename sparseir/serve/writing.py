"""Documents in and out of served indexes: one write at a time, durable before it is acknowledged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from indexer import Index, SparseVectors, add_documents
from indexer.format.lock import patiently
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


def _record(document: NewDocument) -> Document:
    return Document(document.docno, document.text, document.title, document.fields)


class Writer:
    """Writes for the service. Its methods run on the one thread of the writer.

    Parameters
    ----------
    encoder : encodes texts, or None.
    lock_seconds : that a write waits for another process that writes the index.
    """

    def __init__(self, encoder: SparseEncoder | None, *, lock_seconds: float) -> None:
        self._encoder, self._lock_seconds = encoder, lock_seconds

    def put(
        self, served: ServedIndex, documents: Sequence[NewDocument], *, replace: bool, model: str | None = None
    ) -> Written:
        """Add documents as one commit, all or none of them.

        Parameters
        ----------
        model : fingerprint of the model that made the vectors, as the client says.

        Raises
        ------
        ApiError : 409, a name exists and `replace` was not given; 400, documents that cannot be indexed.
        LockedError : another process writes the index all the time.
        """
        self._check(served, documents, replace=replace)
        texts = documents[0].term_ids is None
        if not texts:
            self._check_maker(served.current.main.index, model)
        call = self._put_texts if texts else self._put_vectors
        index = patiently(lambda: call(served, documents, replace=replace), self._lock_seconds)
        served.refresh()
        return Written(index.generation, len(documents), notes=index.notes)

    def delete(self, served: ServedIndex, docnos: Sequence[str]) -> Written:
        """Delete documents by name; those that are not there are named."""
        report = patiently(lambda: delete_texts(_folder(served), list(docnos)), self._lock_seconds)
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

    def _check_maker(self, index: Index, model: str | None) -> None:
        """Vectors for the index of a model are that model's: by the service's --model, or as the client says."""
        entry, own = index.encoder, self._encoder
        if entry is None and model is None:
            return
        said = own.fingerprint if model is None and own is not None else model
        if entry is not None and said is None and not has_channel(index.query_side):
            raise ApiError(
                400,
                "unknown_model",
                "model: the index was made by a model, and nothing says that these vectors were; send its fingerprint, which "
                "/indexes gives, if they were, or start the service with --model",
                field="model",
            )
        if said is not None and (entry is None or said != entry.fingerprint):
            made = "of vectors without a model" if entry is None else "by another model"
            raise ApiError(400, "other_model", f"model: the index was made {made}", field="model")

    def _put_vectors(self, served: ServedIndex, documents: Sequence[NewDocument], *, replace: bool) -> Index:
        from sparseir.encode.stream import stored_fields

        records = [_record(d) for d in documents]
        return add_documents(
            _folder(served),
            self._vectors(served, documents),
            docnos=[r.docno for r in records],
            fields=[stored_fields(r) for r in records],
            replace_existing=replace,
        )

    def _put_texts(self, served: ServedIndex, documents: Sequence[NewDocument], *, replace: bool) -> Index:
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
        encoder, records = None if of_words else self._encoder, [_record(d) for d in documents]
        return index_documents(_folder(served), encoder, records, options=options).index

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
