"""The searcher: sparse query vectors in, ordinals and scores out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexer import Index, SparseVectors, open_index
from indexer.native.engine import ENGINES, NativeIndex
from sparseir.errors import ConfigError, DataError, SparseIRError
from sparseir.search.approximate import ApproximateConfig, ApproximateEngine
from sparseir.search.calibration import Calibration
from sparseir.search.cpu import Allowed, CpuEngine
from sparseir.search.engines import OtherEngine, open_engine
from sparseir.search.exact_float import FloatEngine
from sparseir.search.explain import Explanation, explain_document
from sparseir.search.filter_views import FilterViews
from sparseir.search.filters import Filter, Filters, FilterUse, PreparedFilter
from sparseir.search.query_encoder import QueryEncoder, open_query_encoder

if TYPE_CHECKING:
    from sparseir.search.gpu import GpuConfig


class Ranking(NamedTuple):
    """Hits, best first; ties by smaller ordinal.

    ordinals : int64, positions in the input, padded with -1. One row a query for `search_vectors`.
    scores : float32, padded with -inf.
    """

    ordinals: NDArray[np.int64]
    scores: NDArray[np.float32]


class Hits(NamedTuple):
    """The hits of one text query, best first; as many as there are, at most k.

    docnos : outside names. scores : float32. ordinals : int64, positions in the input.
    """

    docnos: list[str]
    scores: NDArray[np.float32]
    ordinals: NDArray[np.int64]


class Searcher:
    """Searches an opened index.

    Parameters
    ----------
    native : the opened segments.
    num_terms : size of the vocabulary; query terms must be below it.
    engine : one of 'auto', 'exhaustive', 'maxscore', 'wand', 'block_max_wand', 'block_filter' (docs/algorithms.md); all
        give the same hits.
    num_threads : threads of `search_vectors`.

    Raises
    ------
    ConfigError : an engine or a number of threads that does not exist.
    """

    def __init__(self, native: NativeIndex, *, num_terms: int, engine: str = "auto", num_threads: int = 1) -> None:
        self.num_terms = num_terms
        self._cpu = CpuEngine(native, engine=engine, num_threads=num_threads)
        self._other: OtherEngine | None = None
        self._index: Index | None = None
        self._filters: Filters | None = None
        self._views: FilterViews | None = None
        self._query_encoder: QueryEncoder | None = None
        self._open_queries: Callable[[Index], QueryEncoder] = open_query_encoder

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        engine: str | GpuConfig | ApproximateConfig = "auto",
        num_threads: int = 1,
        model: str | Path | None = None,
        any_model: bool = False,
        alpha: float | None = None,
        query_encoder: QueryEncoder | None = None,
        filter_memory: float = 0.25,
    ) -> Searcher:
        """Open an index folder at its last committed state.

        Parameters
        ----------
        path : the folder.
        engine, num_threads : as in the constructor. Besides: 'gpu' or a GpuConfig searches on a GPU (docs/gpu.md),
            'exact_float' ranks by the stored weights themselves, 'approximate' or an ApproximateConfig trades recall
            for time (docs/tuning.md).
        model : encodes query texts where the index carries no query side; loaded at the first text.
        any_model : accept a model that is not the one the index was built with.
        alpha : what the lexical channel of the index counts; None for what it was built with.
        query_encoder : a query side already in memory, used instead of either.
        filter_memory : memory that views of filters may take together, as a share of the index's size; 0 makes none.
            See `prepare_filter`.

        Raises
        ------
        IndexFormatError : no index there, or a damaged one.
        ConfigError : as in the constructor; a filter_memory or an alpha below 0.
        SparseIRError : alpha for an index without a lexical channel.
        """
        index = open_index(path)
        for segment in index.segments:
            segment.read_dictionary_ahead()
        native = NativeIndex(
            [segment.data for segment in index.segments],
            doc_scale=index.doc_scale,
            deleted=[segment.deleted for segment in index.segments],
            ordinal_end=index.manifest.next_ordinal,
        )
        exact = isinstance(engine, str) and engine in ENGINES
        searcher = cls(
            native, num_terms=index.num_terms, engine=str(engine) if exact else "auto", num_threads=num_threads
        )
        if not exact:
            searcher._other = open_engine(index, searcher._cpu, engine)
        if searcher._other is None or isinstance(searcher._other, ApproximateEngine | FloatEngine):
            searcher._views = FilterViews(index, native, filter_memory, num_threads)
        searcher._index, searcher._query_encoder = index, query_encoder
        searcher._open_queries = partial(open_query_encoder, model=model, any_model=any_model, alpha=alpha)
        if alpha is not None:
            searcher.query_encoder  # noqa: B018  an alpha that cannot be used is found before a search
        return searcher

    @property
    def index(self) -> Index:
        """The snapshot that is searched.

        Raises
        ------
        SparseIRError : the searcher was made from bare segments.
        """
        if self._index is None:
            raise SparseIRError("this searcher has no index folder behind it; open one with Searcher.open")
        return self._index

    def prepare_filter(self, filter: Filter, *, view: str = "auto") -> PreparedFilter:
        """Evaluate a filter for many searches: give what comes back as their `filter`.

        Expressions need no preparation, the last ones are remembered; long lists of documents do. Whatever the view, the
        hits are the same.

        Parameters
        ----------
        view : 'auto' makes an index in memory of the documents allowed once searches under the filter have taken as long
            as making it would (some tenths of a second for a million documents), if it fits into filter_memory; 'now'
            makes it here; 'never' searches under the bitmap for good.

        Raises
        ------
        DataError : no filter, or one prepared by the searcher of another snapshot.
        ConfigError : no such choice, or a view 'now' that does not fit or that the gpu engine could not use.
        """
        if view not in ("auto", "now", "never"):
            raise ConfigError(f"view is {view!r}; there are: auto, now, never")
        if self._filters is None:
            self._filters = Filters(self.index)
        prepared = self._filters.prepare(filter)
        if view == "never":
            return PreparedFilter(prepared.index, prepared.bitmaps, FilterUse(wanted=False))
        if view == "now":
            if self._views is None:
                raise ConfigError("view: the gpu engine filters by bitmaps; it has no views")
            self._views.make(prepared)
        return prepared

    @property
    def query_encoder(self) -> QueryEncoder:
        """What turns text into weighted terms; loaded at the first use.

        Raises
        ------
        SparseIRError : the index carries no query side and no model was named; or the model is another one.
        """
        if self._query_encoder is None:
            self._query_encoder = self._open_queries(self.index)
        return self._query_encoder

    def encode_queries(self, texts: Sequence[str]) -> SparseVectors:
        """One row of weighted terms a text."""
        return self.query_encoder.encode_batch(texts)

    def search(self, text: str, k: int = 10, *, filter: Filter | None = None) -> Hits:
        """Search with the text of one query; see `search_terms` and, for the filter, `filters.allowed_documents` and `prepare_filter`."""
        term_ids, weights = self.query_encoder.encode(text)
        ranking = self.search_terms(term_ids, weights, k, filter=filter)
        found = ranking.ordinals >= 0
        ordinals, scores = ranking.ordinals[found], ranking.scores[found]
        return Hits(self._names(ordinals), scores, ordinals)

    def named(self, ranking: Ranking) -> tuple[list[list[str]], list[list[float]]]:
        """Outside names and scores of each row of a batch, without the padding."""
        counts = (ranking.ordinals >= 0).sum(axis=1)
        names = self._names(ranking.ordinals[ranking.ordinals >= 0])
        ends = np.cumsum(counts)
        return (
            [names[end - n : end] for n, end in zip(counts.tolist(), ends.tolist(), strict=True)],
            [row[:n].tolist() for n, row in zip(counts.tolist(), ranking.scores, strict=True)],
        )

    def fields(self, ordinals: NDArray[np.int64]) -> list[dict[str, Any]]:
        """Stored fields of hits."""
        return self.index.fields(ordinals)

    def _names(self, ordinals: NDArray[np.int64]) -> list[str]:
        return [name for name in self.index.docnos(ordinals) if name is not None]

    @classmethod
    def from_segments(
        cls,
        segments: Sequence[Any],
        *,
        num_terms: int,
        doc_scale: float,
        deleted: Sequence[NDArray[np.uint8] | None] | None = None,
        isa: str = "best",
        engine: str = "auto",
        num_threads: int = 1,
    ) -> Searcher:
        """Open segment files already in memory; see `indexer.native.engine.NativeIndex`."""
        native = NativeIndex(segments, doc_scale=doc_scale, deleted=deleted, isa=isa)
        return cls(native, num_terms=num_terms, engine=engine, num_threads=num_threads)

    def explain(self, text: str, docno: str) -> Explanation:
        """The score of one document for a query, term by term; the products add up to it exactly.

        A document that matches nothing has score 0 and no terms.

        Raises
        ------
        DataError : the index holds no such document.
        """
        return explain_document(self.index, self.query_encoder, self._product, text, docno)

    def _product(self, term_id: int, weight: int, allowed: list[NDArray[np.uint64]]) -> int:
        """query weight · impact of one term in the one document allowed; 0 when it does not hold the term."""
        weights = np.array([weight], np.uint32)
        ordinals, scores = self._cpu.search_integers(np.array([term_id], np.uint32), weights, 1, allowed)
        return int(scores[0]) if ordinals[0] >= 0 else 0

    @property
    def engine(self) -> str:
        """The exact engine in use; may be set."""
        return self._cpu.engine

    @engine.setter
    def engine(self, name: str) -> None:
        self._cpu.choose(name)

    @property
    def calibrations(self) -> list[Calibration]:
        """What approximate search was tuned to so far, one entry for each k."""
        return self._other.calibrations if isinstance(self._other, ApproximateEngine) else []

    def calibrate(self, queries: Any, k: int) -> Calibration:
        """Tune approximate search for k on queries like those to come; kept beside the index until it changes.

        Parameters
        ----------
        queries : as for `search_vectors`; 300 or more, of which a third tunes and the others check.

        Raises
        ------
        DataError : a row that cannot be used, by number.
        ConfigError : the searcher was not opened for approximate search with a recall target.
        """
        if not isinstance(self._other, ApproximateEngine):
            raise ConfigError("only a searcher opened with an ApproximateConfig can be calibrated")
        return self._other.calibrate(self._vectors(queries), k)

    def stats(self) -> dict[str, int]:
        """Work of all searches so far: postings scored, bounds computed, blocks visited, documents scored."""
        return self._cpu.stats()

    def search_terms(self, term_ids: Any, weights: Any, k: int = 10, *, filter: Filter | None = None) -> Ranking:
        """One query, with as little between the caller and the engine as possible.

        Parameters
        ----------
        term_ids : uint32 (n,), any order, no duplicates. Terms the index does not hold match nothing; other types than uint32
            are checked against the vocabulary's size.
        weights : float32 (n,), finite, not negative; zeros are ignored.

        Returns
        -------
        Ranking of k places.

        Raises
        ------
        DataError : weights or term ids that cannot be used.
        """
        if self._other is not None and not isinstance(self._other, ApproximateEngine):
            terms, values = _checked_terms(term_ids, weights, self.num_terms)
            row = SparseVectors.from_arrays([0, len(terms)], terms, values, self.num_terms, source="query")
            batch = self.search_vectors(row, k, filter=filter)
            return Ranking(batch.ordinals[0], batch.scores[0])
        prepared = None if filter is None else self.prepare_filter(filter)
        scratch = self._cpu.take(k, len(term_ids))
        try:
            n = len(term_ids)
            if n and not (
                isinstance(term_ids, np.ndarray)
                and term_ids.dtype == np.uint32
                and isinstance(weights, np.ndarray)
                and weights.dtype == np.float32
                and term_ids.shape == weights.shape == (n,)
            ):
                term_ids, weights = _checked_terms(term_ids, weights, self.num_terms)
            scratch.term_ids[:n] = term_ids
            scratch.weights[:n] = weights
            try:
                if prepared is None or self._views is None:
                    scratch.search(n)
                else:
                    self._views.search(partial(self._cpu.search_restricted, scratch, n), prepared)
            except SparseIRError as error:
                raise DataError(str(error)) from None
            return Ranking(scratch.ordinals[:k].copy(), scratch.scores[:k].copy())
        finally:
            if filter is not None:
                self._cpu.restrict(scratch, None)
            self._cpu.give(scratch)

    def search_vectors(self, queries: Any, k: int = 1000, *, filter: Filter | None = None) -> Ranking:
        """Many queries, over `num_threads` threads that run without the interpreter's lock.

        Parameters
        ----------
        queries : SparseVectors or a scipy CSR matrix (Q, vocabulary); rows may be unsorted.

        Returns
        -------
        Ranking : ordinals int64 (Q, k) and scores float32 (Q, k).

        Raises
        ------
        DataError : a row that cannot be used, by number; no sparse vectors; a k that is no whole number of 1 or more.
        """
        vectors = self._vectors(queries)
        doc_scale = 1.0 if self._index is None else self._index.doc_scale

        def search(rows: SparseVectors, allowed: Allowed) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
            return (self._other or self._cpu).search_vectors(rows, k, doc_scale, allowed)

        if filter is None:
            return Ranking(*search(vectors, None))
        prepared = self.prepare_filter(filter)
        if self._views is None:
            return Ranking(*search(vectors, prepared.bitmaps))
        return Ranking(*self._views.search_batch(search, vectors, prepared))

    def _vectors(self, queries: Any) -> SparseVectors:
        if not isinstance(queries, SparseVectors) and not hasattr(queries, "tocsr"):
            raise DataError(f"queries: expected SparseVectors or a scipy sparse matrix, not {type(queries).__name__}")
        vectors = queries if isinstance(queries, SparseVectors) else SparseVectors.from_scipy(queries, source="queries")
        if vectors.num_terms > self.num_terms and len(vectors.term_ids):
            largest = int(vectors.term_ids.max())
            if largest >= self.num_terms:
                raise DataError(f"queries: term id {largest} is outside the index's vocabulary 0..{self.num_terms - 1}")
        return vectors


def _checked_terms(term_ids: Any, weights: Any, num_terms: int) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    terms, values = np.asarray(term_ids), np.asarray(weights, np.float32)
    if terms.ndim != 1 or terms.shape != values.shape:
        raise DataError(f"query: {terms.shape} term ids beside {values.shape} weights; expected equal lengths")
    if terms.dtype.kind not in "iu":
        raise DataError(f"query: term ids must be integers, not {terms.dtype}")
    if len(terms) and not (int(terms.min()) >= 0 and int(terms.max()) < num_terms):
        raise DataError(f"query: term ids must lie in the vocabulary 0..{num_terms - 1}")
    return terms.astype(np.uint32), values
