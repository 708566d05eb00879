"""Run files in TREC format: qid Q0 docno rank score tag."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from sparseir.errors import DataError

Run = dict[str, dict[str, float]]
"""qid → docno → score."""


def strictly_decreasing(scores: Sequence[float]) -> list[np.float32]:
    """Scores lowered by the smallest float32 steps until each is below the one before.

    trec_eval re-sorts ties by docno; with this it sees our order. Scores that already fall stay as they are.
    """
    out: list[np.float32] = []
    for score in scores:
        value = np.float32(score)
        if out and not value < out[-1]:
            value = np.nextafter(out[-1], np.float32(-np.inf))
        out.append(value)
    return out


def run_lines(qid: str, docnos: Sequence[str], scores: Sequence[float], *, tag: str = "sparseir") -> Iterator[str]:
    """The lines of one query, best hit first, scores strictly decreasing.

    Raises
    ------
    DataError
        A qid or docno with white space, which the format cannot hold.
    """
    for name in (qid, *docnos):
        if not name or len(name.split()) != 1 or name != name.strip():
            raise DataError(f"a run file cannot hold the name {name!r}: it is empty or has white space in it")
    for rank, (docno, score) in enumerate(zip(docnos, strictly_decreasing(scores), strict=True), 1):
        yield f"{qid} Q0 {docno} {rank} {score!s} {tag}\n"


class RunWriter:
    """Writes a run under a temporary name and renames it when complete, so that no half run is ever found.

    Use as a context manager; leaving it by an exception removes what was written.
    """

    def __init__(self, path: str | Path, *, tag: str = "sparseir") -> None:
        self.path = Path(path)
        self._tag = tag
        self._part = self.path.with_name(self.path.name + ".part")
        self._file = self._part.open("w", encoding="utf-8")

    def write(self, qid: str, docnos: Sequence[str], scores: Sequence[float]) -> None:
        """The hits of one query, best first.

        Raises
        ------
        DataError
            A qid or docno with white space, which the format cannot hold.
        """
        self._file.writelines(run_lines(qid, docnos, scores, tag=self._tag))

    def close(self) -> None:
        """Finish the file and give it its name."""
        self._file.close()
        self._part.replace(self.path)

    def discard(self) -> None:
        """Drop what was written."""
        self._file.close()
        self._part.unlink(missing_ok=True)

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()


def run_of(qids: Iterable[str], docnos: Iterable[Sequence[str]], scores: Iterable[Sequence[float]]) -> Run:
    """The run as a mapping, with the same strictly decreasing scores as in a run file."""
    return {
        qid: dict(zip(names, map(float, strictly_decreasing(values)), strict=True))
        for qid, names, values in zip(qids, docnos, scores, strict=True)
    }
