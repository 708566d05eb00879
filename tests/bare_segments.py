"""A searcher over segments in memory, without an index folder: for tests of scores alone."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from indexer.native.engine import NativeIndex
from sparseir.search.cpu import CpuEngine
from sparseir.search.filters.filters import Filters
from sparseir.search.filters.views import FilterViews
from sparseir.search.query_encoder import QuerySide, open_query_encoder
from sparseir.search.searcher import Searcher


def searcher_of(segments: Sequence[Any], *, num_terms: int, doc_scale: float = 1.0, **options: Any) -> Searcher:
    """`options` are those of CpuEngine."""
    native = NativeIndex(segments, doc_scale=doc_scale)
    index: Any = SimpleNamespace(num_terms=num_terms, doc_scale=doc_scale, segments=(), query_files=None)
    filters = Filters(index, FilterViews(index, native, 0))
    return Searcher(index, CpuEngine(native, **options), QuerySide(lambda: open_query_encoder(index)), filters)
