"""Quality beside cost on judged collections."""

from __future__ import annotations

from sparseir.evaluate.measures import Qrels, measure

__all__ = ["Qrels", "measure"]
