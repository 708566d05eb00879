"""The rows of a test collection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a corpus.

    Parameters
    ----------
    docno : the outside name.
    text, title : either may be empty.
    fields : every other key of the corpus line, as JSON gave it; filters read them.
    """

    docno: str
    text: str
    title: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def content(self) -> str:
        """What is encoded: the title, then the text."""
        return f"{self.title} {self.text}".strip() if self.title else self.text


@dataclass(frozen=True, slots=True)
class Query:
    """One query: its outside name and its text."""

    qid: str
    text: str


Qrels = dict[str, dict[str, int]]
"""Judgements: qid → docno → relevance."""
