"""Which format a file of pairs has: what was said of it, or what its first line shows."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexer.interchange.jsonl.text import json_value
from sparseir.data.compression import bare_name
from sparseir.data.lines import LineSource
from sparseir.data.prepared import rows, texts
from sparseir.data.prepared.rows import PairReader
from sparseir.data.prepared.texts import TextReader
from sparseir.errors import ConfigError, DataError

BY_ID: dict[str, PairReader] = {
    "qrels": rows.judgements,
    "id-triples": rows.id_triples,
    "hard-negatives": rows.hard_negatives,
    "scores": rows.scores,
    "run": rows.run,
    "docs-scores": rows.scored_documents,
    "tevatron": rows.tevatron,
    "pickle": rows.pickle_scores,
}
"""Formats that name documents, which the store must hold."""

BY_TEXT: dict[str, TextReader] = {
    "text-triples": texts.text_triples,
    "text-docs-scores": texts.scored_texts,
    "text-tevatron": texts.passages,
}
"""Formats that bring texts, of which the stores are made."""

_GIVEN = re.compile(r"(?P<name>[\w.-]*)(?::(?P<form>[\w-]+))?=(?P<path>.+)")


@dataclass(frozen=True, slots=True)
class PairFile:
    """A file of pairs.

    name : of the tables made from it. form : of BY_ID or BY_TEXT.
    """

    name: str
    form: str
    source: LineSource

    @property
    def by_text(self) -> bool:
        """Whether it brings texts."""
        return self.form in BY_TEXT


def pair_file(given: str, known: Callable[[str], bool] | None) -> PairFile:
    """The file that `[NAME][:FORMAT]=FILE`, or FILE alone, names.

    Parameters
    ----------
    known : whether the store of documents has an id; None where documents are to be made of the pairs.

    Raises
    ------
    ConfigError : a format there is not. DataError : no such file, or a format that its first line does not show.
    """
    name, form, path = split_given(given)
    source = LineSource(path)
    if not path.is_file():
        raise DataError("no such file; expected FILE or [NAME][:FORMAT]=FILE", path=path)
    found = form or _sniffed(source, known)
    if known is not None and found in BY_TEXT:
        raise DataError(
            f"holds texts ({found}), and documents are given by id; leave --documents and --queries out, and both are made of "
            "the texts of the pairs",
            path=path,
        )
    if known is None and found in BY_ID:
        raise DataError(
            f"names documents by id ({found}); give --documents and --queries, which hold their texts", path=path
        )
    return PairFile(name, found, source)


def split_given(given: str) -> tuple[str, str | None, Path]:
    """Name, format or None, and path of `[NAME][:FORMAT]=FILE` or of FILE.

    Raises
    ------
    ConfigError : a format there is not.
    """
    match = None if Path(given).exists() else _GIVEN.fullmatch(given)
    path = Path(match["path"] if match else given)
    form = match["form"] if match else None
    if form is not None and form not in BY_ID | BY_TEXT:
        raise ConfigError(f"--pairs {given}: no format '{form}'; expected one of {', '.join(BY_ID | BY_TEXT)}")
    return (match["name"] if match else "") or bare_name(path.name).split(".")[0], form, path


def _sniffed(source: LineSource, known: Callable[[str], bool] | None) -> str:
    name = bare_name(source.name).lower()
    if name.endswith((".pkl", ".pickle")):
        return "pickle"
    if name.endswith((".csv", ".parquet")):
        return "text-triples"
    line = next(source.lines(), (0, ""))[1]
    if not line:
        raise DataError("holds no pairs", path=source.label)
    if line.lstrip().startswith("{"):
        return _of_object(line, source, known)
    return _of_columns(line, name, source)


def _of_object(line: str, source: LineSource, known: Callable[[str], bool] | None) -> str:
    try:
        row = json_value(line)
    except ValueError as error:
        raise DataError(
            f"not valid JSON: {error}; expected one JSON object a line", path=source.label, line=1
        ) from error
    if "positive_passages" in row:
        return "text-tevatron" if known is None else "tevatron"
    if "docs" in row:
        first = row["docs"][0] if isinstance(row["docs"], list) and row["docs"] else None
        return "docs-scores" if _is_id(first, known) else "text-docs-scores"
    if "document" in row and "score" in row:
        return "scores"
    if "qid" in row or "query_id" in row:
        return "hard-negatives"
    return "text-triples"


def _is_id(value: Any, known: Callable[[str], bool] | None) -> bool:
    return type(value) is int or (isinstance(value, str) and known is not None and known(value))


def _of_columns(line: str, name: str, source: LineSource) -> str:
    cells = line.split("\t") if "\t" in line else line.split()
    if cells[0] in ("query-id", "query_id", "qid") or len(cells) == 4 or name.startswith("qrels"):
        return "qrels"
    if cells[0] in ("query", "anchor", "question") or any(" " in cell.strip() for cell in cells):
        return "text-triples"
    if len(cells) == 6:
        return "run"
    if name.startswith("qidpidtriples"):
        return "id-triples"
    if len(cells) == 3 and re.fullmatch(r"-?\d*\.\d+(e-?\d+)?", cells[2], re.IGNORECASE):
        return "scores"
    raise DataError(
        f"its first line, {line[:60]!r}, does not show its format; say [NAME]:FORMAT={source.path} with one of "
        f"{', '.join(BY_ID | BY_TEXT)}",
        path=source.label,
    )
