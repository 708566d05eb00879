"""Filters that shards on other machines evaluate."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np

from indexer import SparseVectors
from sparseir.data.passages import rows_of
from sparseir.errors import ConfigError, DataError
from sparseir.search.engines import Allowed, Bitmaps
from sparseir.search.filters.filters import Filter, Filters
from sparseir.search.filters.views import PreparedFilter
from sparseir.search.remote.index import RemoteIndex
from sparseir.search.results import Ranking


class RemoteFilters(Filters):
    """Filters that the shards evaluate."""

    def __init__(self, index: RemoteIndex) -> None:
        self._index = index

    def prepare(self, filter: Filter, view: str = "auto") -> PreparedFilter:
        if view not in ("auto", "never"):
            raise ConfigError(f"view is {view!r}; of shards on other machines there are: auto, never")
        return self._prepared(filter)

    def search(self, run: Callable[[Allowed], Ranking], filter: Filter, *, views: bool) -> Ranking:
        return run(self._prepared(filter).bitmaps)

    def search_batch(
        self, run: Callable[[SparseVectors, Allowed], Ranking], vectors: SparseVectors, filter: Filter, *, views: bool
    ) -> Ranking:
        return run(vectors, self._prepared(filter).bitmaps)

    def clear(self) -> None:
        """There is nothing to forget."""

    def _prepared(self, filter: Filter) -> PreparedFilter:
        """The filter in the place of bitmaps: an expression, or ordinals."""
        if isinstance(filter, PreparedFilter):
            if filter.index is not self._index:
                raise DataError(
                    "filter: it was prepared for another snapshot of an index; prepare it with this searcher"
                )
            return filter
        if isinstance(filter, str):
            return PreparedFilter(self._index, cast(Bitmaps, filter))
        if not isinstance(filter, np.ndarray):
            filter = rows_of(self._index, list(filter))
        if filter.ndim != 1 or filter.dtype.kind not in "iu":
            raise DataError(
                f"filter: expected a one-dimensional integer array of ordinals, not {filter.dtype}{filter.shape}"
            )
        return PreparedFilter(self._index, cast(Bitmaps, filter.tolist()))
