"""The collections that are judged, each with the split that judges it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from sparseir.data.corpus.fields import FieldMap
from sparseir.data.dataset import Dataset, open_datasets
from sparseir.errors import ConfigError, DataError

SPLIT_MARK = "#"
"""Between a collection and a split of its own: msmarco#dev."""

TUNING, FITTING = "choose the weight", "fit query weights"
"""What splits are for whose queries must not be judged."""


def named_split(given: str) -> tuple[str, str | None]:
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
    name, own = named_split(given)
    parts = open_datasets(name, data_dir, form=form, fields=fields)
    for part in parts:
        part.check_judged(own or split)
    if own is None:
        return [(part, split) for part in parts]
    mark = f"{SPLIT_MARK}{own}"
    return [(replace(p, name=p.name + mark, group=p.group and p.group + mark), own) for p in parts]


def without_split(name: str, split: str) -> str:
    """The name of a collection without its split."""
    return name.removesuffix(f"{SPLIT_MARK}{split}")


def title(name: str, split: str) -> str:
    """A collection and its split, which its name may tell already."""
    return f"{name} ({split})" if split and without_split(name, split) == name else name


def refuse_shared(name: str, split: str, other: str, purpose: str, judged: Iterable[str], asked: Iterable[str]) -> None:
    """Queries that a split judges must not teach what is judged.

    Parameters
    ----------
    purpose : of the other split, after "should". judged, asked : names of the queries of `split` and `other`.

    Raises
    ------
    DataError : there are such queries.
    """
    known = set(judged)
    if shared := [qid for qid in asked if qid in known]:
        raise DataError(
            f"{name}: {len(shared)} queries of the split '{other}' that should {purpose}, '{shared[0]}' first, are judged "
            f"in '{split}'; name a split of other queries"
        )
