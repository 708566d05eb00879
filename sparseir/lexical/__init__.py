"""The lexical channel: stemmed words as terms of an index, scored by BM25. No torch."""

from __future__ import annotations

from sparseir.lexical.channel import LexicalChannel
from sparseir.lexical.queries import LexicalQueryEncoder

__all__ = ["LexicalChannel", "LexicalQueryEncoder"]
