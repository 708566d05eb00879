"""`sparseir.Index`: texts in, hits out, one object to build, search and change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from indexer import delete_documents, open_index
from indexer.config import IndexConfig
from indexer.index import Index as Snapshot
from sparseir.config.lexical import LexicalConfig
from sparseir.data.corpus.reader import absent_field
from sparseir.data.records import Document
from sparseir.encode.indexing import has_looked_up_queries, index_documents
from sparseir.encode.options import IndexingOptions
from sparseir.encode.stream import stored_fields
from sparseir.errors import ConfigError, DataError
from sparseir.lexical.analysis import check_language
from sparseir.lexical.channel import BM25_KIND
from sparseir.models.query_table import DESCRIPTION_FILE
from sparseir.search.explain import Explanation
from sparseir.search.feedback.options import Feedback
from sparseir.search.filters.expressions import matching
from sparseir.search.filters.filters import Filter
from sparseir.search.query_encoder import ModelQueryEncoder
from sparseir.search.results import Hits
from sparseir.search.searcher import Searcher

if TYPE_CHECKING:
    from sparseir.models.encoder import SparseEncoder

_NAMES = ("_id", "id", "docid", "docno")
_TEXTS = ("text", "contents")
Texts = Iterable[str | Mapping[str, Any] | Document]
"""Documents: texts, which are called by their number; or mappings with a name, a text, perhaps a title, and further fields."""


class Index:
    """An index of texts, open to be searched and changed.

        with Index.build("my-index", ["first text", "second text"]) as index:
            index.search("second")[0].docno

    `build` makes one and `open` opens one. A change is one atomic commit, and this object sees it at once.

    Parameters
    ----------
    path : the folder.
    model : encodes documents that are added, and queries where the index carries no query side.
    options : as `Searcher.open` takes.
    """

    def __init__(self, path: str | Path, model: str | Path | SparseEncoder | None = None, **options: Any) -> None:
        self.path = Path(path)
        self._model, self._options = model, options
        self._searcher = self._open()

    @classmethod
    def open(cls, path: str | Path, *, model: str | Path | SparseEncoder | None = None, **options: Any) -> Index:
        """Open an index at its last committed state.

        Parameters
        ----------
        path : the folder. model : encodes queries and added texts where the index carries no query side.
        options : of `Searcher.open`: engine, num_threads, alpha and others.

        Raises
        ------
        IndexFormatError : no index there, or a damaged one.
        ConfigError : an option the searcher cannot use.
        """
        return cls(path, model, **options)

    @classmethod
    def build(
        cls,
        path: str | Path,
        documents: Texts,
        *,
        model: str | Path | SparseEncoder | None = None,
        lexical: bool | None = None,
        language: str = "english",
        expand: str | None = None,
        metadata: Sequence[str] = (),
        overwrite: bool = False,
        num_threads: int = 1,
    ) -> Index:
        """Build an index of documents, and open it.

        Parameters
        ----------
        path : folder to make.
        documents : a list of texts, or of mappings with `_id` (or id, docid, docno), `text` (or contents), perhaps
            `title`, and further fields. Documents without a name are called by their number.
        model : folder, hub id or loaded encoder of a learned index; without one the index is BM25 over stemmed words.
        lexical : put BM25 beside the model; None does where queries need no model. language : of the stemmer.
        expand : a dense model (folder, hub id or packaged name) whose likeness documents get as words; no query needs it.
        metadata : fields that searches can filter by; refused if no document of a list has one, and noted of a generator.
        overwrite : replace an index that stands there. num_threads : of the build and of searches.

        Raises
        ------
        DataError : no list of documents, or one that is none, by number; a field to filter by that none has.
        ConfigError : the path is taken; an unknown language; no such dense model, or no channel of words for it.
        """
        check_language(language)
        encoder = _loaded(model)
        beside = has_looked_up_queries(encoder) if lexical is None else lexical
        channel = LexicalConfig(language=language, expansion_model=expand) if beside or encoder is None else None
        if expand is not None and channel is None:
            raise ConfigError("expand gives documents words, and this index has no channel of words: say lexical=True")
        options = IndexingOptions(
            config=IndexConfig(metadata=tuple(metadata)),
            lexical=channel,
            overwrite=overwrite,
            num_threads=num_threads,
        )
        rows: Iterable[Document] = _documents(documents, 0)
        if metadata and isinstance(documents, Sequence):
            rows = list(rows)
            _check_metadata(metadata, rows)
        index_documents(path, encoder, rows, options=options)
        return cls(path, encoder, num_threads=num_threads)

    @property
    def searcher(self) -> Searcher:
        """The searcher of the present state; a change replaces it."""
        return self._searcher

    @property
    def snapshot(self) -> Snapshot:
        """The present state: `indexer.Index`."""
        return self._searcher.index

    def add(self, documents: Texts, *, replace: bool = False) -> Index:
        """Add documents, as `build` takes them; returns self. Texts alone go on counting.

        Parameters
        ----------
        replace : documents whose name the index has already take the place of those; else such a name is refused.

        Raises
        ------
        DataError : as `build`; a name the index has already.
        SparseIRError : an index of learned vectors, opened without the model that made them.
        """
        entry = self.snapshot.encoder
        of_words = entry is not None and entry.kind == BM25_KIND
        encoder = None if of_words else _loaded(self._model)
        if encoder is not None:
            self._model = encoder
        options = IndexingOptions(mode="replace" if replace else "add")
        first = open_index(self.path).manifest.next_ordinal
        index_documents(self.path, encoder, _documents(documents, first), options=options)
        self._reopen()
        return self

    def delete(self, docnos: str | Iterable[str] = (), *, filter: str | None = None) -> int:
        """Delete documents by name, or those that a filter allows; returns how many there were.

        Parameters
        ----------
        docnos : a name, or several. filter : an expression (docs/filters.md).

        Raises
        ------
        DataError : an expression that is no filter of this index.
        """
        if filter is not None:
            if docnos:
                raise ConfigError("delete: give names or a filter, not both")
            deleted = delete_documents(self.path, ordinals=matching(open_index(self.path), filter).tolist()).deleted
        else:
            deleted = delete_documents(self.path, [docnos] if isinstance(docnos, str) else list(docnos)).deleted
        self._reopen()
        return deleted

    @overload
    def search(
        self, text: str, k: int = 10, *, filter: Filter | None = None, feedback: Feedback | None = None
    ) -> Hits: ...

    @overload
    def search(
        self,
        text: list[str] | tuple[str, ...],
        k: int = 10,
        *,
        filter: Filter | None = None,
        feedback: Feedback | None = None,
    ) -> list[Hits]: ...

    def search(
        self, text: str | Sequence[str], k: int = 10, *, filter: Filter | None = None, feedback: Feedback | None = None
    ) -> Hits | list[Hits]:
        """Hits of a query, or of a list of queries; see `Searcher.search`.

        Parameters
        ----------
        text : a query, or a list of them. k : most hits of each. filter : which documents may be hits.
        feedback : search a second time, with words of the first hits.

        Raises
        ------
        DataError : no text, no filter of this index, a k below 1.
        ConfigError : feedback from an index that has no words.
        """
        return self._searcher.search(text, k, filter=filter, feedback=feedback)

    def explain(
        self, text: str, docno: str, *, feedback: Feedback | None = None, filter: Filter | None = None
    ) -> Explanation:
        """The score of one document, term by term; see `Searcher.explain`.

        Parameters
        ----------
        text : a query. docno : name of the document. feedback : of the search that is explained. filter : under which it
            found the documents that it learnt from.

        Raises
        ------
        DataError : the index holds no such document.
        ConfigError : feedback from an index that has no words.
        """
        return self._searcher.explain(text, docno, feedback=feedback, filter=filter)

    def __len__(self) -> int:
        return len(self.snapshot)

    def __contains__(self, docno: object) -> bool:
        return isinstance(docno, str) and int(self.snapshot.ordinals([docno])[0]) >= 0

    def __getitem__(self, docno: str) -> dict[str, Any]:
        """Stored fields of a document.

        Raises
        ------
        KeyError : no live document of that name.
        """
        if docno not in self:
            raise KeyError(docno)
        return self.snapshot.fields(self.snapshot.ordinals([docno]))[0]

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the searcher; what was committed stays."""
        self._searcher.close()

    def __repr__(self) -> str:
        entry = self.snapshot.encoder
        made_by = "" if entry is None else f", {entry.kind}"
        return f"<sparseir.Index '{self.path}': {len(self):,} document{'' if len(self) == 1 else 's'}{made_by}>"

    def _open(self) -> Searcher:
        model = self._model
        if model is not None:
            snapshot = open_index(self.path)
            if snapshot.query_files is not None and DESCRIPTION_FILE in snapshot.query_files:
                model = None  # the index looks queries up by itself
            elif not isinstance(model, str | Path):
                model = ModelQueryEncoder(model)  # type: ignore[assignment]
        return Searcher.open(self.path, model=model, **self._options)  # type: ignore[arg-type]

    def _reopen(self) -> None:
        self._searcher.close()
        self._searcher = self._open()


def _loaded(model: str | Path | SparseEncoder | None) -> SparseEncoder | None:
    if model is None or not isinstance(model, str | Path):
        return model
    from sparseir.models.encoder import SparseEncoder

    return SparseEncoder.load(model)


def _documents(given: Texts, first: int) -> Iterator[Document]:
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise DataError(f"documents: expected a list of texts or of mappings, not one {type(given).__name__}")
    return (_document(item, number) for item, number in zip(given, count(first)))


def _check_metadata(wanted: Sequence[str], documents: Iterable[Document]) -> None:
    known: dict[str, None] = {}
    for document in documents:
        known |= dict.fromkeys(key for key, value in stored_fields(document).items() if value not in (None, "", []))
    for name in wanted:
        if name not in known:
            raise absent_field(name, known)


def _document(item: Any, number: int) -> Document:
    if isinstance(item, Document):
        return item
    if isinstance(item, str):
        return Document(str(number), item)
    if not isinstance(item, Mapping):
        raise DataError(f"document {number}: expected a text or a mapping, not {type(item).__name__}")
    fields = dict(item)
    name = next((fields.pop(key) for key in _NAMES if fields.get(key) is not None), number)
    text = next((fields.pop(key) for key in _TEXTS if fields.get(key) is not None), None)
    title = fields.pop("title", None) or ""
    if not isinstance(name, str | int) or not isinstance(title, str) or not isinstance(text or "", str):
        raise DataError(f"document {number}: expected strings for its name, title and text")
    if text is None and not title:
        raise DataError(f"document {number} has no {' or '.join(_TEXTS)}; its keys are {', '.join(map(str, item))}")
    return Document(str(name), text or "", title, fields)
