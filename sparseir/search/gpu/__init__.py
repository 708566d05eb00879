"""Exact search of query batches on a GPU (and, through torch, on any device): docs/gpu.md."""

from __future__ import annotations

from indexer.native.queries import QueryBatch
from sparseir.search.gpu.backends import GpuConfig
from sparseir.search.gpu.engine import GpuEngine
from sparseir.search.gpu.postings import SegmentPostings

__all__ = ["GpuConfig", "GpuEngine", "QueryBatch", "SegmentPostings"]
