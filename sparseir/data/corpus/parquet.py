"""Parquet, through pyarrow."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sparseir.data.corpus.fields import FieldMap
from sparseir.data.corpus.places import Place, Row, SourceFile
from sparseir.errors import DataError, MissingExtraError

_ROWS = 1024


@dataclass(frozen=True, slots=True)
class ParquetFile(SourceFile):
    """A Parquet file; 1,024 rows of it are held at a time. Dates become ISO text, decimals floats.

    Parameters
    ----------
    fields : keys that a corpus has; None for a table that is no corpus, whose cells are left as they are.
    """

    fields: FieldMap | None

    def rows(self) -> Iterator[Row]:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError:
            raise MissingExtraError("pyarrow", "parquet", f"reading {self.label}") from None
        if self.source.member is not None:
            raise DataError(
                "Parquet is read from its end and needs a file of its own; write or unpack it", path=self.label
            )
        number = 0
        try:
            with parquet.ParquetFile(self.source.path) as file:
                names = file.schema_arrow.names
                if self.fields is not None and not self.fields.names_columns(names):
                    found = ", ".join(f"'{name}'" for name in names[:12])
                    raise DataError(
                        f"no column called {' or '.join(self.fields.ids)}, or none called {' or '.join(self.fields.texts)} "
                        f"(found: {found[:300]}); --fields id=COLUMN,text=COLUMN names others",
                        path=self.label,
                    )
                for batch in file.iter_batches(batch_size=_ROWS):
                    for row in batch.to_pylist():
                        number += 1
                        place = Place(self.label, number, "row")
                        if self.fields is not None:
                            row = {key: _plain(value, key, place) for key, value in row.items() if value is not None}
                        yield place, row
        except FileNotFoundError as error:
            raise DataError("no such file", path=self.label) from error
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            line = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(f"no Parquet file, or a damaged one ({line[:200]})", path=self.label) from error


def _plain(value: Any, key: str, place: Place) -> Any:
    """A value as JSON has it."""
    if isinstance(value, datetime.date | datetime.time):  # datetime is a date
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        value = float(value)
    if isinstance(value, float) and not (value - value == 0):
        raise place.fault(f"'{key}' is {value}, which JSON does not have; write null")
    if isinstance(value, list):
        return [_plain(item, key, place) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item, key, place) for name, item in value.items()}
    if not isinstance(value, str | int | float | bool | None):
        raise place.fault(
            f"'{key}' holds {type(value).__name__}; expected text, numbers, dates, lists or objects of them"
        )
    return value
