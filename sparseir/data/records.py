"""The rows of a test collection."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a corpus.

    Parameters
    ----------
    docno : the outside name.
    text, title : either may be empty.
    fields : every other key of the corpus line, as JSON gave it; filters read them.
    expansion : text that a model wrote for the document, doc2query's predicted queries say: some encoders read it, nothing
        shows it as the document's.
    """

    docno: str
    text: str
    title: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    expansion: str = ""

    @property
    def content(self) -> str:
        """What is encoded: the title, then the text."""
        return f"{self.title} {self.text}".strip() if self.title else self.text

    @property
    def expanded(self) -> str:
        """`expanded_after` a space."""
        return self.expanded_after(" ")

    def expanded_after(self, separator: str) -> str:
        """The title, the text, the separator, then the words of the expansion that neither has, each once, as DeepImpact takes
        them (arXiv:2104.12016, section 3); the title and the text alone where there is no such word.

        Parameters
        ----------
        separator : spaces around it included.
        """
        if not self.expansion:
            return self.content
        known = set(_WORD.findall(self.content.casefold()))
        new = {folded: word for word in _WORD.findall(self.expansion) if (folded := word.casefold()) not in known}
        return f"{self.content}{separator}{' '.join(new.values())}" if new else self.content


@dataclass(frozen=True, slots=True)
class Query:
    """One query: its outside name and its text."""

    qid: str
    text: str


Qrels = dict[str, dict[str, int]]
"""Judgements: qid → docno → relevance."""
