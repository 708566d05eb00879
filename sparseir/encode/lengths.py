"""How many texts were longer than a network reads, which nothing else would show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparseir.models.encoder import SparseEncoder


class CutCount:
    """Texts that an encoder cut, counted as they pass.

    Parameters
    ----------
    queries : the texts are queries, which a table looks up whole.

    Attributes
    ----------
    texts, cut : those that passed, and those among them of which the end was not read.
    """

    def __init__(self, encoder: SparseEncoder, *, queries: bool = False) -> None:
        self.texts = self.cut = 0
        self._tokenizer = encoder.tokenizer
        self._limit = encoder.query_length() if queries else encoder.document_length()

    def add(self, texts: Sequence[str]) -> None:
        """Count some texts."""
        self.texts += len(texts)
        self.cut += self._tokenizer.count_longer(texts, self._limit)

    def note(self, advice: str) -> str | None:
        """A sentence for a person; None where all was read."""
        if not self.cut:
            return None
        verb = "was" if self.cut == 1 else "were"
        return (
            f"{self.cut:,} of {self.texts:,} texts {verb} longer than the {self._limit} word pieces the model reads, and "
            f"cut there; {advice}"
        )
