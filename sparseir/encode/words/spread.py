"""What gives documents words that are not their own, on their way into an index."""

from __future__ import annotations

from typing import Protocol

from indexer import Documents
from sparseir.lexical.stems import StemFactors, WordCounts


class Spread(Protocol):
    """Gives documents more words."""

    def spread(self, documents: Documents, factors: StemFactors) -> StemFactors:
        """The factors of documents with those of more words; batches come in the order of the documents."""
        ...


class CorpusSpread(Spread, Protocol):
    """Looks at all documents of a build before it gives them words."""

    def close(self) -> None:
        """Close its files, also where a build fails."""
        ...

    def note(self, documents: Documents, words: WordCounts) -> None:
        """Take in documents that pass for the first time, with their words."""
        ...
