"""Rows of a table with names on its columns: JSON lines, TSV, CSV, Parquet, and folders that `datasets` saved."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparseir.data.lines import LineSource
from sparseir.errors import DataError, MissingExtraError

EXTRA = "pairs"
"""Installs what Parquet files and saved data sets are read with."""

_ENDINGS = ".jsonl, .json, .tsv, .csv, each also with .gz, .parquet, or a folder that `datasets` saved"


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
    name = path.name.removesuffix(".gz")
    if path.is_dir():
        return _saved_dataset(path)
    if name.endswith((".jsonl", ".json")):
        return (TableRow(line, row) for line, row in LineSource(path).objects())
    if name.endswith(".tsv"):
        return _tsv(LineSource(path), unnamed)
    if name.endswith(".csv"):
        return _csv(LineSource(path))
    if path.suffix == ".parquet":
        return _parquet(path)
    if not path.exists():
        raise DataError("no such file or folder", path=path)
    raise DataError(f"unknown ending; expected {_ENDINGS}", path=path)


def _tsv(source: LineSource, unnamed: Callable[[list[str]], list[str] | None]) -> Iterator[TableRow]:
    """Cells between tabs, as they stand: a quote is a character like any other."""
    names: list[str] | None = None
    for line, text in source.lines():
        cells = text.split("\t")
        if names is None:
            names = unnamed(cells)
            if names is None:
                names = _named(cells, source.label, line)
                continue
        yield TableRow(line, _cells(names, cells, source.label, line))


def _csv(source: LineSource) -> Iterator[TableRow]:
    """RFC 4180 under a line of names: cells in quotes may hold commas and line ends."""
    with source.open() as stream:
        rows = csv.reader(io.TextIOWrapper(stream, encoding="utf-8-sig", newline=""), strict=True)
        names: list[str] | None = None
        first = 1
        try:
            for cells in rows:
                line, first = first, rows.line_num + 1
                if not cells:
                    continue
                if names is None:
                    names = _named(cells, source.label, line)
                else:
                    yield TableRow(line, _cells(names, cells, source.label, line))
        except csv.Error as error:
            raise DataError(f"not a line of CSV: {error}", path=source.label, line=first) from error
        except UnicodeDecodeError as error:
            raise DataError(f"not UTF-8 ({error})", path=source.label, line=first) from error


def _named(cells: list[str], path: Path, line: int) -> list[str]:
    names = [cell.strip() for cell in cells]
    if len(set(names)) < len(names):
        raise DataError(f"a column is named twice ({', '.join(names)})", path=path, line=line)
    return names


def _cells(names: list[str], cells: list[str], path: Path, line: int) -> dict[str, Any]:
    if len(cells) != len(names):
        raise DataError(
            f"{len(cells)} columns, expected {len(names)} ({', '.join(names)}) as in the first line",
            path=path,
            line=line,
        )
    return dict(zip(names, cells, strict=True))


def _parquet(path: Path) -> Iterator[TableRow]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise MissingExtraError("pyarrow", EXTRA, "a Parquet file") from None
    try:
        with ParquetFile(path) as file:
            line = 0
            for batch in file.iter_batches(batch_size=1024):
                for cells in batch.to_pylist():
                    line += 1
                    yield TableRow(line, cells)
    except (OSError, ArrowException) as error:
        raise DataError(f"not a Parquet file that can be read ({_first_line(error)})", path=path) from error


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
        raise DataError(f"not a data set that can be read ({_first_line(error)})", path=folder) from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]
