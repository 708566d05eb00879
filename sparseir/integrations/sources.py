"""What the classes for frameworks share: what they search, what encodes, and a hit as text and metadata."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparseir.search.feedback.options import Feedback
from sparseir.search.results import Hit
from sparseir.search.searcher import Searcher

if TYPE_CHECKING:
    from sparseir.models.encoder import SparseEncoder
    from sparseir.text_index import Index


def searched(index: str | Path | Searcher | Index, **options: Any) -> Searcher | Index:
    """What to search: a folder is opened, an open index or searcher is taken as it is.

    Parameters
    ----------
    options : of `Searcher.open`, for a folder.
    """
    return Searcher.open(index, **options) if isinstance(index, str | Path) else index


def loaded(model: str | Path | SparseEncoder, device: str) -> SparseEncoder:
    """An encoder: a folder or hub id is loaded, an encoder is taken as it is."""
    if not isinstance(model, str | Path):
        return model
    from sparseir.models.encoder import SparseEncoder

    return SparseEncoder.load(model, device=device)


def fed(hits: int) -> Feedback | None:
    """Feedback by words of so many hits of a first search; None for 0.

    Raises
    ------
    ConfigError : more hits than are read, or fewer than none.
    """
    return Feedback(documents=hits) if hits else None


def text_and_metadata(hit: Hit) -> tuple[str, dict[str, Any]]:
    """The stored text of a hit; and its docno, its score, and the other stored fields.

    Where an index stores no text, the text is empty. A stored field named docno or score is hidden by the hit's own.
    """
    fields = dict(hit.fields)
    text = fields.pop("text", None)
    return text if isinstance(text, str) else "", {**fields, "docno": hit.docno, "score": hit.score}


def indices_and_values(row: tuple[Any, Any]) -> tuple[list[int], list[float]]:
    """One vector as lists."""
    return row[0].tolist(), row[1].tolist()
