"""The filters of a searcher: evaluated once, remembered, and searched in views where that pays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer import Index, SparseVectors
from sparseir.errors import ConfigError, DataError
from sparseir.search.engines import Allowed
from sparseir.search.filters.views import FilterUse, FilterViews, PreparedFilter
from sparseir.search.results import Ranking

Filter = str | Sequence[str] | NDArray[np.integer[Any]] | PreparedFilter
"""An expression, docnos, ordinals, or one of these prepared."""

_REMEMBERED = 64


class Filters:
    """Filters over one snapshot; the last expressions are kept with their bitmaps (N/8 bytes each).

    Parameters
    ----------
    index : the snapshot.
    views : makes and keeps views of its filters.
    """

    def __init__(self, index: Index, views: FilterViews) -> None:
        self.views = views
        self._index = index
        self._expression = lru_cache(maxsize=_REMEMBERED)(partial(_evaluate, index))

    def prepare(self, filter: Filter, view: str = "auto") -> PreparedFilter:
        """The filter evaluated; see `Searcher.prepare_filter`."""
        if view not in ("auto", "now", "never"):
            raise ConfigError(f"view is {view!r}; there are: auto, now, never")
        prepared = self._prepared(filter)
        if view == "never":
            return PreparedFilter(prepared.index, prepared.bitmaps, FilterUse(wanted=False))
        if view == "now":
            self.views.make(prepared)
        return prepared

    def search(self, run: Callable[[Allowed], Ranking], filter: Filter, *, views: bool) -> Ranking:
        """What `run` answers to one query under a filter; its argument may be a view only where `views` is set."""
        prepared = self._prepared(filter)
        return self.views.search(run, prepared) if views else run(prepared.bitmaps)

    def search_batch(
        self, run: Callable[[SparseVectors, Allowed], Ranking], vectors: SparseVectors, filter: Filter, *, views: bool
    ) -> Ranking:
        """As `search`, for a batch."""
        prepared = self._prepared(filter)
        return self.views.search_batch(run, vectors, prepared) if views else run(vectors, prepared.bitmaps)

    def clear(self) -> None:
        """Forget the expressions and drop their views."""
        self._expression.cache_clear()

    def _prepared(self, filter: Filter) -> PreparedFilter:
        if not isinstance(filter, PreparedFilter):
            return self._expression(filter) if isinstance(filter, str) else _evaluate(self._index, filter)
        if filter.index is not self._index:
            raise DataError("filter: it was prepared for another snapshot of an index; prepare it with this searcher")
        return filter


def _evaluate(index: Index, filter: str | Sequence[str] | NDArray[np.integer[Any]]) -> PreparedFilter:
    from sparseir.search.filters.expressions import allowed_documents  # most searches have no filter

    return PreparedFilter(index, allowed_documents(index, filter))
