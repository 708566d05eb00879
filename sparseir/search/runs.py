"""Run files in TREC format: qid Q0 docno rank score tag."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from sparseir.errors import ConfigError, DataError

if TYPE_CHECKING:
    from sparseir.data.lines import LineSource

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

    Parameters
    ----------
    tag : the last column, the name of the run.
    metadata : written before the run as `metadata_header` writes it.
    """

    def __init__(self, path: str | Path, *, tag: str = "sparseir", metadata: Mapping[str, Any] | None = None) -> None:
        self.path = Path(path)
        self._tag = checked_tag(tag)
        self._part = self.path.with_name(self.path.name + ".part")
        self._file = self._part.open("w", encoding="utf-8")
        if metadata is not None:
            self._file.write(metadata_header(metadata))

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


def decreasing_run(run: Run) -> Run:
    """A run whose hits stand best first, with scores that fall strictly."""
    return run_of(run, (list(hits) for hits in run.values()), (list(hits.values()) for hits in run.values()))


def checked_tag(tag: str) -> str:
    """The name of a run, refused where a run file cannot hold it.

    Raises
    ------
    ConfigError
    """
    if len(tag.split()) != 1 or tag != tag.strip():
        raise ConfigError(f"--tag is {tag!r}; expected one word, as it is a column of a run file")
    return tag


def metadata_header(metadata: Mapping[str, Any]) -> str:
    """Comment lines that say how a run was made, YAML between two marks.

    trec_eval and most of its kin take no comments: a file that begins with them is for readers who know of ir_metadata.

    Source: Breuer, Keller and Schaer 2022, "ir_metadata: An Extensible Metadata Schema for IR Experiments".
    """
    import yaml

    text = yaml.safe_dump(dict(metadata), sort_keys=False, allow_unicode=True)
    lines = ["ir_metadata.start", *text.splitlines(), "ir_metadata.end"]
    return "".join(f"# {line}\n" for line in lines)


def read_run(path: str | Path) -> Run:
    """The run of a file in TREC format, plain or .gz, with the scores of the file.

    Lines that begin with # are left out; ranks and tags are not read, as trec_eval does not read them.

    Raises
    ------
    DataError : a line that has not six columns, a score that is no finite number, a document twice for a query, no line.
    """
    from sparseir.data.lines import LineSource

    source, run = LineSource(Path(path)), Run()
    for number, line in source.lines():
        if line.startswith("#"):
            continue
        columns = line.split()
        if len(columns) != 6:
            raise DataError(
                f"expected the six columns of a run, qid Q0 docno rank score tag; found {len(columns)}",
                path=source.label,
                line=number,
            )
        qid, _, docno, _, written, _ = columns
        hits = run.setdefault(qid, {})
        if docno in hits:
            raise DataError(f"query '{qid}' has document '{docno}' twice", path=source.label, line=number)
        hits[docno] = _score(written, source, number)
    if not run:
        raise DataError("holds no hits; expected lines of qid Q0 docno rank score tag", path=source.label)
    return run


def _score(written: str, source: LineSource, number: int) -> float:
    try:
        score = float(written)
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise DataError(f"score '{written[:60]}' is no finite number", path=source.label, line=number)
    return score
