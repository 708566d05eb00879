"""Quality beside cost on judged collections."""

from __future__ import annotations

from sparseir.evaluate.measures import measure
from sparseir.evaluate.report.rows import SystemResult

__all__ = ["SystemResult", "measure"]
