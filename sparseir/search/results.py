"""What searches return: rankings of ordinals, and hits with their names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from indexer import Index
from sparseir.data.passages import document_of, windows_of
from sparseir.errors import MissingExtraError

if TYPE_CHECKING:
    import pandas

_SHOWN = 3
"""Hits in a repr."""
_SNIPPET = 100


class Ranking(NamedTuple):
    """Hits, best first; ties by smaller ordinal.

    ordinals : int64, positions in the input, padded with -1. One row a query for `search_vectors`.
    scores : float32, padded with -inf.
    """

    ordinals: NDArray[np.int64]
    scores: NDArray[np.float32]


class Hit:
    """One document that was found.

    Attributes
    ----------
    docno : its outside name. score : float. ordinal : its position in the input.
    """

    __slots__ = ("_index", "docno", "ordinal", "score")

    def __init__(self, docno: str, score: float, ordinal: int, index: Index) -> None:
        self.docno, self.score, self.ordinal, self._index = docno, score, ordinal, index

    @property
    def fields(self) -> dict[str, Any]:
        """Its stored fields, read when they are asked for; empty where the index stores none."""
        return self._index.fields([self.ordinal])[0]

    @property
    def text(self) -> str:
        """Its stored text; empty where the index stores none."""
        return str(self.fields.get("text") or "")

    def __repr__(self) -> str:
        return f"Hit(docno={self.docno!r}, score={self.score:.6g}, ordinal={self.ordinal})"


class Hits(Sequence[Hit]):
    """The hits of one text query, best first; at most k. A sequence of `Hit`; a slice of it is one too.

    Parameters
    ----------
    docnos : outside names. scores : float32. ordinals : int64, positions in the input.
    index : the snapshot they were found in, which has their stored fields.
    """

    def __init__(
        self, docnos: list[str], scores: NDArray[np.float32], ordinals: NDArray[np.int64], index: Index
    ) -> None:
        self.docnos, self.scores, self.ordinals, self._index = docnos, scores, ordinals, index

    def __len__(self) -> int:
        return len(self.docnos)

    @overload
    def __getitem__(self, place: int) -> Hit: ...

    @overload
    def __getitem__(self, place: slice) -> Hits: ...

    def __getitem__(self, place: int | slice) -> Hit | Hits:
        if isinstance(place, slice):
            return Hits(self.docnos[place], self.scores[place], self.ordinals[place], self._index)
        return Hit(self.docnos[place], float(self.scores[place]), int(self.ordinals[place]), self._index)

    def __iter__(self) -> Iterator[Hit]:
        for docno, score, ordinal in zip(self.docnos, self.scores.tolist(), self.ordinals.tolist(), strict=True):
            yield Hit(docno, score, ordinal, self._index)

    def fields(self) -> list[dict[str, Any]]:
        """Stored fields of all hits, in their order."""
        return self._index.fields(self.ordinals)

    def reordered(self, places: Sequence[int], scores: NDArray[np.float32]) -> Hits:
        """The hits at some places, in that order, with other scores."""
        return Hits([self.docnos[i] for i in places], scores, self.ordinals[list(places)], self._index)

    def to_pandas(self) -> pandas.DataFrame:
        """A data frame: rank from 1, docno, score, and a column for each stored field.

        Raises
        ------
        MissingExtraError : pandas is not installed.
        """
        try:
            import pandas
        except ModuleNotFoundError:
            raise MissingExtraError("pandas", "pandas", "Hits.to_pandas") from None
        head = {"rank": range(1, len(self) + 1), "docno": self.docnos, "score": self.scores}
        stored = pandas.DataFrame(self.fields(), index=range(len(self)))
        return pandas.DataFrame(head).join(stored.drop(columns=list(head), errors="ignore"))

    def __repr__(self) -> str:
        shown = [f"{hit.docno!r} {hit.score:.4g}" for hit in self[:_SHOWN]]
        more = ["…"] if len(self) > _SHOWN else []
        return f"<{len(self)} hit{'' if len(self) == 1 else 's'}{': ' if shown else ''}{', '.join([*shown, *more])}>"

    def _repr_html_(self) -> str:
        """A table, for notebooks."""
        from html import escape

        head = "<tr><th></th><th>score</th><th>docno</th><th></th></tr>"
        rows = [
            f"<tr><td>{rank}</td><td>{hit.score:.4f}</td><td>{escape(hit.docno)}</td><td>{escape(snippet(stored))}</td></tr>"
            for rank, (hit, stored) in enumerate(zip(self, self.fields(), strict=True), 1)
        ]
        return f"<table>{head}{''.join(rows)}</table>"


def snippet(stored: dict[str, Any], width: int = _SNIPPET) -> str:
    """Title and the beginning of the text on one line."""
    parts = [" ".join(str(stored[name]).split()) for name in ("title", "text") if stored.get(name)]
    line = " · ".join(parts)
    return line if len(line) <= width else line[: width - 1] + "…"


def hits_of(index: Index, ranking: Ranking) -> Hits:
    """The ranking of one query without its padding, with names."""
    found = ranking.ordinals >= 0
    ordinals, scores = ranking.ordinals[found], ranking.scores[found]
    return Hits(_names(index, ordinals), scores, ordinals, index)


def without(ranking: Ranking, ordinals: NDArray[np.int64], k: int) -> Ranking:
    """The first k hits of each row without one document.

    Parameters
    ----------
    ordinals : int64 (Q,), of that document, or -1 for none.
    """
    kept = (ranking.ordinals != ordinals[:, None]) | (ranking.ordinals < 0)
    order = np.argsort(~kept, axis=1, kind="stable")[:, :k]
    return Ranking(
        np.take_along_axis(np.where(kept, ranking.ordinals, -1), order, axis=1),
        np.take_along_axis(np.where(kept, ranking.scores, -np.inf), order, axis=1).astype(np.float32),
    )


def named(index: Index, ranking: Ranking) -> tuple[list[list[str]], list[list[float]]]:
    """Outside names and scores of each row of a batch, without the padding."""
    found = ranking.ordinals >= 0
    counts = found.sum(axis=1)
    names, ends = _names(index, ranking.ordinals[found]), np.cumsum(counts)
    return (
        [names[end - n : end] for n, end in zip(counts.tolist(), ends.tolist(), strict=True)],
        [row[:n].tolist() for n, row in zip(counts.tolist(), ranking.scores, strict=True)],
    )


def _names(index: Index, ordinals: NDArray[np.int64]) -> list[str]:
    names = [name for name in index.docnos(ordinals) if name is not None]
    return names if windows_of(index) is None else [document_of(name) for name in names]
