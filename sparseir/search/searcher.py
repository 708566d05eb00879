"""The searcher: queries in, hits out, over one committed state of an index."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from indexer import Index, SparseVectors
from sparseir.data.passages import passages_of, windows_of
from sparseir.errors import ConfigError
from sparseir.search.checks import MAX_K, checked_k, checked_terms, checked_vectors
from sparseir.search.cpu import open_native
from sparseir.search.engines import Allowed, ClosedEngine, Engine, EngineConfig, open_engine
from sparseir.search.filters.filters import Filter, Filters
from sparseir.search.filters.views import FilterViews, PreparedFilter
from sparseir.search.opening import is_remote, open_place
from sparseir.search.passages import grouping
from sparseir.search.query_encoder import (
    ModelQueryEncoder,
    QueryEncoder,
    QuerySide,
    check_alpha,
    open_query_encoder,
)
from sparseir.search.results import Hits, Ranking, hits_of, named, without
from sparseir.search.stores.places import StorePlace, is_store

if TYPE_CHECKING:
    from sparseir.search.calibration.calibration import Calibration
    from sparseir.search.explain import Explanation
    from sparseir.search.feedback.expansion import FeedbackExpansion
    from sparseir.search.feedback.options import Feedback

_UINT32, _FLOAT32 = np.dtype(np.uint32), np.dtype(np.float32)


class Searcher:
    """Searches one committed state of an index; may be used by several threads.

    `open` makes one from a folder. Searchers with other engines may share the other parts.

    Parameters
    ----------
    index : what is searched. engine : finds the hits in it.
    queries : turns texts into weighted terms. filters : evaluates filters.
    """

    def __init__(self, index: Index, engine: Engine, queries: QuerySide, filters: Filters) -> None:
        self.index, self.engine, self.queries, self.filters = index, grouping(engine, index), queries, filters

    def __repr__(self) -> str:
        return f"Searcher({str(self.index.path)!r}, engine={self.engine.name!r}, num_docs={self.index.num_docs})"

    def __enter__(self) -> Searcher:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop the engine, the filters and their views; the searcher answers no more. Leaving a `with` block does it."""
        self.engine = ClosedEngine(self.index)
        self.__dict__.pop("_expansion", None)
        self.filters.clear()

    @classmethod
    def open(
        cls,
        path: str | Path | StorePlace | Sequence[str | Path],
        *,
        engine: str | EngineConfig = "auto",
        num_threads: int = 1,
        model: str | Path | ModelQueryEncoder | None = None,
        any_model: bool = False,
        alpha: float | None = None,
        query_encoder: QueryEncoder | None = None,
        filter_memory: float = 0.25,
        partial: bool = False,
    ) -> Searcher:
        """Open an index folder at its last committed state.

        Parameters
        ----------
        path : the folder of an index, or that of its shards; or the folders of all shards of one index, in any order; or the
            addresses (http://HOST:PORT) of services that serve one of them each; or a collection of Milvus,
            milvus://HOST:PORT/COLLECTION.
        engine : 'auto', 'exhaustive', 'maxscore', 'wand', 'block_max_wand', 'block_filter' (docs/algorithms.md), which
            all give the same hits; 'gpu' or a GpuConfig, which gives them on a GPU (docs/gpu.md); 'exact_float', which
            ranks by the stored weights themselves; 'approximate' or an ApproximateConfig, which trades recall for time
            (docs/tuning.md).
        num_threads : threads of `search_vectors`.
        model : encodes query texts where the index carries no query side; loaded at the first text.
        any_model : accept a model that is not the one the index was built with.
        alpha : what the lexical channel of the index counts; None for what it was built with.
        query_encoder : a query side already in memory, used instead of all three.
        filter_memory : memory that views of filters may take together, as a share of the index's size; 0 makes none.
            See `prepare_filter`.
        partial : search without the shards that are missing; `share` says what is searched.

        Raises
        ------
        IndexFormatError : no index there, or a damaged one.
        ConfigError : an engine or a number of threads that does not exist; an index or a machine that lacks what the
            engine needs; a filter_memory or an alpha below 0.
        SparseIRError : alpha for an index without a lexical channel.
        """
        index = open_place(path, partial=partial)
        if alpha is not None:
            check_alpha(index, alpha)
        side = QuerySide(lambda: query_encoder or open_query_encoder(index, model, any_model=any_model, alpha=alpha))
        if is_store(path):
            from sparseir.search.stores.engine import StoreEngine, StoreFilters
            from sparseir.search.stores.index import StoreIndex

            assert isinstance(index, StoreIndex)
            return cls(index, StoreEngine(index, engine), side, StoreFilters(index))
        if not isinstance(path, StorePlace) and is_remote(path):
            from sparseir.search.remote.engine import RemoteEngine
            from sparseir.search.remote.filters import RemoteFilters
            from sparseir.search.remote.index import RemoteIndex

            assert isinstance(index, RemoteIndex)
            return cls(index, RemoteEngine(index, engine), side, RemoteFilters(index))
        native = open_native(index)
        return cls(
            index,
            open_engine(engine, index, native, num_threads),
            side,
            Filters(index, FilterViews(index, native, filter_memory, num_threads)),
        )

    def with_engine(self, engine: str) -> Searcher:
        """A searcher of the same shards on other machines with another engine, which shares all else."""
        from sparseir.search.remote.engine import RemoteEngine
        from sparseir.search.remote.index import RemoteIndex

        assert isinstance(self.index, RemoteIndex)
        return Searcher(self.index, RemoteEngine(self.index, engine), self.queries, self.filters)

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

    @overload
    def search(
        self, text: str | Sequence[str], k: int = 10, *, filter: Filter | None = None, feedback: Feedback | None = None
    ) -> Hits | list[Hits]: ...

    def search(
        self, text: str | Sequence[str], k: int = 10, *, filter: Filter | None = None, feedback: Feedback | None = None
    ) -> Hits | list[Hits]:
        """Search with the text of one query; with many, in one batch over all threads.

        Parameters
        ----------
        text : a query, or a list of them. k : most hits of each.
        filter : which documents may be hits: an expression (docs/filters.md), docnos, ordinals, or what `prepare_filter` made.
        feedback : search a second time, with words of the first hits; of those that the filter allows.

        Returns
        -------
        Hits of the query; of a list of queries, a list of them.

        Raises
        ------
        DataError : no text; as `search_terms`.
        ConfigError : feedback from an index that has no words, or from a collection of Milvus.
        """
        if isinstance(text, str) or not isinstance(text, Sequence):
            if feedback is None:
                encoded = self.queries.encoder.encode(text)
            else:
                encoded = self.encode_queries([text], feedback=feedback, filter=filter).row(0)
            return hits_of(self.index, self.search_terms(*encoded, k, filter=filter))
        ranking = self.search_vectors(self.encode_queries(text, feedback=feedback, filter=filter), k, filter=filter)
        return [hits_of(self.index, Ranking(*row)) for row in zip(*ranking, strict=True)]

    def search_terms(self, term_ids: Any, weights: Any, k: int = 10, *, filter: Filter | None = None) -> Ranking:
        """One query, with as little between the caller and the engine as possible.

        Parameters
        ----------
        term_ids : uint32 (n,), any order, no duplicates. Terms the index does not hold match nothing; other types than uint32
            are checked against the vocabulary's size.
        weights : float32 (n,), finite, not negative; zeros are ignored.
        k : most hits. filter : as for `search`.

        Returns
        -------
        Ranking of k places.

        Raises
        ------
        DataError : weights or term ids that cannot be used; a k that is no whole number of 1 or more.
        """
        if type(k) is not int or not 1 <= k <= MAX_K:
            k = checked_k(k)
        if not (
            isinstance(term_ids, np.ndarray)
            and isinstance(weights, np.ndarray)
            and term_ids.dtype == _UINT32
            and weights.dtype == _FLOAT32
            and term_ids.ndim == weights.ndim == 1
            and len(term_ids) == len(weights)
        ):
            term_ids, weights = checked_terms(term_ids, weights, self.index.num_terms)
        if filter is None:
            return self.engine.search_terms(term_ids, weights, k, None)
        run = partial(self.engine.search_terms, term_ids, weights, k)
        return self.filters.search(run, filter, views=self.engine.takes_views)

    def search_vectors(self, queries: Any, k: int = 1000, *, filter: Filter | None = None) -> Ranking:
        """Many queries.

        Parameters
        ----------
        queries : SparseVectors or a scipy CSR matrix (Q, vocabulary); rows may be unsorted.
        k : most hits of each. filter : as for `search`.

        Returns
        -------
        Ranking : ordinals int64 (Q, k) and scores float32 (Q, k).

        Raises
        ------
        DataError : a row that cannot be used, by number; no sparse vectors; a k that is no whole number of 1 or more.
        """
        vectors, k = checked_vectors(queries, self.index.num_terms), checked_k(k)
        if filter is None:
            return self.engine.search_vectors(vectors, k, None)

        def run(rows: SparseVectors, allowed: Allowed) -> Ranking:
            return self.engine.search_vectors(rows, k, allowed)

        return self.filters.search_batch(run, vectors, filter, views=self.engine.takes_views)

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
        ConfigError : no such choice, or a view 'now' that does not fit or that the engine could not use.
        """
        if view == "now" and not self.engine.takes_views:
            raise ConfigError(f"view is 'now', but the {self.engine.name} engine filters by bitmaps; it has no views")
        return self.filters.prepare(filter, view)

    def encode_queries(
        self, texts: Sequence[str], *, feedback: Feedback | None = None, filter: Filter | None = None
    ) -> SparseVectors:
        """One row of weighted terms a text.

        Parameters
        ----------
        texts : queries.
        feedback : add words of what they find to them. filter : which documents may be found for that.

        Raises
        ------
        SparseIRError : the index carries no query side, and no model was given; or as `with_feedback`.
        """
        vectors = self.queries.encoder.encode_batch(texts)
        return vectors if feedback is None else self.with_feedback(vectors, feedback, filter)

    def with_feedback(
        self,
        queries: SparseVectors,
        feedback: Feedback,
        filter: Filter | None = None,
        *,
        leave_out: NDArray[np.int64] | None = None,
    ) -> SparseVectors:
        """Queries with words of the documents that they find.

        Parameters
        ----------
        queries : weighted terms of each. feedback : of how many documents, and how much. filter : which may be found.
        leave_out : int64 (Q,), ordinals of a document that a query does not learn from, or -1.

        Raises
        ------
        ConfigError : an index that has no words, or a collection of Milvus.
        """
        expansion, depth = self._expansion, feedback.documents
        found = self.search_vectors(queries, depth if leave_out is None else depth + 1, filter=filter)
        if leave_out is not None:
            found = without(found, leave_out, depth)
        return expansion.expanded(queries, found, feedback)

    @cached_property
    def _expansion(self) -> FeedbackExpansion:
        from sparseir.search.feedback.expansion import FeedbackExpansion  # not every search has feedback

        return FeedbackExpansion(self.index, self.engine, self.queries.encoder)

    def named(self, ranking: Ranking) -> tuple[list[list[str]], list[list[float]]]:
        """Outside names and scores of each row of a batch, without the padding.

        Parameters
        ----------
        ranking : what `search_vectors` gave.
        """
        return named(self.index, ranking)

    def fields(self, ordinals: NDArray[np.int64]) -> list[dict[str, Any]]:
        """Stored fields of hits.

        Parameters
        ----------
        ordinals : int64, of documents of this snapshot.
        """
        return self.index.fields(ordinals)

    def explain(
        self, text: str, docno: str, *, feedback: Feedback | None = None, filter: Filter | None = None
    ) -> Explanation:
        """The score of one document for a query, term by term; the products add up to it exactly.

        A document that matches nothing has score 0 and no terms. In an index of passages, the best passage of a document is
        explained, and named; or the passage whose name is given.

        Parameters
        ----------
        text : a query. docno : name of a document, or of a passage.
        feedback : of the search that is explained. filter : under which it found the documents that it learnt from.

        Raises
        ------
        DataError : the index holds no such document.
        ConfigError : as `with_feedback`.
        """
        from sparseir.search.explain import explain_document  # not every search explains

        names = [docno]
        if windows_of(self.index) is not None:
            names = passages_of(self.index, [docno])[0] or [docno]
        query = self.encode_queries([text], feedback=feedback, filter=filter)
        found = (explain_document(self.index, self.engine, self.queries.encoder, query, name) for name in names)
        return max(found, key=lambda explanation: explanation.integer_score)  # the first of equal ones

    @property
    def share(self) -> float:
        """Share of the documents that is searched: below 1 where shards are missing, which `partial` allows."""
        return getattr(self.index, "share", 1.0)

    @property
    def calibrations(self) -> list[Calibration]:
        """What approximate search was tuned to so far, one entry for each k."""
        return self.engine.calibrations

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
        return self.engine.calibrate(checked_vectors(queries, self.index.num_terms), checked_k(k))

    def stats(self) -> dict[str, int]:
        """Work of all searches so far: postings scored, bounds computed, blocks visited, documents scored.

        Empty for an engine that counts nothing.
        """
        return self.engine.stats()
