"""Which format a file of a corpus has: what its ending says, what was said, or what a stream begins with."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from sparseir.data.compression import bare_name
from sparseir.data.corpus import texts
from sparseir.data.corpus.fields import FieldMap
from sparseir.data.corpus.lines import JsonFile, JsonLines, collection_lines
from sparseir.data.corpus.parquet import ParquetFile
from sparseir.data.corpus.places import RowFile
from sparseir.data.corpus.tables import TableFile, header_of
from sparseir.data.corpus.texts import TextFile
from sparseir.data.lines import LineSource
from sparseir.errors import ConfigError, DataError

TEXT = "text"
_ENDINGS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    **dict.fromkeys(texts.ENDINGS, TEXT),
}
ROW_ENDINGS = tuple(ending for ending, form in _ENDINGS.items() if form != TEXT)
FORMATS = tuple(dict.fromkeys((*_ENDINGS.values(), "msmarco")))
"""What `--format` takes: those of endings, and MS MARCO's lines without a header."""


def format_of(name: str) -> str | None:
    """The format that the ending of a name says, .gz and .zst aside; None for an unknown one."""
    bare = bare_name(name).lower()
    return next((form for ending, form in _ENDINGS.items() if bare.endswith(ending)), None)


def check_format(form: str | None, *, name: str = "--format") -> None:
    """Refuse a format there is not.

    Parameters
    ----------
    name : what the format is the value of, for the error.

    Raises
    ------
    ConfigError
    """
    if form is not None and form not in FORMATS:
        raise ConfigError(f"{name} is {form!r}; expected one of {', '.join(FORMATS)}")


def open_rows(source: LineSource, form: str | None, fields: FieldMap, name: str | None = None) -> RowFile:
    """The rows of one file.

    Parameters
    ----------
    form : of FORMATS; None for what the ending says, or the beginning of a stream.
    name : of the document, where the file is one.

    Raises
    ------
    DataError : a format that cannot be told.
    """
    if source.is_stream:
        if form in (TEXT, "parquet"):
            raise DataError(f"--format {form} needs files of its own, which a stream is not", path=source.label)
        source = StreamSource(source)
        form = form or _sniffed(source, fields)
    form = form or format_of(source.name)
    if form is None:
        raise DataError(
            f"cannot tell its format by its ending; say one of --format {', '.join(FORMATS)}", path=source.label
        )
    if form == TEXT:
        return TextFile(source, name or source.name)
    if form == "parquet":
        return ParquetFile(source, fields)
    if form == "jsonl":
        return JsonLines(source)
    if form == "json":
        return JsonFile(source)
    if form == "csv":
        return TableFile(source, ",", fields)
    if form == "msmarco" or not fields.names_columns(header_of(_first_line(source), "\t")[0]):
        return collection_lines(source, fields)
    return TableFile(source, "\t", fields)


def _first_line(source: LineSource) -> str:
    return source.first_line if isinstance(source, StreamSource) else next(source.lines(), (0, ""))[1]


class StreamSource(LineSource):
    """Standard input or a pipe, whose first line can be looked at; read once.

    Raises
    ------
    DataError : when it is read a second time.
    """

    first_line: str

    def __init__(self, source: LineSource) -> None:
        super().__init__(source.path, source.member)
        lines = source.raw_text()
        head = []
        for number, line in lines:
            head.append((number, line))
            if line.strip():
                break
        object.__setattr__(self, "first_line", head[-1][1].strip("\r\n") if head else "")
        object.__setattr__(self, "_rest", chain(head, lines))

    def raw_text(self) -> Iterator[tuple[int, str]]:
        rest: Iterator[tuple[int, str]] | None = self._rest  # type: ignore[attr-defined]
        if rest is None:
            raise DataError("a stream can be read only once; give a file", path=self.label)
        object.__setattr__(self, "_rest", None)
        return rest


def _sniffed(source: StreamSource, fields: FieldMap) -> str:
    line = source.first_line.lstrip()
    if line.startswith("{") or not line:
        return "jsonl"
    if line.startswith("["):
        return "json"
    if fields.names_columns(header_of(line, ",")[0]):
        return "csv"
    if "\t" in line:
        return "tsv"
    raise DataError(
        f"cannot tell its format by its first line, {line[:40]!r}; say one of --format {', '.join(FORMATS)}",
        path=source.label,
    )
