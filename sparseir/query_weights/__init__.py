"""Weights of query terms fitted to judged queries: the documents of an index stay as they are, and queries as quick."""

from __future__ import annotations

from sparseir.query_weights.options import FitOptions
from sparseir.query_weights.run import FitReport, fit_query_weights, undo_fit

__all__ = ["FitOptions", "FitReport", "fit_query_weights", "undo_fit"]
