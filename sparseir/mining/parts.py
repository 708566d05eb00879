"""Work over the queries of a prepared folder in parts: each part is a sorted run on disk, and a stopped run makes the others."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.progress import Progress
from sparseir.data.prepared.folder import Prepared, Role, Union
from sparseir.data.stores.files import read_description, room_on_disk, write_description
from sparseir.data.stores.write_pairs import Pairs, open_run, write_run, write_table
from sparseir.errors import ConfigError, DataError

_FORM, _VERSION = "work in parts", 1
_WORK, _PART = "work.json", "a part"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartOptions:
    """How work is divided.

    size : queries of a part. shard : (i, n), only parts i, i + n, i + 2n …; parts of all shards are joined by the run that
    finds all of them there. max_queries : only the first so many queries that have positives; None for all of them.
    resume : keep parts of a run that was stopped. overwrite : replace tables of this name.
    """

    size: int = 2000
    shard: tuple[int, int] = (1, 1)
    max_queries: int | None = None
    resume: bool = False
    overwrite: bool = False


class Work:
    """Parts of one piece of work, in `FOLDER/work/NAME`.

    Parameters
    ----------
    prepared : the folder. name : of the tables that the work makes. settings : what a part depends on; parts of others are
        refused. roles : of the tables, each with its own run a part.

    Raises
    ------
    ConfigError : tables of the name are there; parts of other settings, or parts where nothing said to keep them.
    """

    def __init__(
        self,
        prepared: Prepared,
        name: str,
        settings: dict[str, Any],
        roles: Sequence[Role],
        options: PartOptions,
    ) -> None:
        self._prepared, self._name, self._roles, self._options = prepared, name, tuple(roles), options
        there = [f"{role}.{name}" for role in roles if prepared.has(role, name)]
        if there and not options.overwrite:
            raise ConfigError(f"{prepared.path} has {' and '.join(there)} already; give another --name, or --overwrite")
        self.folder = prepared.path / "work" / name
        self._settings = {
            **settings,
            "size": options.size,
            "max_queries": options.max_queries,
            "stores": prepared.stores,
        }
        self._begin()
        queries = judged_queries(prepared)
        if not len(queries):
            raise DataError(
                "no query has a positive; read judgements first (sparseir data prepare --pairs)", path=prepared.path
            )
        self._queries = queries[: options.max_queries]

    def _begin(self) -> None:
        described = {"format": _FORM, "version": _VERSION, "settings": self._settings}
        if self.folder.exists() and self._options.resume:
            found = read_description(self.folder / _WORK, _FORM, _VERSION)["settings"]
            differing = [key for key in self._settings if found.get(key) != self._settings[key]]
            if differing:
                raise ConfigError(
                    f"{self.folder}: its parts were made with another {', '.join(differing)}; give the same, or start again "
                    "without --resume"
                )
            return
        if self.folder.exists() and self._options.shard[1] > 1:
            raise ConfigError(f"{self.folder} is there, of other shards perhaps; say --resume, or remove it")
        shutil.rmtree(self.folder, ignore_errors=True)
        with room_on_disk(self.folder.parent, "parts"):
            self.folder.mkdir(parents=True)
            write_description(self.folder / _WORK, described)

    @property
    def num_parts(self) -> int:
        """Parts of all shards."""
        return -(-len(self._queries) // self._options.size)

    def run(self, make: Callable[[NDArray[np.int64]], dict[Role, Pairs]], what: str, progress: Progress) -> int:
        """Make the parts of this shard that are missing, and give how many of all shards are missing then.

        Parameters
        ----------
        make : takes query rows and gives their pairs, one `Pairs` a role.
        """
        size, (shard, shards) = self._options.size, self._options.shard
        done = 0
        for number in range(self.num_parts):
            queries = self._queries[number * size : (number + 1) * size]
            done += len(queries)
            if number % shards != shard - 1 or self._is_there(number):
                progress(what, done, len(self._queries))
                continue
            made = make(queries)
            with room_on_disk(self.folder, what):
                for role in self._roles:
                    write_run(self._run(number, role), made[role])
                write_description(self._mark(number), {"format": _PART, "version": _VERSION, "queries": len(queries)})
            progress(what, done, len(self._queries))
        return sum(not self._is_there(number) for number in range(self.num_parts))

    def join(self, made_of: str, progress: Progress) -> dict[str, int]:
        """Tables of all parts; pairs by table. The parts are removed."""
        pairs = {}
        for role in self._roles:
            runs = [open_run(self._run(number, role)) for number in range(self.num_parts)]
            stated = self._prepared.new_table(role, made_of)
            table = write_table(self._prepared.place(role, self._name), runs, stated, progress=progress)
            pairs[f"{role}.{self._name}"] = table.num_pairs
        shutil.rmtree(self.folder, ignore_errors=True)
        return pairs

    def _is_there(self, number: int) -> bool:
        return self._mark(number).is_file()

    def _mark(self, number: int) -> Path:
        return self.folder / f"part-{number:06d}.json"

    def _run(self, number: int, role: Role) -> Path:
        return self.folder / f"part-{number:06d}.{role}"


def judged_queries(prepared: Prepared, least: float = 1.0) -> NDArray[np.int64]:
    """Rows of the queries that some document answers, ascending.

    Parameters
    ----------
    least : judgements from this grade on are positives.
    """
    found = [np.zeros(0, np.int64)]
    union = positives_of(prepared, least)
    for first, end in spans(len(prepared.queries)):
        found.append(np.unique(union.keys(first, end) >> np.uint64(32)).astype(np.int64))
    return np.concatenate(found)


def positives_of(prepared: Prepared, least: float = 1.0) -> Union:
    """What answers queries, of all tables of positives."""
    return Union([prepared.table("positives", name) for name in prepared.names("positives")], least)


def spans(count: int, size: int = 16_384) -> Iterator[tuple[int, int]]:
    """(first, end) of consecutive ranges."""
    for first in range(0, count, size):
        yield first, min(first + size, count)
