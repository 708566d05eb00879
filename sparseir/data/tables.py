"""Rows of a table with names on its columns: the formats of corpora that have rows, and folders that `datasets` saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparseir.data.corpus.formats import format_of
from sparseir.data.corpus.lines import JsonFile, JsonLines, TabLines
from sparseir.data.corpus.parquet import ParquetFile
from sparseir.data.corpus.places import RowFile
from sparseir.data.corpus.tables import TableFile
from sparseir.data.lines import LineSource
from sparseir.errors import DataError, MissingExtraError

EXTRA = "pairs"
"""Installs what saved data sets are read with."""

_ENDINGS = ".jsonl, .json, .tsv, .csv, .parquet, each also with .gz or .zst, or a folder that `datasets` saved"


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row.

    Parameters
    ----------
    line : counted from 1: of the file where it has lines, else of the table.
    cells : by column name; text alone in TSV and CSV.
    """

    line: int
    cells: dict[str, Any]


def read_table(path: str | Path, *, unnamed: Callable[[list[str]], list[str] | None]) -> Iterator[TableRow]:
    """The rows of a table in their order, one at a time.

    Parameters
    ----------
    unnamed : names for the columns of a TSV file by its first line; None where that line names them itself.

    Raises
    ------
    DataError : no such file, an ending that says no format, lines that are none of it.
    MissingExtraError : Parquet or a saved data set without the library that reads it.
    """
    path = Path(path)
    if path.is_dir():
        return _saved_dataset(path)
    return (TableRow(place.number, row) for place, row in _opened(path, unnamed).rows())


def _opened(path: Path, unnamed: Callable[[list[str]], list[str] | None]) -> RowFile:
    source, form = LineSource(path), format_of(path.name)
    if form == "jsonl":
        return JsonLines(source)
    if form == "json":
        return JsonFile(source)
    if form == "tsv":
        return TabLines(source, lambda cells, _: unnamed(cells))
    if form == "csv":
        return TableFile(source, ",", None)
    if form == "parquet":
        return ParquetFile(source, None)
    if not path.exists():
        raise DataError("no such file or folder", path=path)
    raise DataError(f"unknown ending; expected {_ENDINGS}", path=path)


def _saved_dataset(folder: Path) -> Iterator[TableRow]:
    """A `Dataset`, or the train split of a `DatasetDict`."""
    if not any((folder / name).is_file() for name in ("state.json", "dataset_dict.json")):
        raise DataError(
            "a folder, but not one that `datasets` saved (no state.json, no dataset_dict.json)", path=folder
        )
    try:
        from datasets import load_from_disk
    except ImportError:
        raise MissingExtraError("datasets", EXTRA, "a folder that `datasets` saved") from None
    try:
        found = load_from_disk(str(folder))
        if isinstance(found, dict):
            if "train" not in found:
                splits = ", ".join(found)
                raise DataError(f"no split 'train' (found: {splits}); name the folder of one of them", path=folder)
            found = found["train"]
        for line, cells in enumerate(found, 1):
            yield TableRow(line, dict(cells))
    except DataError:
        raise
    except Exception as error:  # of damaged folders the library raises what comes first
        said = next(iter(str(error).splitlines()), type(error).__name__)[:200]
        raise DataError(f"not a data set that can be read ({said})", path=folder) from error
