"""The collections that are judged, each with the split that judges it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sparseir.data.corpus.fields import FieldMap
from sparseir.data.dataset import Dataset, open_datasets
from sparseir.errors import ConfigError

SPLIT_MARK = "#"
"""Between a collection and a split of its own: msmarco#dev."""


def apart(given: str) -> tuple[str, str | None]:
    """Collection, and the split that is named behind it; None where none is. A path that exists is all path.

    Raises
    ------
    ConfigError : a mark and no split behind it.
    """
    name, mark, split = given.rpartition(SPLIT_MARK)
    if not mark or not name or "/" in split or Path(given).exists():
        return given, None
    if not split:
        raise ConfigError(f"{given}: no split behind {SPLIT_MARK}; expected {name}{SPLIT_MARK}dev, or {name}")
    return name, split


def open_judged(
    given: str,
    split: str,
    *,
    data_dir: Path | None = None,
    form: str | None = None,
    fields: FieldMap | None = None,
) -> list[tuple[Dataset, str]]:
    """The parts of a collection and the split that judges them: the one named behind it, which their names then tell too,
    or `split`.

    Raises
    ------
    DataError : nothing of the kind, no queries, or no judgements of the split.
    ConfigError : a format that there is not, no split behind the mark.
    """
    name, own = apart(given)
    parts = open_datasets(name, data_dir, form=form, fields=fields)
    for part in parts:
        part.check_judged(own or split)
    if own is None:
        return [(part, split) for part in parts]
    mark = f"{SPLIT_MARK}{own}"
    return [(replace(p, name=p.name + mark, group=p.group and p.group + mark), own) for p in parts]


def bare(name: str, split: str) -> str:
    """The name of a collection without its split."""
    return name.removesuffix(f"{SPLIT_MARK}{split}")
