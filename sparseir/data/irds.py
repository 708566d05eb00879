"""Collections of ir_datasets, read as if they were BEIR's files: documents and queries as JSON lines, judgements as columns."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparseir.data.lines import LineSource
from sparseir.errors import ConfigError, DataError, MissingExtraError, SparseIRError

PREFIX = "irds:"
"""What a name of ir_datasets begins with here: irds:beir/scifact/test."""

_SPLITS = ("train", "dev", "val", "validation", "test")
_STORED = (str, int, float, bool)


class RecordLines(LineSource):
    """Records of a library as lines of text, made each time they are read.

    Parameters
    ----------
    name : in errors. lines : gives them from the start.
    """

    def __init__(self, name: str, lines: Callable[[], Iterator[str]]) -> None:
        super().__init__(Path(name))
        object.__setattr__(self, "_lines", lines)

    @property
    def is_stream(self) -> bool:
        """They can be read again."""
        return False

    def raw_text(self) -> Iterator[tuple[int, str]]:
        """(number from 1, line) of every record.

        Raises
        ------
        DataError : the library cannot download or read them.
        """
        number = 0
        try:
            for number, line in enumerate(self._lines(), 1):  # type: ignore[attr-defined]
                yield number, line
        except SparseIRError:
            raise
        except Exception as error:
            raise DataError(
                f"ir_datasets cannot give record {number + 1} ({type(error).__name__}: {str(error)[:200]}); it downloads a "
                "collection at its first use, and its page (https://ir-datasets.com) says what has to be fetched by hand",
                path=self.label,
            ) from error


@dataclass(frozen=True, slots=True)
class IrdsSources:
    """What an id of ir_datasets names. queries : None where there are none. qrels : by split; the id's own, or none."""

    documents: LineSource
    queries: LineSource | None
    qrels: Mapping[str, LineSource]


def open_irds(name: str, form: str | None) -> IrdsSources:
    """Find a collection of ir_datasets; nothing is downloaded before it is read.

    The judgements of an id go by the splits that its parts name, those of beir/scifact/test by test, those of
    msmarco-passage/dev/small by dev and small; where no part names one, by test.

    Parameters
    ----------
    name : PREFIX and an id.

    Raises
    ------
    MissingExtraError : ir_datasets is not installed.
    DataError : no such id, or one without documents.
    ConfigError : a format, which is for files.
    """
    if form is not None:
        raise ConfigError(f"{name} is a collection of ir_datasets, and --format is of files; leave it out")
    dataset = _load(name)
    if not dataset.has_docs():
        raise DataError("has no documents; give an id that has", path=name)
    queries = RecordLines(name, lambda: map(_query, dataset.queries_iter())) if dataset.has_queries() else None
    qrels = RecordLines(name, lambda: map(_judgement, dataset.qrels_iter())) if dataset.has_qrels() else None
    documents = RecordLines(name, lambda: map(_document, dataset.docs_iter()))
    return IrdsSources(documents, queries, {} if qrels is None else dict.fromkeys(_splits(name), qrels))


def _load(name: str) -> Any:
    try:
        import ir_datasets
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "ir_datasets", "ir-datasets", name) from error
    wanted = name.removeprefix(PREFIX)
    try:
        return ir_datasets.load(wanted)
    except KeyError:
        known = list(ir_datasets.registry)
        near = difflib.get_close_matches(wanted, known, n=1)
        hint = f"; did you mean '{PREFIX}{near[0]}'?" if near else ""
        raise DataError(f"ir_datasets has no '{wanted}'{hint}") from None


def _splits(name: str) -> list[str]:
    parts = name.removeprefix(PREFIX).split("/")
    found = [part for part in parts if part in _SPLITS] or ["test"]
    return list(dict.fromkeys([*found, *parts[-1:]]))


def _document(record: Any) -> str:
    """A line of BEIR's; other fields are kept where JSON and an index can hold them."""
    fields = record._asdict()
    row = {"_id": fields.pop("doc_id")}
    if not isinstance(fields.get("text"), str):
        row["text"] = record.default_text()
    row |= {key: value for key, value in fields.items() if key not in row and _is_stored(value)}
    return json.dumps(row)


def _is_stored(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(isinstance(item, _STORED) for item in value)
    return isinstance(value, _STORED)


def _query(record: Any) -> str:
    """The text of a query; of a topic that has a title, a description and more, what ir_datasets takes by default."""
    text = getattr(record, "text", None)
    return json.dumps({"_id": record.query_id, "text": text if isinstance(text, str) else record.default_text()})


def _judgement(record: Any) -> str:
    return f"{record.query_id}\t{record.doc_id}\t{record.relevance}"
